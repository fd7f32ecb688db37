"""The operator's page with a million events, on both ledgers: each page, each search, and what browsers cost accepting.

A page is asked for over loopback on one connection that stays open, one request after the other, while nothing else comes in. What a
browser does with it is not in the figures.
"""

from __future__ import annotations

import http.client
import json
import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from over_http import BODY, SECRET, signed
from postgres import BACKLOG, SETTINGS, House, conditions
from receiver_servers import Running, Servers, ended
from turns import TURNS, Bench, events, goal, paired

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))
from debian_programs import MissingProgram
from private_servers import Postgres
from servers import free_port, post

#: How often each page is asked for, and of these how often before anything counts.
ASKED, WARM_UP = 100, 10
#: Browsers with a list open, and how often each asks whether it has changed, seconds.
BROWSERS, LIVE_SECONDS = 10, 5.0
CONNECTIONS = 64
#: The index of terms has all but the newest, which are read: in SQLite, and in PostgreSQL.
ALL_INDEXED = "SELECT place + 1024 > (SELECT max(seq) FROM events) FROM term_index"
INDEXED = "SELECT place IS NULL FROM pylon_receiver.chores WHERE name = 'terms'"
OLD = """UPDATE pylon_receiver.chores SET place = (SELECT id FROM pylon_receiver.events ORDER BY id DESC LIMIT 1)
WHERE name = 'terms'"""
#: How long the index may take, seconds.
INDEXING_SECONDS = 900
#: Events that a search looks for, before and behind the many.
RARE = {"issue_number": 31337, "requester_email": "Rare.Customer@example.com"}


def operator_page(cache: Path, release: Path, sdk: str, sdk_name: str, quick: bool) -> Iterator[str]:
    """Measure; the lines of the table, the last one JSON."""
    servers = Servers(release / "pylon-receiver", release / "examples", sdk, None, cache)
    bench = Bench(servers, release / "examples", 1 if quick else TURNS, {})
    count = BACKLOG // 10 if quick else BACKLOG
    yield f"the operator's page with {count:,} events: {ASKED} requests for each, one at a time"
    yield f"{'':<56}{'median':>10}{'p99':>13}"
    with sqlite_filled(bench, count) as server:
        yield from measured(bench, "SQLite", server)
    try:
        postgres = Postgres(**SETTINGS)
    except MissingProgram as error:
        yield f"PostgreSQL was left out: {error}"
    else:
        try:
            house = House(bench, postgres)
            yield from conditions(house)
            with house.filled(count) as database:
                # What was made in SQL is as what was there before the index of terms.
                postgres.sql(OLD, database)
                with house.receivers(database) as (server,):
                    wait_until(lambda: postgres.sql(INDEXED, database) == "t")
                    yield from measured(bench, "PostgreSQL", server)
        finally:
            postgres.end()
    yield from bench.steadiness()
    yield json.dumps({"page": bench.found})


@contextmanager
def sqlite_filled(bench: Bench, count: int) -> Iterator[Running]:
    """A receiver with so many events that wait."""
    with bench.servers.folder() as folder:
        server = bench.servers.receiver(folder, f"sqlite:{folder / 'pylon.db'}", f"127.0.0.1:{free_port()}")
        with ended(server):
            bench.load(server, 256, requests=count, seconds=600)
            if (kept := events(server)) < count:
                raise RuntimeError(f"expected {count} events, found {kept}")
            with closing(sqlite3.connect(f"file:{folder / 'pylon.db'}?mode=ro", uri=True)) as ledger:
                wait_until(lambda: bool(ledger.execute(ALL_INDEXED).fetchone()[0]))
            yield server


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for the index of terms, which is made behind recording."""
    deadline = time.monotonic() + INDEXING_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the index of terms is not complete after {INDEXING_SECONDS} s")
        time.sleep(0.5)


def measured(bench: Bench, name: str, server: Running) -> Iterator[str]:
    """Each page, each search, and what browsers cost."""
    found = bench.found[name] = {}
    body = json.dumps({**json.loads(BODY), **RARE}).encode()
    for _ in range(3):
        if (status := post(server.port, server.path, body, signed(body, SECRET))) != 200:
            raise RuntimeError(f"expected 200, found {status}")
    newest = json.loads(asked(server, "/api/events?limit=1")[0])["events"][0]["id"]
    paths = {
        "overview": "",
        "events": "events",
        "events, a page far back": f"events?after={newest}",
        "an event": f"events/{newest}",
        "dead": "dead",
        "orders": "orders",
        "refused": "refused",
        "a destination": "destinations/app",
        "set-up": "setup",
        "health": "health",
        "search: issue number": f"events?q={RARE['issue_number']}",
        "search: e-mail in capitals": f"events?q={quote(str(RARE['requester_email']).upper())}",
        "search: what is nowhere": "events?q=nobody@example.com",
        "search: what all have": f"events?q={json.loads(BODY)['issue_number']}",
        "filter: dead ones of a kind": "events?state=dead&kind=issue_new",
    }
    for what, path in paths.items():
        took, size = [], 0
        for turn in range(WARM_UP + ASKED):
            page, seconds = asked(server, f"/ui/{path}")
            size = len(page)
            if turn >= WARM_UP:
                took.append(seconds * 1000)
        median, slow = statistics.median(took), statistics.quantiles(took, n=100)[-1]
        found[what] = {"median_milliseconds": median, "p99_milliseconds": slow, "bytes": size}
        is_met = "met" if median <= 50 and slow <= 200 else "MISSED"
        yield f"{f'{name}: {what}':<56}{median:>10.2f} ms{slow:>10.2f} ms   {size / 1000:.0f} KB, goal {is_met}"
    alone, watched = [], []
    for _ in range(bench.turns):
        alone.append(bench.turn(server, CONNECTIONS))
        with browsers(server):
            watched.append(bench.turn(server, CONNECTIONS))
    share = found["accepting_while_watched"] = paired(watched, alone)
    yield goal(f"{name}: accepting with {BROWSERS} live pages beside none", share, 0.97, "")


def asked(server: Running, path: str) -> tuple[bytes, float]:
    """A page, and the seconds until all of it was there."""
    connection = connections.setdefault(server.admin, http.client.HTTPConnection("127.0.0.1", server.admin, timeout=60))
    begin = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    page = answer.read()
    took = time.perf_counter() - begin
    if answer.status != 200:
        raise RuntimeError(f"{path}: expected 200, found {answer.status}")
    return page, took


#: By port.
connections: dict[int, http.client.HTTPConnection] = {}


@contextmanager
def browsers(server: Running) -> Iterator[None]:
    """So many pages that are open and live, each asking in turn."""
    over = threading.Event()

    def watch(wait: float) -> None:
        connection, seen = http.client.HTTPConnection("127.0.0.1", server.admin, timeout=60), ""
        while not over.wait(wait):
            connection.request("GET", "/ui/events", headers={"If-None-Match": seen} if seen else {})
            answer = connection.getresponse()
            answer.read()
            seen = answer.headers["ETag"] or ""
            wait = LIVE_SECONDS
        connection.close()

    with ExitStack() as stack:
        for number in range(BROWSERS):
            thread = threading.Thread(target=watch, args=(number * LIVE_SECONDS / BROWSERS,))
            thread.start()
            stack.callback(thread.join)
        stack.callback(over.set)
        yield
