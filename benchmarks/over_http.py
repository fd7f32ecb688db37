"""Requests a second over loopback HTTP: a route by hand on py-usepylon-sdk and on this package, and the two routers.

One process each, the same client (`load.rs`) on a core of its own where `taskset` can give it one, taking turns. The servers
are started anew several times: how fast one runs depends on where it was loaded.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))
from servers import Server, free_port, serve

SECRET = "your-webhook-secret"
BODY = (ROOT / "benchmarks" / "bodies" / "issue_new_small.json").read_bytes()
CONNECTIONS = 16
STARTS = 3
ROUNDS = 10


@dataclass
class Contestant:
    """An app, and what was measured of it."""

    name: str
    command: list[str]  # `{port}` stands for the port
    requests: int  # of one turn, about a quarter of a second
    turns: list[dict[str, float]] = field(default_factory=list)

    def median(self, what: str) -> float:
        """Of all turns."""
        return statistics.median(turn[what] for turn in self.turns)


def over_http(sdk: str, sdk_name: str, examples: Path) -> Iterator[str]:
    """Measure; the lines of the table."""
    contestants = [
        Contestant(f"FastAPI, route by hand: {sdk_name}", uvicorn(sdk, "fastapi_sdk"), 1_000),
        Contestant("FastAPI, route by hand: this package", uvicorn(sys.executable, "fastapi_document"), 1_200),
        Contestant("FastAPI, webhook_router", uvicorn(sys.executable, "fastapi_router"), 1_200),
        Contestant("axum, webhook_router, one worker thread", [str(examples / "bench_axum")], 20_000),
    ]
    server_core, client_core, where = cores()
    client = [*client_core, str(examples / "load")]
    for _ in range(STARTS):
        with ExitStack() as stack:
            servers: list[Server] = []
            for contestant in contestants:
                port = free_port()
                command = [*server_core, *(part.format(port=port) for part in contestant.command)]
                # The SDK's environment must find the SDK, whatever this one was told to find.
                paths = {"PYTHONPATH": ""} if sdk in command else {}
                address = f"127.0.0.1:{port}"
                served = serve(command, port, PYLON_WEBHOOK_SECRET=SECRET, ADDRESS=address, **paths)
                servers.append(stack.enter_context(served))
            for turn in range(1 + ROUNDS):
                for contestant, server in zip(contestants, servers, strict=True):
                    check(contestant.name, server)
                    measured = load(client, server.port, contestant.requests)
                    if turn > 0:  # the first leaves a server that has run for a while
                        contestant.turns.append(measured)
    busy = max(contestant.median("client_busy") for contestant in contestants)
    yield f"HTTP, {len(BODY)} bytes, {CONNECTIONS} connections kept alive, one process each (uvicorn: one worker, h11, asyncio,"
    yield f"no access log), {where}; the client was busy at most {busy:.0%} of the time"
    yield f"{'':<50}{'requests a s':>14}{'ratio':>8}   time to answer"
    theirs = contestants[0].median("per_second")
    for contestant in contestants:
        rate = contestant.median("per_second")
        ratio = f"{rate / theirs:8.2f}" if contestant is not contestants[0] else " " * 8
        p50, p99 = (contestant.median(f"p{share}_microseconds") / 1000 for share in (50, 99))
        yield f"{contestant.name:<50}{rate:>14,.0f}{ratio}   p50 {p50:.2f} ms, p99 {p99:.2f} ms"


def uvicorn(interpreter: str, app: str) -> list[str]:
    """The command that serves an app of this folder."""
    served = [interpreter, "-m", "uvicorn", "--app-dir", str(ROOT / "benchmarks"), "--port", "{port}", f"{app}:app"]
    return [*served, "--workers", "1", "--http", "h11", "--loop", "asyncio", "--no-access-log", "--log-level", "error"]


def cores() -> tuple[list[str], list[str], str]:
    """What to put before the command of a server, what before that of the client, and what to say of it."""
    taskset = shutil.which("taskset")
    usable = sorted(os.sched_getaffinity(0))
    if taskset is None or len(usable) < 2:
        return [], [], "servers and client share the cores"
    server, client = usable[:2]
    where = f"servers on core {server}, client on core {client}"
    return [taskset, "-c", str(server)], [taskset, "-c", str(client)], where


def signed(body: bytes, secret: str) -> dict[str, str]:
    """The headers of a delivery signed over the body alone, which is all that the SDK verifies."""
    return {"X-Pylon-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def check(name: str, server: Server) -> None:
    """A server that does not verify, or does not answer, is not measured."""
    for secret, expected in [("another-secret", 401), (SECRET, 200)]:
        status = server.post("/webhook", BODY, signed(BODY, secret))
        if status != expected:
            raise RuntimeError(f"{name}: {status} in place of {expected}")


def load(client: list[str], port: int, requests: int) -> dict[str, float]:
    """What the client measured in one turn, and the part of the time that it was busy itself."""
    address = f"127.0.0.1:{port}"
    headers = {
        "Host": address,
        "Content-Type": "application/json",
        "Content-Length": str(len(BODY)),
        **signed(BODY, SECRET),
    }
    head = "\r\n".join(["POST /webhook HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [*client, address, str(CONNECTIONS), str(requests)]
    done = subprocess.run(command, check=False, input=head.encode() + BODY, capture_output=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(f"{command!r} ended with {done.returncode}: {done.stdout!r} {done.stderr!r}")
    measured: dict[str, float] = json.loads(done.stdout)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**measured, "client_busy": busy / measured["seconds"]}
