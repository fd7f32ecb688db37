"""Installs what a release consists of, each in a clean place, and uses it there as a user would."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import quiet

_USE_THE_LIBRARY = """\
import importlib.metadata, sys
from pylon.webhooks import IssueNewEvent, WebhookHandler
from pylon_webhooks import sign
handler = WebhookHandler(secret="a secret")
seen = []
handler.on(IssueNewEvent)(seen.append)
body = b'{"event_type": "issue_new", "issue_title": "Export fails"}'
handler.handle(payload=body, signature=sign("a secret", body))
assert [event.issue_title for event in seen] == ["Export fails"]
found = importlib.metadata.metadata("pylon-webhooks")
assert "](docs/" not in found.get_payload(), "relative links are dead on PyPI"
assert found.get_all("Project-URL"), "the package has no address"
"""
_MANIFEST = """\
[package]
name = "trial"
edition = "2024"

[dependencies]
pylon-webhooks = "{version}"
pylon-receiver = "{version}"

[patch.crates-io]
pylon-webhooks = {{ path = "{folder}/pylon-webhooks-{version}" }}
pylon-receiver = {{ path = "{folder}/pylon-receiver-{version}" }}
"""
_USE_THE_CRATES = """\
use pylon_receiver::{Preflight, config::Config};
use pylon_webhooks::{Secret, Verifier, sign};

fn main() {
    let secret = Secret::new("a secret").expect("a secret that is not empty");
    let body = b"{}";
    let verifier = Verifier::builder().secret("a secret").build().expect("a secret is enough");
    assert!(verifier.verify(body, Some(&sign(&secret, body, None)), None).is_ok());
    assert!(!Preflight::of(&Config::default()).faults.is_empty());
}
"""
#: Without what a developer's shell adds.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYLON"))}


def run(out: Path, folder: Path, crates: list[str]) -> None:
    """Try every file in a folder, each below `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("pylon_webhooks-*.tar.gz", "pylon_webhooks-*.whl"):
        _library(_one(out, name), folder)
    _receiver_wheel(_one(out, "pylon_receiver-*.whl"), folder)
    _debian(_one(out, "*.deb"), folder / "debian")
    _crates(out, folder / "crates", crates)


def _library(file: Path, folder: Path) -> None:
    python = _environment(file, folder)
    _run(folder, python, "-I", "-W", "error", "-c", _USE_THE_LIBRARY)


def _receiver_wheel(file: Path, folder: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        licences = [name for name in archive.namelist() if "LICENSE" in name]
    assert len(licences) == 2, f"expected two licences in {file.name}, found {licences}"
    _use_the_receiver(_environment(file, folder).parent / "pylon-receiver", folder)


def _debian(file: Path, root: Path) -> None:
    """Installs the package below a folder, uses it, and purges it."""
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    # What it depends on is not installed there; its scripts need a shell there.
    dpkg = ["dpkg", f"--root={root}", "--force-not-root", "--force-depends", "--force-script-chrootless"]
    _run(root, *dpkg, "--install", file)
    program = root / "usr/bin/pylon-receiver"
    _use_the_receiver(program, root)
    configuration = root / "etc/pylon-receiver/pylon-receiver.toml"
    ledger = f'ledger = "sqlite:{root}/pylon.db"'
    configuration.write_text(
        configuration.read_text().replace('ledger = "sqlite:/var/lib/pylon-receiver/pylon.db"', ledger)
    )
    _run(root, program, "check-config", "--config", configuration, PYLON_WEBHOOK_SECRET="a secret")
    _run(root, *dpkg, "--purge", "pylon-receiver")
    assert not program.exists(), "the package left its program behind"


def _crates(out: Path, folder: Path, crates: list[str]) -> None:
    for crate in crates:
        file = _one(out, f"{crate}-[0-9]*.crate")
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
        unpacked = folder / file.name.removesuffix(".crate")
        missing = [name for name in ("LICENSE-MIT", "LICENSE-APACHE", "README.md") if not (unpacked / name).is_file()]
        assert not missing, f"{file.name} lacks {missing}"
        assert "](docs/" not in (unpacked / "README.md").read_text(), (
            f"{file.name}: relative links are dead on crates.io"
        )
        version = unpacked.name.removeprefix(f"{crate}-")
    (folder / "src").mkdir()
    (folder / "Cargo.toml").write_text(_MANIFEST.format(version=version, folder=folder))
    (folder / "src" / "main.rs").write_text(_USE_THE_CRATES)
    target = {"CARGO_TARGET_DIR": str(folder / "target")}
    _run(folder, "cargo", "run", "--quiet", **target)
    patches = [f"--config=patch.crates-io.{name}.path='{folder}/{name}-{version}'" for name in crates[:2]]
    install = ["cargo", "install", "--quiet", "--debug", *patches, "--root", str(folder)]
    _run(folder, *install, "--path", f"{folder}/pylon-receiver-cli-{version}", **target)
    _use_the_receiver(folder / "bin" / "pylon-receiver", folder)


def _use_the_receiver(program: Path, folder: Path) -> None:
    _run(folder, program, "demo")


def _environment(file: Path, folder: Path) -> Path:
    """A new virtual environment with a file installed; its Python."""
    environment = folder / file.name.replace(".", "-")
    _run(folder, sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    _run(folder, python, "-m", "pip", "install", "--quiet", file)
    return python


def _one(folder: Path, pattern: str) -> Path:
    (file,) = folder.glob(pattern)
    return file


def _run(folder: Path, *command: str | Path, **environment: str) -> None:
    quiet.run("trying", folder, *command, environment={**_ENVIRONMENT, **environment})
