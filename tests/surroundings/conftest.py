"""Starts the built receiver for the tests of this folder, and lets them import what they share."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[2] / "tools")]

from operator_page import DESTINATION, App
from private_servers import NatsServer, PgBouncer, Postgres
from programs import skips_where_missing
from receiver import Receiver, receiver_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from browser import Tab
    from playwright.sync_api import Browser


@pytest.fixture
def start_receiver(tmp_path: Path) -> Iterator[Callable[..., Receiver]]:
    """Starts receivers, each with a configuration of its own; ends them after the test."""
    program = receiver_program()
    if not program.is_file():
        pytest.skip(f"no {program}: run `cargo build -p pylon-receiver-cli`")
    started: list[Receiver] = []

    def start(configuration: str = "", **arguments: object) -> Receiver:
        folder = tmp_path / f"receiver-{len(started)}"
        folder.mkdir()
        started.append(Receiver(program, folder, configuration, **arguments))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for receiver in started:
        receiver.end()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that all tests share; each makes databases of its own."""
    with skips_where_missing():
        started = Postgres()
    yield started
    started.end()


@pytest.fixture
def pgbouncer(postgres: Postgres) -> Iterator[PgBouncer]:
    """PgBouncer in transaction mode in front of the shared PostgreSQL."""
    with skips_where_missing():
        started = PgBouncer(postgres)
    yield started
    started.end()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which finds what some people cannot use; the test is skipped where it cannot be had."""
    script = Path(os.environ.get("PYLON_AXE", "axe.min.js"))
    if not script.is_file():
        pytest.skip("no axe-core: `make axe` fetches it where npm and its packages can be had")
    return script.read_text()


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    """A NATS server with JetStream for one test."""
    with skips_where_missing():
        started = NatsServer()
    yield started
    started.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; the test is skipped where it cannot be had."""
    # Not for those who run other tests: Playwright is for one of the Pythons.
    from browser import chromium

    with ExitStack() as stack:
        with skips_where_missing():
            started = stack.enter_context(chromium())
        yield started


@pytest.fixture
def app() -> Iterator[App]:
    """The app behind the receiver."""
    with closing(App()) as started:
        yield started


@pytest.fixture
def receiver(start_receiver: Callable[..., Receiver], app: App) -> Receiver:
    """A receiver in front of the app."""
    return start_receiver('instance = "acme production"\n' + DESTINATION.format(port=app.port))


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """A tab of the browser, which must have been healthy in the end."""
    from browser import Tab

    with closing(Tab(browser)) as opened:
        yield opened
