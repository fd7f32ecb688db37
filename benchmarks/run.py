"""Prints how fast the library is beside what it replaces, all in one run.

Each figure is a median over turns that the contestants take one after the other, so that what slows the machine slows all.
Rust: `handle` beside the HMAC and a typed parse of the same body. Python: `handle` and the import beside py-usepylon-sdk
0.5.0 in an environment of its own, same interpreter, same body, same handler. HTTP: see `over_http`; the receiver: see
`receiver`; the receiver on PostgreSQL: see `postgres`; the operator's page: see `operator_page`.

Usage: python benchmarks/run.py --cache FOLDER --release FOLDER [--quick] [--only library|receiver|postgres|page]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

from operator_page import operator_page
from over_http import over_http
from postgres import postgres
from receiver import receiver

ROOT = Path(__file__).resolve().parent.parent
BODIES = ["issue_new_small", "issue_new_large"]
SDK = "py-usepylon-sdk==0.5.0"
#: What serves both packages over HTTP, in the same versions.
SERVED_BY = ["fastapi", "starlette", "pydantic", "anyio", "uvicorn", "h11"]
PAIRS = 11
TURNS = 7
IMPORT_TURNS = 21


def main() -> None:
    """Measure, then print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--release", type=Path, required=True, help="where cargo has put what it built")
    parser.add_argument("--quick", action="store_true", help="one turn of the receiver, and smaller backlogs or none")
    parser.add_argument("--only", choices=["library", "receiver", "postgres", "page"], help="one of the parts")
    arguments = parser.parse_args()
    sdk = sdk_python(arguments.cache / "venv-sdk")
    print(f"{processor()}, Python {platform.python_version()}")
    if arguments.only in (None, "library"):
        print(f"\nmedians, one thread\n{'':<50}{'time':>14}{'ratio':>8}   goal")
        rust()
        python(sdk)
        imports(sdk)
        print()
        for line in over_http(sdk, SDK, arguments.release / "examples"):
            print(line)
    for name, part in {"receiver": receiver, "postgres": postgres, "page": operator_page}.items():
        if arguments.only in (None, name):
            print()
            for line in part(arguments.cache, arguments.release, sdk, SDK, arguments.quick):
                print(line, flush=True)


def sdk_python(folder: Path) -> str:
    """An interpreter that has the SDK, and what serves it."""
    python = folder / "bin" / "python"
    stamp = folder / "sdk.txt"
    packages = [SDK, *(f"{name}=={version(name)}" for name in SERVED_BY)]
    contents = f"{' '.join(packages)} {sys.version}"
    if not stamp.exists() or stamp.read_text() != contents:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(contents)
    return str(python)


def rust() -> None:
    """`handle` over the sum of its two parts."""
    command = ["cargo", "bench", "--quiet", "--locked", "-p", "pylon-webhooks", "--bench", "handle"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    for body in BODIES:
        times = {row["row"]: row["nanoseconds"] for row in rows if row["body"] == body}
        size = next(row["bytes"] for row in rows if row["body"] == body)
        parts = times["hmac"] + times["parse"]
        show(f"Rust, {size} bytes: HMAC alone", times["hmac"])
        show(f"Rust, {size} bytes: typed serde_json parse alone", times["parse"])
        goal = "at most 1.3 times their sum" if size < 1000 else ""
        show(f"Rust, {size} bytes: handle", times["handle"], times["handle"] / parts, goal)


def python(sdk: str) -> None:
    """`handle` of both packages, in turns, in several pairs of processes: how fast one runs depends on where it was loaded."""
    times: dict[str, list[list[float]]] = {body: [] for body in BODIES}
    for _ in range(PAIRS):
        workers = [Worker(sys.executable), Worker(sdk)]
        for body in BODIES:
            path = ROOT / "benchmarks" / "bodies" / f"{body}.json"
            calls = 4_000_000 // (path.stat().st_size + 1500)
            for worker in workers:
                worker.measure(path, 10 * calls)  # a server that has run for a while, not one that has just begun
            times[body] += [[worker.measure(path, calls) for worker in workers] for _ in range(TURNS)]
        for worker in workers:
            worker.close()
    for body, goal in zip(BODIES, ["at least 6 times", "at least 3 times"], strict=True):
        size = (ROOT / "benchmarks" / "bodies" / f"{body}.json").stat().st_size
        ours, theirs = (statistics.median(column) for column in zip(*times[body], strict=True))
        show(f"Python, {size} bytes: {SDK}", theirs)
        show(f"Python, {size} bytes: handler.handle", ours, theirs / ours, goal)


def imports(sdk: str) -> None:
    """What the import takes in a new process."""
    program = (
        "import time; begin = time.perf_counter_ns(); from pylon.webhooks import WebhookHandler; "
        "print(time.perf_counter_ns() - begin)"
    )

    def measure(interpreter: str) -> float:
        done = subprocess.run([interpreter, "-c", program], check=True, capture_output=True, text=True)
        return float(done.stdout)

    interpreters = [sys.executable, sdk]
    for interpreter in interpreters:
        measure(interpreter)  # leaves compiled modules behind, so that every turn finds them
    times = [[measure(interpreter) for interpreter in interpreters] for _ in range(IMPORT_TURNS)]
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    show(f"Python: import of {SDK}", theirs)
    show("Python: import", ours, theirs / ours, "at least 10 times")


class Worker:
    """A process that times one package."""

    def __init__(self, interpreter: str) -> None:
        command = [interpreter, str(ROOT / "benchmarks" / "worker.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, body: Path, calls: int) -> float:
        """Nanoseconds for one call, over so many."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(body, calls, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def show(what: str, nanoseconds: float, ratio: float | None = None, goal: str = "") -> None:
    """A row of the table."""
    microseconds = f"{nanoseconds / 1000:,.2f} µs"
    print(f"{what:<50}{microseconds:>14}{'' if ratio is None else f'{ratio:8.2f}'}   {goal}".rstrip())


def processor() -> str:
    """The processor's name, as the machine tells it."""
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


if __name__ == "__main__":
    main()
