"""What the parts of `make bench` that load a receiver share: turns, their medians and ratios, the app behind, goals."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from over_http import SECRET
from receiver_servers import PATIENCE, Running, Servers

TURNS = 3
#: Of one turn, after one that nobody counts.
SECONDS = 3.0
WARM_UP_SECONDS = 0.5
#: A disk that was so many times slower at one time than at another makes a run worthless.
MOST_UNSTEADY = 3.0


@dataclass
class Bench:
    """Where things are, and what was found."""

    servers: Servers
    examples: Path
    turns: int
    found: dict[str, Any]
    #: Microseconds, one beside each turn.
    syncs: list[float] = field(default_factory=list)

    def start_load(
        self, servers: Sequence[Running], connections: int, rate: float | str = "max", **more: object
    ) -> subprocess.Popen[str]:
        """Start the generator: on these servers, which share the connections."""
        command = [str(self.examples / "open_loop"), "--path", servers[0].path]
        for server in servers:
            command += ["--to", f"127.0.0.1:{server.port}"]
        command += ["--connections", str(connections), "--rate", str(rate)]
        for name, value in more.items():
            command += [f"--{name}", str(value)]
        environment = {**os.environ, "PYLON_WEBHOOK_SECRET": SECRET}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def load(
        self, servers: Running | Sequence[Running], connections: int, rate: float | str = "max", **more: object
    ) -> dict[str, Any]:
        """What the generator measured, of answers that all were 200."""
        servers = [servers] if isinstance(servers, Running) else servers
        measured = measured_by(self.start_load(servers, connections, rate, **(more or {"seconds": SECONDS})))
        if set(measured["answered"]) - {"200"} or measured["broken"]:
            raise RuntimeError(f"port {servers[0].port}: not everything was answered 200: {measured}")
        return measured

    def plain(self, address: str, connections: int) -> float:
        """Requests a second of the generator that posts to an app directly."""
        command = [str(self.examples / "open_loop"), "--to", address, "--path", "/webhook"]
        command += ["--connections", str(connections), "--seconds", str(SECONDS)]
        environment = {**os.environ, "PYLON_WEBHOOK_SECRET": SECRET}
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
        per_second: float = json.loads(done.stdout)["per_second"]
        return per_second

    def turn(self, servers: Running | Sequence[Running], connections: int, rate: float | str = "max") -> dict[str, Any]:
        """One turn on a server, or on several together, that have just been started."""
        self.load(servers, connections, seconds=WARM_UP_SECONDS)
        # What the disk gives changes while others use the machine: measured beside each turn, it tells which figures compare.
        with self.servers.folder() as folder:
            sync = sync_microseconds(folder)
        self.syncs.append(sync)
        return {**self.load(servers, connections, rate), "sync_microseconds": sync, "load_average": os.getloadavg()[0]}

    def steadiness(self) -> Iterator[str]:
        """Note how many times slower the disk was in its slowest turn than in its fastest; a warning if that is too much."""
        unsteadiness = self.found["unsteadiness"] = max(self.syncs) / min(self.syncs)
        if unsteadiness > MOST_UNSTEADY:
            yield f"THE MACHINE WAS NOT STEADY: a sync took {min(self.syncs):,.0f} to {max(self.syncs):,.0f} µs beside the turns, so that rows"
            yield "measured at different times do not compare, and no goal is met or missed by this run: run it again on a quiet machine"


def measured_by(generator: subprocess.Popen[str]) -> dict[str, Any]:
    """What the generator measured, once it has ended."""
    try:
        output, errors = generator.communicate(timeout=900)
    except BaseException:
        generator.kill()
        generator.communicate()
        raise
    if generator.returncode != 0:
        raise RuntimeError(f"{generator.args!r} ended with {generator.returncode}: {errors}")
    measured: dict[str, Any] = json.loads(output)
    return measured


def sync_microseconds(folder: Path) -> float:
    """The median time to append 4 KiB and have them on the disk."""
    times = []
    with open(folder / "sync", "ab", buffering=0) as file:
        for _ in range(200):
            begin = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


def file_system(folder: Path) -> str:
    """The kind of file system that a folder is on."""
    command = ["df", "--output=fstype", str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]


@dataclass
class App:
    """An app that takes everything."""

    address: str
    output: Path

    def arrivals(self) -> list[tuple[str, int]]:
        """The id in each delivery that has come, and when, in nanoseconds of the machine's monotonic clock."""
        # The first line is the address, what follows the last line end is a line that is not whole.
        lines = [line.split() for line in self.output.read_text().split("\n")[1:-1]]
        return [(name, int(moment)) for name, moment in lines]


@contextmanager
def sink(bench: Bench) -> Iterator[App]:
    """Start the app, end it when the block ends."""
    with bench.servers.folder() as folder:
        output = folder / "output"
        with open(output, "wb") as file:
            process = subprocess.Popen([str(bench.examples / "sink")], stdin=subprocess.PIPE, stdout=file)
        try:
            deadline = time.monotonic() + PATIENCE
            while "\n" not in output.read_text():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the app that is to be delivered to does not listen")
                time.sleep(0.01)
            yield App(output.read_text().split()[0], output)
        finally:
            process.kill()
            process.communicate()


def drained(server: Running) -> float:
    """Deliveries a second until next to nothing is left; what failed while it was filled waits for its retries."""
    begin, at_first = time.monotonic(), left(server)
    deadline = begin + PATIENCE
    while (now_left := left(server)) > at_first / 1000:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{now_left} of {at_first} events are left after {PATIENCE} s")
        time.sleep(0.1)
    return (at_first - now_left) / (time.monotonic() - begin)


def stats(server: Running) -> dict[str, Any]:
    """What the admin API tells of the ledger."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.admin}/api/stats", timeout=60) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def left(server: Running) -> int:
    """How many deliveries are left to be done."""
    return sum(there["waiting"] + there["held"] + there["delivering"] for there in stats(server)["destinations"])


def events(server: Running) -> int:
    """How many events the receiver keeps."""
    kept: int = stats(server)["events"]
    return kept


def summary(turns: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of turns."""
    quantiles = {
        f"{name}_milliseconds": statistics.median(turn["microseconds"][name] for turn in turns) / 1000
        for name in ["p50", "p90", "p99", "p999", "max"]
    }
    names = ["per_second", "late_starts", "not_sent", "sync_microseconds", "load_average"]
    others = {name: statistics.median(turn[name] for turn in turns) for name in names}
    return {**others, **quantiles}


def paired(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> float:
    """The median of the ratios of turns that were taken one after the other, under the same conditions as far as can be."""
    ratios = [one["per_second"] / other["per_second"] for one, other in zip(ours, theirs, strict=True)]
    return float(statistics.median(ratios))


def times(row: dict[str, float]) -> str:
    """Of a row of the table."""
    return f"p50 {row['p50_milliseconds']:.2f} ms, p99 {row['p99_milliseconds']:.2f} ms"


def goal(what: str, value: float, limit: float, unit: str, *, at_most: bool = False) -> str:
    """A row that has a goal."""
    is_met = value <= limit if at_most else value >= limit
    bound = "at most" if at_most else "at least"
    return f"{what:<56}{value:>10.2f}{unit}   goal: {bound} {limit:g}{unit}, {'met' if is_met else 'MISSED'}"
