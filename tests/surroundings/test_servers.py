"""The servers beside a receiver work, and are gone after the tests, however those end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import private_servers
import pytest
from private_servers import Postgres, Server
from receiver import PATIENCE

if TYPE_CHECKING:
    from private_servers import NatsServer, PgBouncer

#: Starts each server, says where, and waits to be killed.
_HOLDS = """
import sys, time
sys.path.insert(0, sys.argv[1])
from private_servers import NatsServer, PgBouncer, Postgres
postgres = Postgres()
servers = [postgres, PgBouncer(postgres), NatsServer()]
print(*(f"{server.process.pid} {server.folder}" for server in servers), flush=True)
time.sleep(600)
"""


def is_alive(process: str) -> bool:
    try:
        return Path("/proc", process, "stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_postgresql_answers_by_socket_and_by_tcp(postgres: Postgres) -> None:
    name = postgres.fresh_database()
    assert (
        postgres.sql("CREATE TABLE its AS SELECT 7 AS number; SELECT number, version() ~ 'PostgreSQL' FROM its", name)
        == "7|t"
    )
    assert (
        postgres.sql("SELECT number, inet_server_port() FROM its", url=postgres.tcp_url(name)) == f"7|{postgres.port}"
    )
    with pytest.raises(AssertionError, match="password authentication failed"):
        postgres.sql("SELECT 1", url=postgres.tcp_url(name).replace(postgres.password, "wrong"))


def test_postgresql_keeps_what_is_committed_over_a_restart(postgres: Postgres) -> None:
    name = postgres.fresh_database()
    postgres.sql("CREATE TABLE its AS SELECT 7 AS number", name)
    postgres.restart()
    assert postgres.sql("SELECT number FROM its", name) == "7"


def test_a_standby_takes_over_with_all_that_was_committed() -> None:
    primary = Postgres()
    try:
        primary.sql("CREATE TABLE its AS SELECT 7 AS number")
        standby = primary.standby()
        try:
            primary.sql("INSERT INTO its VALUES (8)")
            with pytest.raises(AssertionError, match="read-only"):
                standby.sql("INSERT INTO its VALUES (9)")
            primary.stop(signal.SIGQUIT)
            standby.promote()
            standby.sql("INSERT INTO its VALUES (9)", url=standby.tcp_url())
            assert standby.sql("SELECT number FROM its ORDER BY number") == "7\n8\n9"
        finally:
            standby.end()
    finally:
        primary.end()


def test_pgbouncer_leads_to_postgresql(pgbouncer: PgBouncer, postgres: Postgres) -> None:
    assert postgres.sql("SHOW VERSION", url=pgbouncer.url("pgbouncer")).startswith("PgBouncer ")
    assert postgres.sql("SELECT current_database()", url=pgbouncer.url()) == "postgres"
    assert "pool_mode|transaction|" in postgres.sql("SHOW CONFIG", url=pgbouncer.url("pgbouncer"))


def test_nats_says_who_it_is_and_keeps_streams(nats_server: NatsServer) -> None:
    first = nats_server.info()
    assert (first["port"], first["jetstream"]) == (nats_server.port, True)
    nats_server.restart()
    assert nats_server.info()["server_id"] != first["server_id"]


def test_servers_are_gone_after_the_tests_are_killed(postgres: Postgres) -> None:
    command = [sys.executable, "-c", _HOLDS, str(Path(private_servers.__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as tests:
        assert tests.stdout is not None
        words = tests.stdout.readline().split()
        tests.kill()
    processes, folders = words[::2], [Path(folder) for folder in words[1::2]]
    assert len(processes) == len(folders) == 3
    deadline = time.monotonic() + PATIENCE
    while any(map(is_alive, processes)) or any(folder.exists() for folder in folders):
        assert time.monotonic() < deadline, words
        time.sleep(0.02)


def test_a_server_that_does_not_start_says_why() -> None:
    server = Server("none")
    try:
        with pytest.raises(AssertionError, match="none is not ready; it wrote:\nno room"):
            server.start("sh", "-c", "echo no room", is_ready=lambda: False)
    finally:
        server.end()
