"""The receiver under load: what durability costs, beside what it replaces, and with a backlog of a million events.

Everything in one run on one machine. Contestants take turns, each on a server that was just started; figures are medians of
the turns. Requests come from `open_loop`, each signed and with an id of its own. Servers and generator share all cores.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from over_http import BODY
from receiver_servers import PATIENCE, Running, Servers, debian_webhook, ended, wait_for
from servers import free_port
from turns import (
    SECONDS,
    TURNS,
    WARM_UP_SECONDS,
    Bench,
    drained,
    events,
    file_system,
    goal,
    left,
    paired,
    sink,
    summary,
    sync_microseconds,
    times,
)

CONNECTIONS = [1, 64, 256]
#: Of the most that was answered in a closed loop.
SHARES = [0.5, 0.8]
BACKLOG = 1_000_000
#: One at a time, far apart.
UNLOADED_RATE, UNLOADED_SECONDS = 20, 10
DELIVERING_SECONDS = 10
#: A backlog that is delivered to its end, with these many attempts at a time.
DRAINED, DRAIN_CONCURRENCY = 200_000, [8, 64]
#: Of accepting and delivering at once, seconds; what may be left behind at its end is what arrives in a tenth of a second.
AT_ONCE_SECONDS, AT_ONCE_LEFT_SECONDS = 10, 0.1
#: The first rate that is tried; the next is higher as long as it keeps up.
AT_ONCE_RATE = 6_000


def receiver(cache: Path, release: Path, sdk: str, sdk_name: str, quick: bool) -> Iterator[str]:
    """Measure; the lines of the table, the last one JSON."""
    webhook, said = debian_webhook(cache)
    servers = Servers(release / "pylon-receiver", release / "examples", sdk, webhook, cache)
    bench = Bench(servers, release / "examples", 1 if quick else TURNS, {})
    yield from conditions(bench, said)
    yield from closed_loop(bench, sdk_name)
    yield from open_loop(bench)
    yield from unloaded(bench)
    yield from drain(bench, DRAINED // 4 if quick else DRAINED)
    yield from both_at_once(bench)
    if quick:
        yield "the backlog was left out: --quick"
    else:
        yield from backlog(bench)
    yield from bench.steadiness()
    yield json.dumps({"receiver": bench.found})


def conditions(bench: Bench, said: str) -> Iterator[str]:
    """What the figures were measured under."""
    with bench.servers.folder() as folder:
        kind, sync = file_system(folder), sync_microseconds(folder)
    bench.found["conditions"] = {
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "file_system": kind,
        "sync_microseconds": sync,
        "load_average_before": os.getloadavg()[0],
        "body_bytes": len(BODY),
        "turns": bench.turns,
        "seconds": SECONDS,
        "webhook": said,
    }
    yield f"receiver: {len(BODY)} bytes, medians of {bench.turns} turns of {SECONDS:.0f} s, server and generator on the same"
    yield f"{len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, {kind}, page cache warm, {sync:,.0f} µs for"
    yield f"4 KiB and a sync, load average {os.getloadavg()[0]:.1f} before; warnings alone are logged; {said}"


def closed_loop(bench: Bench, sdk_name: str) -> Iterator[str]:
    """As fast as answers come."""
    contestants: list[tuple[str, str, Callable[[], AbstractContextManager[Running]]]] = [
        ("durable", "receiver, SQLite ledger", bench.servers.durable),
        ("null", "receiver, null ledger", bench.servers.null),
        ("fastapi", f"FastAPI, {sdk_name}, one worker", bench.servers.fastapi),
    ]
    if bench.servers.webhook is not None:
        contestants.append(("webhook", "Debian's webhook, /bin/true", bench.servers.debian))
    found = bench.found["closed_loop"] = {}
    yield f"{'':<44}{'connections':>12}{'a second':>10}{'of null':>9}{'x FastAPI':>11}   time to answer"
    for connections in CONNECTIONS:
        turns: dict[str, list[dict[str, Any]]] = {key: [] for key, _, _ in contestants}
        for _ in range(bench.turns):
            for key, _, start in contestants:
                with start() as server:
                    turns[key].append(bench.turn(server, connections))
        rows = found[str(connections)] = {key: summary(measured) for key, measured in turns.items()}
        for key, name, _ in contestants:
            rate = rows[key]["per_second"]
            rows[key] |= {f"of_{other}": paired(turns[key], turns[other]) for other in ["null", "fastapi"]}
            ratios = f"{rows[key]['of_null']:>9.2f}{rows[key]['of_fastapi']:>11.1f}"
            yield f"{name:<44}{connections:>12}{rate:>10,.0f}{ratios}   {times(rows[key])}"
    at_64 = found["64"]
    yield goal("durable beside null, 64 connections", at_64["durable"]["of_null"], 0.6, "")
    yield goal("durable beside FastAPI, 64 connections", at_64["durable"]["of_fastapi"], 8, " times")
    yield goal("durable, p99 at 64 connections", at_64["durable"]["p99_milliseconds"], 15, " ms", at_most=True)


def open_loop(bench: Bench) -> Iterator[str]:
    """At even intervals, the time counted from when a request was due."""
    most = bench.found["closed_loop"]["64"]["durable"]["per_second"]
    found = bench.found["open_loop"] = {}
    for share in SHARES:
        rate = round(most * share)
        turns: dict[str, list[dict[str, Any]]] = {"durable": [], "null": []}
        for _ in range(bench.turns):
            for key, start in [("durable", bench.servers.durable), ("null", bench.servers.null)]:
                with start() as server:
                    turns[key].append(bench.turn(server, 64, rate))
        rows = found[str(rate)] = {key: summary(measured) for key, measured in turns.items()}
        for key, row in rows.items():
            name = f"{key}, open loop at {rate:,}/s ({share:.0%} of the most)"
            yield f"{name:<44}{64:>12}{row['per_second']:>10,.0f}{'':>20}   {times(row)}"


def unloaded(bench: Bench) -> Iterator[str]:
    """From the answer to the arrival at the app, one event at a time."""
    with sink(bench) as app, bench.servers.durable(app.address) as server:
        ids = server.folder / "ids"
        bench.load(server, 1, UNLOADED_RATE, seconds=UNLOADED_SECONDS, ids=ids)
        sent = {line.split()[0]: line.split()[2:] for line in ids.read_text().splitlines()}
        # The delivery that proved the server ready has an id of its own and is passed over.
        deadline = time.monotonic() + PATIENCE
        while missing := sent.keys() - (arrived := dict(app.arrivals())).keys():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(missing)} of {len(sent)} events have not arrived within {PATIENCE} s")
            time.sleep(0.05)
    from_answer = [(arrived[name] - int(answered)) / 1e6 for name, (_, answered) in sent.items()]
    from_sending = [(arrived[name] - int(begun)) / 1e6 for name, (begun, _) in sent.items()]
    bench.found["unloaded"] = {
        "events": len(sent),
        "accept_to_delivery_milliseconds": statistics.median(from_answer),
        "sending_to_delivery_milliseconds": statistics.median(from_sending),
        "most_milliseconds": max(from_sending),
    }
    yield goal("from the answer to the app, unloaded, median", statistics.median(from_answer), 10, " ms", at_most=True)
    yield f"{'from sending to the app, unloaded, median':<56}{statistics.median(from_sending):>10.2f} ms"


def drain(bench: Bench, events: int) -> Iterator[str]:
    """A backlog that is delivered to its end, beside a plain client that posts to the same app."""
    found = bench.found["drain"] = {}
    with bench.servers.folder() as kept:
        ledger = kept / "pylon.db"
        with ended(bench.servers.receiver(kept, f"sqlite:{ledger}")) as server:
            bench.load(server, 256, requests=events)
        for concurrency in DRAIN_CONCURRENCY:
            shares, rates, plains = [], [], []
            for _ in range(bench.turns):
                with bench.servers.folder() as folder, sink(bench) as app:
                    plain = bench.plain(app.address, concurrency)
                    shutil.copy(ledger, folder / "pylon.db")
                    address = f"sqlite:{folder / 'pylon.db'}"
                    server = bench.servers.receiver(folder, address, app.address, concurrency=concurrency)
                    with ended(server):
                        rate = drained(server)
                rates.append(rate)
                plains.append(plain)
                shares.append(rate / plain)
            share = statistics.median(shares)
            found[str(concurrency)] = {
                "events": events,
                "per_second": statistics.median(rates),
                "plain_per_second": statistics.median(plains),
                "of_plain": share,
            }
            name = f"draining {events:,} events, {concurrency} at a time"
            yield f"{name:<56}{statistics.median(rates):>10,.0f} a second; a plain client {statistics.median(plains):,.0f}"
            yield goal(f"draining beside a plain client, {concurrency} at a time", share, 0.4, "")


def both_at_once(bench: Bench) -> Iterator[str]:
    """Accepting and delivering at once, at the highest rate at which nothing is left behind."""
    rate, steady = AT_ONCE_RATE, 0.0
    with sink(bench) as app:
        while True:
            with (
                bench.servers.folder() as folder,
                ended(
                    bench.servers.receiver(folder, f"sqlite:{folder / 'pylon.db'}", app.address, concurrency=64)
                ) as server,
            ):
                measured = bench.load(server, 64, rate, seconds=AT_ONCE_SECONDS)
                behind = left(server)
            if behind > rate * AT_ONCE_LEFT_SECONDS or measured["per_second"] < rate * 0.98:
                break
            steady, rate = measured["per_second"], round(rate * 1.15)
    bench.found["both_at_once"] = {"per_second": steady}
    yield goal("accepting and delivering at once, nothing left behind", steady, 12_000, " a second")


def backlog(bench: Bench) -> Iterator[str]:
    """A million events that cannot be delivered: accepting, memory, restart, and delivering them after all."""
    found = bench.found["backlog"] = {}
    with bench.servers.folder() as folder:
        destination = f"127.0.0.1:{free_port()}"
        ledger = f"sqlite:{folder / 'pylon.db'}"
        server = bench.servers.receiver(folder, ledger, destination)
        with ended(server):
            begin = time.monotonic()
            bench.load(server, 256, requests=BACKLOG, seconds=600)
            found["filling_seconds"] = time.monotonic() - begin
            found["events"] = events(server)
            if found["events"] < BACKLOG:
                raise RuntimeError(f"expected a backlog of {BACKLOG} events, found {found['events']}")
            empty, full = [], []
            for _ in range(bench.turns):
                with bench.servers.durable(destination) as other:
                    empty.append(bench.turn(other, 64))
                full.append(bench.turn(server, 64))
            found["empty"], found["full"] = summary(empty), summary(full)
            found["memory_bytes"] = server.memory("VmRSS")
            found["most_memory_bytes"] = server.memory("VmHWM")
        share = paired(full, empty)
        name = f"SQLite ledger, {found['events']:,} events waiting"
        yield f"{name:<44}{64:>12}{found['full']['per_second']:>10,.0f}{'':>20}   {times(found['full'])}"
        yield goal("accepting with the backlog beside an empty ledger", share, 0.9, "")
        yield goal("memory with the backlog, the most", found["most_memory_bytes"] / 1e6, 100, " MB", at_most=True)
        for how in [signal.SIGTERM, signal.SIGKILL]:
            restarts = [restart(bench, folder, ledger, destination, how) for _ in range(bench.turns)]
            found[f"restart_seconds_after_{how.name}"] = statistics.median(restarts)
            yield goal(
                f"from the start to the first 200, after {how.name}", statistics.median(restarts), 2, " s", at_most=True
            )
        yield from delivering(bench, folder, ledger)


def restart(bench: Bench, folder: Path, ledger: str, destination: str, how: signal.Signals) -> float:
    """Seconds from the start of the process to the first 200, after one that ended so."""
    with ended(bench.servers.receiver(folder, ledger, destination)) as server:
        bench.load(server, 64, seconds=WARM_UP_SECONDS)
        server.end(how)
    begin = time.monotonic()
    with ended(bench.servers.receiver(folder, ledger, destination, until_it_answers=False)) as server:
        wait_for(server)
        return time.monotonic() - begin


def delivering(bench: Bench, folder: Path, ledger: str) -> Iterator[str]:
    """Memory while the backlog is delivered, for a while."""
    with sink(bench) as app, ended(bench.servers.receiver(folder, ledger, app.address)) as server:
        time.sleep(DELIVERING_SECONDS)
        rate = len(app.arrivals()) / DELIVERING_SECONDS
        most = server.memory("VmHWM")
    bench.found["backlog"] |= {"delivered_per_second": rate, "most_memory_bytes_delivering": most}
    yield goal(f"memory while delivering {rate:,.0f} a second, the most", most / 1e6, 100, " MB", at_most=True)
