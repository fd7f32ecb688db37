"""The receiver on PostgreSQL: beside its SQLite ledger, beside what it replaces, beside pgbench, with a million waiting, and when
PostgreSQL fails over.

Everything in one run on one machine, as in `receiver`: contestants take turns, figures are medians of the turns. PostgreSQL is a
private one that syncs to disk; receivers, generator and database share all cores. Receivers reach it over loopback TCP.
"""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from over_http import BODY
from receiver_servers import PATIENCE, Running, Servers, ended
from turns import (
    SECONDS,
    TURNS,
    Bench,
    drained,
    events,
    file_system,
    goal,
    left,
    measured_by,
    paired,
    sink,
    summary,
    sync_microseconds,
    times,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))
from debian_programs import MissingProgram
from private_servers import Postgres
from servers import free_port

CONNECTIONS = 64
#: How many receivers share one PostgreSQL.
SEVERAL = 3
#: What is not PostgreSQL's own default; a full page is written after a checkpoint, as by default.
SETTINGS = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "1GB", "max_wal_size": "4GB"}
#: Rows in a commit, connections and seconds of pgbench.
BATCHES, CLIENTS, PGBENCH_SECONDS = [1, 32, 128], [1, 4], 2
#: Waiting events, and those that are copied in one statement.
BACKLOG, COPIED_AT_ONCE = 1_000_000, 100_000
#: A backlog that is delivered to its end: attempts at a time, and at how many receivers.
DRAINED, DRAINS = 40_000, [(8, 1), (64, 1), (64, SEVERAL)]
#: Of claims.
CLAIM_TURNS, SMALL_BACKLOG = 100, 10_000
#: A fail-over under load: requests a second, and connections enough for all that may wait for an answer.
FAIL_OVER_RATE, FAIL_OVER_CONNECTIONS = 50, 400
#: Of a fail-over, seconds: all is well, nobody is there, and how long requests come from then on.
WELL_SECONDS, NOBODY_SECONDS, AFTER_SECONDS = 2, 3, 7

#: In the order of time, as the ids that the receiver makes.
NEW_ID = """(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
    || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid"""

#: Copies of an event that a receiver has recorded, each with its delivery, due now; and what the ledger counts of them.
COPY = f"""
SET search_path = pylon_receiver;
WITH sample AS MATERIALIZED (
    SELECT events.*, number, destination, size FROM events JOIN open ON event_id = id ORDER BY id LIMIT 1
),
new AS (
    INSERT INTO events (id, endpoint, name, kind, method, target, query, parked, headers, body)
    SELECT {NEW_ID}, endpoint, name, kind, method, target, query, parked, headers, body
    FROM sample CROSS JOIN generate_series(1, %(count)s) RETURNING id
),
opened AS (
    INSERT INTO open (event_id, number, seq, destination, state, is_repeat, size, due_at)
    SELECT new.id, number, nextval('deliveries_seq'), destination, 0, false, size, (SELECT tick()) FROM new CROSS JOIN sample
)
INSERT INTO tallies (destination, events, waiting)
SELECT '', %(count)s, 0 FROM sample UNION ALL SELECT destination, 0, %(count)s FROM sample"""

#: The same two rows an event as the receiver writes, in one commit; the body comes from the client.
INSERT = f"""
WITH new AS (
    INSERT INTO events (id, endpoint, name, kind, method, target, query, parked, headers, body)
    SELECT {NEW_ID}, endpoint, name, kind, method, target, query, parked, headers, convert_to(:body, 'UTF8')
    FROM (SELECT * FROM events ORDER BY id LIMIT 1) AS sample CROSS JOIN generate_series(1, :batch) RETURNING id
)
INSERT INTO open (event_id, number, seq, destination, state, is_repeat, size, due_at)
SELECT id, 1, nextval('deliveries_seq'), 'app', 0, false, {len(BODY)}, (SELECT tick()) FROM new;
"""


def postgres(cache: Path, release: Path, sdk: str, sdk_name: str, quick: bool) -> Iterator[str]:
    """Measure; the lines of the table, the last one JSON."""
    servers = Servers(release / "pylon-receiver", release / "examples", sdk, None, cache)
    bench = Bench(servers, release / "examples", 1 if quick else TURNS, {})
    try:
        server = Postgres(**SETTINGS)
    except MissingProgram as error:
        yield f"the receiver on PostgreSQL was left out: {error}"
        return
    try:
        house = House(bench, server)
        yield from conditions(house)
        yield from accepting(house, sdk_name)
        yield from beside_pgbench(house)
        yield from draining(house, DRAINED // 4 if quick else DRAINED)
        yield from backlog(house, BACKLOG // 10 if quick else BACKLOG)
    finally:
        server.end()
    yield from failing_over(bench)
    yield from bench.steadiness()
    yield json.dumps({"postgres": bench.found})


class House:
    """A PostgreSQL, and receivers in front of it."""

    def __init__(self, bench: Bench, server: Postgres) -> None:
        self.bench = bench
        self.server = server

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A new database, for a while."""
        name = f"{template}_{time.monotonic_ns()}"
        self.server.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            self.server.sql(f"DROP DATABASE {name} WITH (FORCE)")

    @contextmanager
    def receivers(
        self, database: str, count: int = 1, destination: str = "", *, concurrency: int = 8
    ) -> Iterator[list[Running]]:
        """Receivers that share this database."""
        with ExitStack() as stack:
            destination = destination or f"127.0.0.1:{free_port()}"
            yield [
                stack.enter_context(
                    receiver_on([self.server], database, self.bench, destination, concurrency=concurrency)
                )
                for _ in range(count)
            ]

    @contextmanager
    def fresh(self, count: int) -> Iterator[list[Running]]:
        """Receivers that share a new database."""
        with self.database() as database, self.receivers(database, count) as receivers:
            yield receivers

    @contextmanager
    def filled(self, count: int) -> Iterator[str]:
        """A database with this number of waiting deliveries."""
        with self.database() as database:
            with self.receivers(database):
                pass
            for already in range(0, count, COPIED_AT_ONCE):
                self.server.sql(COPY % {"count": min(COPIED_AT_ONCE, count - already)}, database)
            # As autovacuum leaves it.
            self.server.sql("VACUUM (ANALYZE)", database)
            self.server.sql("CHECKPOINT")
            with self.receivers(database) as (one,):
                if (kept := events(one)) < count or left(one) < count:
                    raise RuntimeError(f"expected {count} waiting events, found {kept}, of which {left(one)} wait")
            yield database


@contextmanager
def receiver_on(
    hosts: list[Postgres], database: str, bench: Bench, destination: str, *, concurrency: int = 8, settings: str = ""
) -> Iterator[Running]:
    """A receiver whose ledger is a database of one of these servers."""
    with bench.servers.folder() as folder:
        places = ",".join(f"127.0.0.1:{host.port}" for host in hosts)
        running = bench.servers.receiver(
            folder,
            f"postgres://postgres@{places}/{database}",
            destination,
            concurrency=concurrency,
            settings='ledger_password = { env = "LEDGER_PASSWORD" }\n' + settings.format(folder=folder),
            LEDGER_PASSWORD=hosts[0].password,
        )
        with ended(running):
            yield running


def conditions(house: House) -> Iterator[str]:
    """What the figures were measured under."""
    bench = house.bench
    with bench.servers.folder() as folder:
        sync = sync_microseconds(folder)
    kind, version = file_system(house.server.folder), house.server.sql("SHOW server_version")
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    bench.found["conditions"] = {
        "cores": cores,
        "kernel": platform.release(),
        "postgresql": version,
        "settings": SETTINGS,
        "file_system": kind,
        "sync_microseconds": sync,
        "load_average_before": load,
        "body_bytes": len(BODY),
        "turns": bench.turns,
        "seconds": SECONDS,
    }
    yield f"receiver on PostgreSQL {version}: {len(BODY)} bytes, medians of {bench.turns} turns of {SECONDS:.0f} s; database, receivers and"
    yield f"generator on the same {cores} cores, Linux {platform.release()}, {kind}, {sync:,.0f} µs for 4 KiB and a sync, load average {load:.1f}"
    yield f"before; {', '.join(f'{name} {value}' for name, value in SETTINGS.items())}"


def accepting(house: House, sdk_name: str) -> Iterator[str]:
    """As fast as answers come."""
    bench = house.bench
    contestants: dict[str, tuple[str, Callable[[], AbstractContextManager[Any]]]] = {
        "sqlite": ("receiver, SQLite ledger", bench.servers.durable),
        "one": ("one receiver on PostgreSQL", lambda: house.fresh(1)),
        "several": (f"{SEVERAL} receivers on one PostgreSQL", lambda: house.fresh(SEVERAL)),
        "fastapi": (f"FastAPI, {sdk_name}, one worker", bench.servers.fastapi),
    }
    turns: dict[str, list[dict[str, Any]]] = {key: [] for key in contestants}
    in_commit: dict[str, list[float]] = {"one": [], "several": []}
    for _ in range(bench.turns):
        for key, (_, start) in contestants.items():
            with start() as started:
                turns[key].append(bench.turn(started, CONNECTIONS))
                if key in ["one", "several"]:
                    in_commit[key].append(events_in_commit(started))
    rows = bench.found["accepting"] = {key: summary(measured) for key, measured in turns.items()}
    yield f"{'':<44}{'connections':>12}{'a second':>10}{'of SQLite':>11}{'x FastAPI':>11}   time to answer"
    for key, (name, _) in contestants.items():
        rows[key] |= {f"of_{other}": paired(turns[key], turns[other]) for other in ["sqlite", "fastapi"]}
        ratios = f"{rows[key]['of_sqlite']:>11.2f}{rows[key]['of_fastapi']:>11.1f}"
        yield f"{name:<44}{CONNECTIONS:>12}{rows[key]['per_second']:>10,.0f}{ratios}   {times(rows[key])}"
    for key, measured in in_commit.items():
        rows[key]["events_in_commit"] = statistics.median(measured)
    yield f"{'events in one commit, of one receiver and of several':<56}{rows['one']['events_in_commit']:>10.1f}, {rows['several']['events_in_commit']:.1f}"
    one = rows["one"]
    yield goal("one receiver beside its SQLite ledger", one["of_sqlite"], 0.5, "")
    yield goal("one receiver beside FastAPI", one["of_fastapi"], 5, " times")
    yield goal("one receiver, p99", one["p99_milliseconds"], 40, " ms", at_most=True)


def events_in_commit(receivers: list[Running]) -> float:
    """The mean since they were started."""
    events_kept, commits = 0.0, 0.0
    for one in receivers:
        with urllib.request.urlopen(f"http://127.0.0.1:{one.admin}/metrics", timeout=10) as answer:
            numbers = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
        events_kept += float(numbers["pylon_receiver_commit_batch_sum"])
        commits += float(numbers["pylon_receiver_commit_batch_count"])
    return events_kept / commits


def beside_pgbench(house: House) -> Iterator[str]:
    """pgbench writes the same rows without a receiver: no HTTP, no signature, and nothing that keeps order or counts."""
    bench, found = house.bench, house.bench.found.setdefault("pgbench", {})
    turns: dict[tuple[int, int], list[dict[str, Any]]] = {
        (clients, batch): [] for clients in CLIENTS for batch in BATCHES
    }
    ours = []
    with house.database() as database:
        with house.receivers(database):
            pass
        house.server.sql(f"ALTER DATABASE {database} SET search_path = pylon_receiver")
        script = house.server.write("insert.sql", INSERT)
        for _ in range(bench.turns):
            with house.fresh(1) as started:
                ours.append(bench.turn(started, CONNECTIONS))
            for (clients, batch), measured in turns.items():
                measured.append({"per_second": pgbench(house.server, database, script, clients, batch)})
    for (clients, batch), measured in turns.items():
        rate = statistics.median(turn["per_second"] for turn in measured)
        share = paired(ours, measured)
        found[f"{clients}_{batch}"] = {"per_second": rate, "receiver_of_it": share}
        name = f"pgbench, {clients} connection{'s' if clients > 1 else ''}, {batch} in a commit"
        yield f"{name:<56}{rate:>10,.0f} a second; one receiver reaches {share:.2f} of it"


def pgbench(server: Postgres, database: str, script: Path, clients: int, batch: int) -> float:
    """Events a second."""
    printed = server.run(
        *(server.programs / "pgbench", "--no-vacuum", "--protocol=prepared", "--file", script),
        *("--client", str(clients), "--jobs", "1", "--time", str(PGBENCH_SECONDS)),
        *("--define", f"batch={batch}", "--define", f"body={BODY.decode()}", server.tcp_url(database)),
    )
    found = re.search(r"^tps = ([0-9.]+)", printed, re.MULTILINE)
    if found is None or "number of failed transactions: 0 " not in printed:
        raise RuntimeError(f"pgbench printed:\n{printed}")
    return float(found[1]) * batch


def draining(house: House, count: int) -> Iterator[str]:
    """A backlog that is delivered to its end, beside a plain client that posts to the same app."""
    bench, found = house.bench, house.bench.found.setdefault("drain", {})
    with house.filled(count) as full:
        for concurrency, several in DRAINS:
            rates, plains = [], []
            for _ in range(bench.turns):
                with sink(bench) as app, house.database(full) as database:
                    plains.append(bench.plain(app.address, concurrency))
                    with house.receivers(database, several, app.address, concurrency=concurrency) as receivers:
                        rates.append(drained(receivers[0]))
            share = statistics.median(rate / plain for rate, plain in zip(rates, plains, strict=True))
            found[f"{several}_{concurrency}"] = {
                "events": count,
                "per_second": statistics.median(rates),
                "plain_per_second": statistics.median(plains),
                "of_plain": share,
            }
            name = f"{several} draining {count:,} events, {concurrency} at a time"
            yield f"{name:<56}{statistics.median(rates):>10,.0f} a second; {share:.2f} of a plain client's {statistics.median(plains):,.0f}"


def backlog(house: House, count: int) -> Iterator[str]:
    """A million events that wait: accepting beside an empty ledger, and what a claim takes."""
    bench, found = house.bench, house.bench.found.setdefault("backlog", {"events": count})
    begin = time.monotonic()
    with house.filled(count) as full:
        found["filling_seconds"] = time.monotonic() - begin
        for several in [1, SEVERAL]:
            turns: dict[str, list[dict[str, Any]]] = {"empty": [], "full": []}
            for _ in range(bench.turns):
                with house.fresh(several) as started:
                    turns["empty"].append(bench.turn(started, CONNECTIONS))
                with house.receivers(full, several) as started:
                    turns["full"].append(bench.turn(started, CONNECTIONS))
            rows = found[f"accepting_{several}"] = {key: summary(measured) for key, measured in turns.items()}
            share = paired(turns["full"], turns["empty"])
            found[f"of_empty_{several}"] = share
            name = f"{several} on PostgreSQL, {count:,} events waiting"
            yield f"{name:<44}{CONNECTIONS:>12}{rows['full']['per_second']:>10,.0f}{'':>22}   {times(rows['full'])}"
            if several == 1:
                yield goal("accepting with the backlog beside an empty ledger", share, 0.85, "")
            else:
                yield f"{'the same with several receivers':<56}{share:>10.2f}"
        with house.filled(SMALL_BACKLOG) as small:
            command = [
                str(bench.examples / "claims"),
                str(CLAIM_TURNS),
                house.server.url(full),
                house.server.url(small),
            ]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"{command!r} ended with {done.returncode}: {done.stderr}")
    large, little = (json.loads(line) for line in done.stdout.splitlines())
    found["claims"] = {"large": large, "small": little}
    yield goal(f"a claim of 64 with {count:,} due, median", large["claim_milliseconds"], 10, " ms", at_most=True)
    yield f"{f'a claim of 64 with {SMALL_BACKLOG:,} due, median':<56}{little['claim_milliseconds']:>10.2f} ms"


def failing_over(bench: Bench) -> Iterator[str]:
    """The primary crashes; its synchronous standby is promoted a while later."""
    without = [fail_over(bench, "") for _ in range(bench.turns)]
    spooling = [fail_over(bench, 'spool = "{folder}/spool.db"\n') for _ in range(bench.turns)]
    first = statistics.median(turn["first_seconds"] for turn in without)
    promotion = statistics.median(turn["promotion_seconds"] for turn in without)
    refused = max(turn["refused"] for turn in spooling)
    bench.found["fail_over"] = {"without_spool": without, "with_spool": spooling}
    yield goal("from promotion to the first 200, without a spool", first, 5, " s", at_most=True)
    yield f"{'  of that until PostgreSQL says that it is promoted':<56}{promotion:>10.2f} s"
    yield goal("requests refused over it, with a spool, the most", refused, 0, "", at_most=True)


def fail_over(bench: Bench, settings: str) -> dict[str, float]:
    """What happened to requests; seconds from the order to promote the standby."""
    with ExitStack() as stack:
        primary = Postgres(**SETTINGS)
        stack.callback(primary.end)
        standby = primary.standby()
        stack.callback(standby.end)
        folder = stack.enter_context(bench.servers.folder())
        nobody = f"127.0.0.1:{free_port()}"
        server = stack.enter_context(receiver_on([primary, standby], "postgres", bench, nobody, settings=settings))
        generator = bench.start_load(
            [server],
            FAIL_OVER_CONNECTIONS,
            FAIL_OVER_RATE,
            seconds=WELL_SECONDS + NOBODY_SECONDS + AFTER_SECONDS,
            ids=folder / "ids",
        )
        try:
            time.sleep(WELL_SECONDS)
            primary.stop(signal.SIGQUIT)
            died = time.monotonic_ns()
            time.sleep(NOBODY_SECONDS)
            ordered = time.monotonic_ns()
            standby.promote()
            promoted = time.monotonic_ns()
        except BaseException:
            generator.kill()
            raise
        finally:
            measured = measured_by(generator)
        # Each line: the id in the body, the event's id, when it was sent and when it was answered 200.
        accepted = [int(line.split()[3]) for line in (folder / "ids").read_text().splitlines()]
        if settings:
            complete(server, len(accepted))
        elif early := [at for at in accepted if died < at < ordered]:
            raise RuntimeError(f"{len(early)} requests were answered 200 while there was no primary")
    sent: int = measured["sent"]
    return {
        "sent": sent,
        "refused": sent - len(accepted) + measured["not_sent"],
        "first_seconds": (min(at for at in accepted if at >= ordered) - ordered) / 1e9,
        "promotion_seconds": (promoted - ordered) / 1e9,
    }


def complete(server: Running, accepted: int) -> None:
    """Wait until the ledger has all events that were answered 200, and the one that proved the server ready."""
    deadline = time.monotonic() + PATIENCE
    while (kept := events(server)) != accepted + 1:
        if time.monotonic() > deadline:
            raise RuntimeError(f"expected {accepted + 1} events in the ledger, found {kept}")
        time.sleep(0.1)
