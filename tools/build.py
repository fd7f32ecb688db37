"""Runs `cargo build` and says how far it is: in place on a terminal, else a line every ten seconds.

Usage: python tools/build.py WHAT CARGO_ARGUMENTS...        exit status: cargo's
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable

#: Seconds between two lines where no terminal shows them.
EVERY = 10


def main() -> int:
    what, *arguments = sys.argv[1:]
    total = len(packages(arguments))
    command = ["cargo", "build", "--quiet", "--locked", "--message-format=json-render-diagnostics", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as cargo:
        if cargo.stdout is not None:
            report(what, total, cargo.stdout)
    return cargo.returncode


def packages(arguments: list[str]) -> set[str]:
    """The packages that the build needs, as `name version`."""
    # `cargo tree` knows no targets: what it names besides is counted too, which errs towards slow.
    selection = [
        argument for argument in arguments if argument.startswith(("--features=", "--all-features", "--package="))
    ]
    command = ["cargo", "tree", "--locked", "--prefix=none", "--format={p}", "--edges=normal,build", *selection]
    tree = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    return {" ".join(line.split()[:2]) for line in tree.splitlines() if line.strip()}


def report(what: str, total: int, messages: Iterable[str]) -> None:
    """Prints how many of the packages are done, as cargo's messages say."""
    done: set[str] = set()
    was_built = False
    begin = told = time.monotonic()
    for message in messages:
        artifact = json.loads(message)
        if artifact["reason"] != "compiler-artifact":
            continue
        done.add(artifact["package_id"])
        was_built |= not artifact["fresh"]
        if not was_built:
            continue
        now = time.monotonic()
        # A package may have a build script beside its library, and so be seen before it is done.
        line = f"building {what}: {min(len(done), total)} of {total} packages, {now - begin:.0f} s"
        if sys.stdout.isatty():
            print(f"\r{line}\033[K", end="", flush=True)
        elif now - told >= EVERY:
            print(line, flush=True)
            told = now
    if was_built and sys.stdout.isatty():
        print(f"\rbuilt {what} in {time.monotonic() - begin:.0f} s\033[K", flush=True)


if __name__ == "__main__":
    sys.exit(main())
