"""The surroundings of a receiver: the built program itself, and foreign programs from Debian's packages."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from receiver import Receiver, receiver_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@pytest.fixture
def start_receiver(tmp_path: Path) -> Iterator[Callable[..., Receiver]]:
    """Starts receivers, each with a configuration of its own; ends them after the test."""
    program = receiver_program()
    if not program.is_file():
        pytest.skip(f"no {program}: run `cargo build -p pylon-receiver-cli`")
    started: list[Receiver] = []

    def start(configuration: str = "", **arguments: object) -> Receiver:
        folder = tmp_path / f"receiver-{len(started)}"
        folder.mkdir()
        started.append(Receiver(program, folder, configuration, **arguments))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for receiver in started:
        receiver.end()
