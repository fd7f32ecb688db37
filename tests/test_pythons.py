"""Which Pythons of a machine the tests run with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parent.parent / "tools" / "pythons.py"
#: What stands on a machine, and what each program prints and exits with when it is asked for its version.
PROGRAMS = {
    "bin/python3.10": ("3 10", 0),
    "bin/python3.77": ("3 77", 0),
    # A second one of a version.
    "home/.pyenv/versions/3.77.1/bin/python3.77": ("3 77", 0),
    "home/.pyenv/versions/3.78.0/bin/python3.78": ("3 78", 0),
    # What pyenv has on PATH for a version that is not switched on.
    "bin/python3.78": ("", 127),
    "home/.local/share/uv/python/cpython-3.79/bin/python3.79": ("3 79", 0),
    # A free-threaded one, and another program.
    "bin/python3.80": ("", 0),
    "bin/python3.81": ("hello", 0),
    "bin/python3-config": ("3 82", 0),
}


@pytest.mark.skipif(os.name != "posix", reason="the programs are shell scripts")
def test_one_of_each_version_is_found_and_nothing_that_is_no_python_of_ours(tmp_path: Path) -> None:
    for name, (printed, status) in PROGRAMS.items():
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\necho {printed}\nexit {status}\n")
        program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}/missing:{tmp_path}/bin:/bin", "HOME": f"{tmp_path}/home"}
    done = subprocess.run(
        [sys.executable, TOOL], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    found = [path for path in done.stdout.split() if path.startswith(str(tmp_path))]
    assert [os.path.relpath(path, tmp_path) for path in found] == [
        "bin/python3.77",
        "home/.pyenv/versions/3.78.0/bin/python3.78",
        "home/.local/share/uv/python/cpython-3.79/bin/python3.79",
    ]
