"""Installed beside py-usepylon-sdk, which ships a package `pylon` of its own: neither ever breaks the other.

PYLON_WEBHOOKS_WHEEL names the wheel to install; `make test` builds it and sets this. The SDK comes from the package index.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

OURS, THEIRS = "pylon-webhooks", "py-usepylon-sdk"
SDK = "py-usepylon-sdk==0.5.0"
# Of what the SDK needs, the environment that runs these tests has all but this.
SDK_NEEDS = "tenacity>=8.2,<10"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")

# Each of the two comes first once and last once, and in both cases each of the two goes first once.
STEPS = [
    *[("install", OURS), ("install", THEIRS), ("uninstall", OURS)],
    *[("install", OURS), ("uninstall", OURS)],
    *[("install", OURS), ("uninstall", THEIRS)],
    *[("install", THEIRS), ("uninstall", THEIRS)],
    ("uninstall", OURS),
]

# What must hold after every step; `installed` and `needed` are filled in.
CHECK = """
import importlib.metadata, pathlib, sys, sysconfig
installed, needed = {installed!r}, {needed!r}
ours, theirs = {ours!r} in installed, {theirs!r} in installed

site_packages = pathlib.Path(sysconfig.get_path("purelib"))
files = {{name: {{*importlib.metadata.files(name)}} for name in installed}}
missing = [str(file) for found in files.values() for file in found if not file.locate().exists()]
assert not missing, f"gone: {{missing}}"
if ours and theirs:
    shared = files[{ours!r}] & files[{theirs!r}]
    assert not shared, f"in both: {{shared}}"

if ours:
    import pylon_webhooks
    handler = pylon_webhooks.WebhookHandler("secret")
    handler.on(pylon_webhooks.IssueNewEvent)(lambda event: event.issue_title)
    body = b'{{"event_type": "issue_new", "issue_title": "Export fails"}}'
    assert handler.handle(body, pylon_webhooks.sign("secret", body)) == ["Export fails"]
if theirs:
    sys.path += needed
    import pylon.webhooks
    assert pylon.PylonClient.__module__ == "pylon._client"
    assert pylon.webhooks.WebhookHandler.__module__ == "pylon.webhooks.handler"
    assert pathlib.Path(pylon.webhooks.__file__) == site_packages / "pylon" / "webhooks" / "__init__.py"
elif ours:
    import pylon.webhooks
    assert pylon.webhooks is pylon_webhooks
else:
    left = [str(path) for path in site_packages.rglob("*") if "pylon" in path.name]
    assert not left, f"left behind: {{left}}"
"""


def test_either_works_whatever_was_installed_or_removed_before(
    wheel: str, sdk: str, needed: list[str], tmp_path: Path
) -> None:
    python = environment(tmp_path / "venv")
    cache = tmp_path / "bytecode"  # which belongs to no distribution, and would be left behind
    installed: list[str] = []
    for command, name in STEPS:
        if command == "install":
            run(
                *PIP,
                "--python",
                python,
                "install",
                "--no-index",
                "--no-deps",
                "--no-compile",
                {OURS: wheel, THEIRS: sdk}[name],
            )
            installed.append(name)
        else:
            run(*PIP, "--python", python, "uninstall", "--yes", name)
            installed.remove(name)
        check = CHECK.format(installed=installed, needed=needed, ours=OURS, theirs=THEIRS)
        run(python, "-I", "-X", f"pycache_prefix={cache}", "-c", check)


@pytest.fixture
def wheel() -> str:
    path = os.environ.get("PYLON_WEBHOOKS_WHEEL", "")
    if not path:
        pytest.fail("set PYLON_WEBHOOKS_WHEEL to the path of the built wheel, or run `make test`, which does")
    if not Path(path).is_file():
        pytest.fail(f"PYLON_WEBHOOKS_WHEEL names no file: {path}")
    return path


@pytest.fixture
def sdk(tmp_path: Path) -> str:
    run(*PIP, "download", "--no-deps", "--dest", str(tmp_path / "sdk"), SDK)
    (path,) = (tmp_path / "sdk").iterdir()
    return str(path)


@pytest.fixture
def needed(tmp_path: Path) -> list[str]:
    """Folders with what the SDK imports, to come last on its path."""
    run(*PIP, "install", "--no-deps", "--target", str(tmp_path / "needed"), SDK_NEEDS)
    return [str(tmp_path / "needed"), sysconfig.get_path("purelib")]


def environment(folder: Path) -> str:
    """The interpreter of a fresh virtual environment; the outer pip installs into it."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    return str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def run(*command: str) -> None:
    # What is found there would pass for installed already.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, f"{command[:8]}\n{done.stdout}\n{done.stderr}"
