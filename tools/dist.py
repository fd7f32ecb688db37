"""Builds everything that a release consists of, then installs each in a clean place and uses it there.

| File | For |
| --- | --- |
| `pylon_webhooks-*.tar.gz`, `pylon_webhooks-*-manylinux_2_17_*.whl` | pip: the Python library, as source and compiled |
| `pylon_receiver-*-manylinux_2_17_*.whl` | pip: the receiver, a binary in a wheel |
| `pylon-receiver_*.deb` | apt and dpkg: the receiver with its systemd units |
| `pylon-webhooks-*.crate`, `pylon-receiver-*.crate`, `pylon-receiver-cli-*.crate` | cargo |
| `SHA256SUMS` | `sha256sum --check` |

zig links what is compiled, so it runs with glibc 2.17 and later whatever the building machine has.

Usage: python tools/dist.py CACHE OUT
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import debian_package
import dist_trial
import quiet

ROOT = Path(__file__).resolve().parent.parent
#: The oldest glibc that the compiled files run with.
GLIBC = (2, 17)
CRATES = ["pylon-webhooks", "pylon-receiver", "pylon-receiver-cli"]


def main() -> None:
    cache, out = (Path(argument).resolve() for argument in sys.argv[1:])
    source = cache / "source"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    stage(source)
    # maturin looks for zig beside the Python that comes first.
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(folder: Path, *command: str) -> None:
        quiet.run("building", folder, *command, environment=environment)

    compiled = ["build", "--profile=release", "--locked", "--zig", f"--compatibility=manylinux_{GLIBC[0]}_{GLIBC[1]}"]
    run(source, "maturin", "sdist", "--out", str(out))
    run(source, "maturin", *compiled, "--out", str(out))
    run(source / "crates" / "pylon-receiver-cli", "maturin", *compiled, "--out", str(out))
    packages = [f"--package={crate}" for crate in CRATES]
    run(source, "cargo", "package", "--quiet", "--locked", f"--target-dir={cache}/crates", *packages)
    for crate in (cache / "crates" / "package").glob("*.crate"):
        shutil.copy(crate, out)
    program = unpack_program(next(out.glob("pylon_receiver-*.whl")), cache)
    debian_package.build(source, program, version(), GLIBC, cache / "deb", out)

    files = sorted(out.iterdir())
    dist_trial.run(out, cache / "trial", CRATES)
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (out / "SHA256SUMS").write_text("".join(sums))
    print(f"in {out}:", *(file.name for file in files), "SHA256SUMS", sep="\n  ")


def stage(folder: Path) -> None:
    """Copy the files of the repository, with absolute links in README: the registries show that file alone."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Links become files: the licences lie in each crate.
        shutil.copy(ROOT / name, target)
    readme = folder / "README.md"
    readme.write_text(with_absolute_links(readme.read_text(), repository(), f"v{version()}"))


def with_absolute_links(text: str, repository: str, revision: str) -> str:
    """A page at the root of the repository, with links that lead to a revision of it from anywhere."""

    def absolute(found: re.Match[str]) -> str:
        mark, target = found.groups()
        # A page shows a picture's file, not a page about that file.
        kind = "raw" if mark == "!" else "blob"
        return f"{mark}{found[0][len(mark) :].split('(')[0]}({repository}/{kind}/{revision}/{target})"

    return re.sub(r"(!?)\[[^\]]*\]\((?![a-z]+:|#)([^()\s]+)\)", absolute, text)


def unpack_program(wheel: Path, cache: Path) -> Path:
    """The program that a wheel holds."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".data/scripts/pylon-receiver"))
        (cache / "pylon-receiver").write_bytes(archive.read(name))
    (cache / "pylon-receiver").chmod(0o755)
    return cache / "pylon-receiver"


def version() -> str:
    """The version of everything."""
    return str(_package()["version"])


def repository() -> str:
    """The address of the repository, without a slash at its end."""
    return str(_package()["repository"])


def _package() -> dict[str, object]:
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    package: dict[str, object] = manifest["workspace"]["package"]
    return package


if __name__ == "__main__":
    main()
