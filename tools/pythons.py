"""Finds the CPythons of this machine that the package is for, and prints one path for each version but the own one.

It looks on PATH and where pyenv and uv keep theirs. A free-threaded build is left out: it cannot load what is built for the stable ABI.

Usage: python tools/pythons.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST = (3, 11)
#: Prints the version of a Python that can make environments.
ASK = """
import ensurepip, platform, sys, sysconfig, venv
if platform.python_implementation() == "CPython" and not sysconfig.get_config_var("Py_GIL_DISABLED"):
    print(*sys.version_info[:2])
"""


def main() -> None:
    found = {sys.version_info[:2]: Path(sys.executable)}
    for program in candidates():
        version = version_of(program)
        if version is not None and version >= OLDEST:
            found.setdefault(version, program)
    del found[sys.version_info[:2]]
    print(*(found[version] for version in sorted(found)))


def candidates() -> Iterator[Path]:
    """Programs that may be Pythons."""
    home = Path.home()
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders += home.glob(".pyenv/versions/*/bin")
    folders += home.glob(".local/share/uv/python/*/bin")
    for folder in folders:
        if folder.is_dir():
            yield from sorted(program for program in folder.iterdir() if re.fullmatch(r"python3\.\d+", program.name))


def version_of(program: Path) -> tuple[int, int] | None:
    """Its version; None for anything that is no Python or cannot be used."""
    try:
        done = subprocess.run(
            [program, "-I", "-c", ASK],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    numbers = done.stdout.split()
    # pyenv has programs of all names that say so where the version is not switched on.
    return (int(numbers[0]), int(numbers[1])) if done.returncode == 0 and len(numbers) == 2 else None


if __name__ == "__main__":
    main()
