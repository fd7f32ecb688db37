"""Runs a command and says so. What it prints is shown only if it fails, which ends the program."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def run(what: str, folder: Path, *command: str | Path, environment: Mapping[str, str]) -> None:
    """Run a command in a folder, with this environment alone."""
    print(f"{what}:", *(str(part).splitlines()[0] for part in command), flush=True)
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nexit status {done.returncode}")
