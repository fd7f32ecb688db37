"""Foreign programs of Debian's packages: the machine's own, or unpacked ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

#: Where `tools/debian_programs.sh` unpacks what the machine lacks.
_UNPACKED = "PYLON_DEBIAN_PROGRAMS"
#: With this, a program that is missing is a failure, not a reason to skip.
_DEMANDED = "PYLON_DEMAND_PROGRAMS"
_FOLDERS = ("usr/sbin", "usr/bin", "sbin", "bin")


def debian_program(name: str) -> Path:
    """A program of a Debian package; the test is skipped where it cannot be had."""
    folders = [f"/{folder}" for folder in _FOLDERS]
    if (root := unpacked_root()) is not None:
        folders += [f"{root}/{folder}" for folder in _FOLDERS]
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *folders]))
    if found is not None:
        return Path(found)
    missing(name)


def missing(name: str) -> NoReturn:
    """Skips the test, which needs a program that cannot be had."""
    reason = f"no {name}: `make test-python` fetches it where Debian's packages can be had"
    if _DEMANDED in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


def unpacked_root() -> Path | None:
    """The root folder of the unpacked packages, if there is one."""
    unpacked = os.environ.get(_UNPACKED)
    return Path(unpacked, "root") if unpacked else None


def library_folders(root: Path) -> list[Path]:
    """Where the packages below a root folder have their libraries."""
    return [folder for lib in ("usr/lib", "lib") for folder in sorted(root.glob(f"{lib}/*-linux-gnu*"))]


def environment_of_programs(root: Path | None = None) -> dict[str, str]:
    """The environment in which unpacked programs find their libraries; below this root folder, if they are copied there."""
    environment = dict(os.environ)
    if (root := root or unpacked_root()) is not None:
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, library_folders(root)))
    return environment
