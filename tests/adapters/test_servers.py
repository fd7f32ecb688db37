"""Servers under load: requests of all kinds at once, each answered as if it were alone."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from expected import check, expected_of
from kinds import AIOHTTP, RUST
from running import Kind, Server, gunicorn, serve, uvicorn
from wire import CASES, Connection, NoAnswer, request_of

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = 1000
SENDERS = 8
SERVERS = [
    uvicorn("fastapi:app"),
    gunicorn("flask:app", "gthread", "--workers", "2", "--threads", "4"),
    AIOHTTP,
    *RUST,
]


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.name)
def test_a_thousand_mixed_requests_are_each_answered_as_the_table_says(kind: Kind, tmp_path: Path) -> None:
    # All cases alike, in an order that no case was thought out for, and the same in every run.
    names = [name for _, name in zip(range(REQUESTS), [*CASES] * (REQUESTS // len(CASES) + 1), strict=False)]
    random.Random(1).shuffle(names)
    with serve(kind, tmp_path) as server:
        with ThreadPoolExecutor(SENDERS) as pool:
            answered = sum(pool.map(lambda shift: send_all(server, names[shift::SENDERS]), range(SENDERS)))
        expected = Counter(name for case in names for name in expected_of(CASES[case], kind).handled)
        assert Counter(server.handled) == expected, server.output
    assert answered == REQUESTS


def send_all(server: Server, names: list[str]) -> int:
    """Send the cases one after the other, over one connection as long as it lasts; how many were answered."""
    connection, fresh, answered = Connection(server.port), True, 0
    for name in names:
        request = request_of(CASES[name], server.kind.path)
        try:
            answer = connection.ask(request)
        except NoAnswer:
            # A server may close a connection that nothing is under way on; not one that is new.
            assert not fresh, server.output
            connection.close()
            connection = Connection(server.port)
            answer = connection.ask(request)
        check(answer, expected_of(CASES[name], server.kind), server)
        answered += 1
        fresh = not answer.reusable
        if fresh:
            connection.close()
            connection = Connection(server.port)
    connection.close()
    return answered
