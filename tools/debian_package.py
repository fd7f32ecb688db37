"""The Debian package of the receiver: the program, its units, a configuration, completions."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

_CONTROL = """\
Package: pylon-receiver
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Section: web
Priority: optional
Depends: libc6 (>= {glibc})
Recommends: ca-certificates
Installed-Size: {kibibytes}
Homepage: {homepage}
Description: receive Pylon (usepylon.com) webhooks and lose none
 Stands in front of an app: verifies each webhook, stores it on disk, answers,
 and delivers it to the app with retries until the app has it.
"""
# The administrator enables and starts the unit, once the secret is there. An upgrade restarts what runs.
_AFTER_INSTALL = """\
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if [ -n "$2" ]; then systemctl try-restart pylon-receiver.service; fi
fi
"""
_BEFORE_REMOVAL = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now pylon-receiver.socket pylon-receiver.service || true
fi
"""
_SHELLS = {
    "bash": "usr/share/bash-completion/completions/pylon-receiver",
    "zsh": "usr/share/zsh/vendor-completions/_pylon-receiver",
    "fish": "usr/share/fish/vendor_completions.d/pylon-receiver.fish",
}


def build(source: Path, program: Path, version: str, glibc: tuple[int, int], folder: Path, out: Path) -> None:
    """Build the package with `dpkg-deb`."""
    package = tomllib.loads((source / "Cargo.toml").read_text())["workspace"]["package"]
    shutil.rmtree(folder, ignore_errors=True)

    def put(path: str, content: bytes | str, mode: int = 0o644) -> None:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)

    deploy = source / "deploy"
    put("usr/bin/pylon-receiver", program.read_bytes(), 0o755)
    put("etc/pylon-receiver/pylon-receiver.toml", (deploy / "pylon-receiver.toml").read_bytes())
    for unit in [*deploy.glob("*.service"), *deploy.glob("*.socket")]:
        text = unit.read_text().replace("/usr/local/bin/", "/usr/bin/")
        # The comment at the top says how to install what is installed now.
        put(f"usr/lib/systemd/system/{unit.name}", text[text.index("[Unit]") :])
    for shell, path in _SHELLS.items():
        put(path, subprocess.run([program, "completions", shell], stdout=subprocess.PIPE, check=True).stdout)
    documents = "usr/share/doc/pylon-receiver"
    put(f"{documents}/copyright", "".join((source / f"LICENSE-{name}").read_text() for name in ("MIT", "APACHE")))
    put(f"{documents}/changelog.gz", gzip.compress((source / "CHANGELOG.md").read_bytes(), mtime=0))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    control = _CONTROL.format(
        version=version,
        architecture=_told("dpkg", "--print-architecture"),
        maintainer=f"{package['authors'][0]} <{package['repository'].removeprefix('https://')}>",
        glibc=".".join(map(str, glibc)),
        kibibytes=-(-size // 1024),
        homepage=package["repository"],
    )
    put("DEBIAN/control", control)
    put("DEBIAN/conffiles", "/etc/pylon-receiver/pylon-receiver.toml\n")
    put("DEBIAN/postinst", _AFTER_INSTALL, 0o755)
    put("DEBIAN/prerm", _BEFORE_REMOVAL, 0o755)
    for directory in (path for path in folder.rglob("*") if path.is_dir()):
        directory.chmod(0o755)
    epoch = _told("git", "log", "-1", "--format=%ct") or "0"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(folder), str(out)],
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _told(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
