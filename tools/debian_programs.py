"""Foreign programs of Debian's packages: the machine's own, or those that `debian_programs.sh` has unpacked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

#: Where `debian_programs.sh` unpacks what the machine lacks.
_UNPACKED = "PYLON_DEBIAN_PROGRAMS"
_FOLDERS = ("usr/sbin", "usr/bin", "sbin", "bin")


class MissingProgram(Exception):
    """A program that is not on this machine and not among the unpacked ones."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no {name}: `make programs` fetches it where Debian's packages can be had")


def find_program(name: str) -> Path:
    """The path of a program; raises MissingProgram."""
    folders = [f"/{folder}" for folder in _FOLDERS]
    if (root := unpacked_root()) is not None:
        folders += [f"{root}/{folder}" for folder in _FOLDERS]
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *folders]))
    if found is None:
        raise MissingProgram(name)
    return Path(found)


def is_demanded() -> bool:
    """Whether a program that is missing is a failure, not a reason to leave something out."""
    return "PYLON_DEMAND_PROGRAMS" in os.environ


def unpacked_root() -> Path | None:
    """The root folder of the unpacked packages, if there is one."""
    unpacked = os.environ.get(_UNPACKED)
    return Path(unpacked, "root") if unpacked else None


def library_folders(root: Path) -> list[Path]:
    """Where the packages below a root folder have their libraries."""
    folders = [folder for lib in ("usr/lib", "lib") for folder in sorted(root.glob(f"{lib}/*-linux-gnu*"))]
    # PulseAudio's library has one that only it knows how to find, by a path that is not below the root folder.
    return [*folders, *(folder / "pulseaudio" for folder in folders if (folder / "pulseaudio").is_dir())]


def environment_of_programs(root: Path | None = None) -> dict[str, str]:
    """The environment in which unpacked programs find their libraries; below this root folder, if they are copied there."""
    environment = dict(os.environ)
    if (root := root or unpacked_root()) is not None:
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, library_folders(root)))
    return environment
