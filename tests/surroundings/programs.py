"""Foreign programs of Debian's packages: the machine's own, or unpacked ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

#: Where `tools/debian_programs.sh` unpacks what the machine lacks.
_UNPACKED = "PYLON_DEBIAN_PROGRAMS"
#: With this, a program that is missing is a failure, not a reason to skip.
_DEMANDED = "PYLON_DEMAND_PROGRAMS"
_FOLDERS = ("usr/sbin", "usr/bin", "sbin", "bin")


def debian_program(name: str) -> Path:
    """A program of a Debian package; the test is skipped where it cannot be had."""
    unpacked = os.environ.get(_UNPACKED)
    folders = [f"/{folder}" for folder in _FOLDERS]
    if unpacked is not None:
        folders += [f"{unpacked}/root/{folder}" for folder in _FOLDERS]
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *folders]))
    if found is not None:
        return Path(found)
    reason = f"no {name}: `make test-python` fetches it where Debian's packages can be had"
    if _DEMANDED in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


def environment_of_programs() -> dict[str, str]:
    """The environment in which unpacked programs find their libraries."""
    environment = dict(os.environ)
    if (unpacked := os.environ.get(_UNPACKED)) is not None:
        roots = [Path(unpacked, "root", folder) for folder in ("usr/lib", "lib")]
        libraries = [str(folder) for root in roots for folder in sorted(root.glob("*-linux-gnu*"))]
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    return environment
