"""A receiver whose PostgreSQL is behind PgBouncer."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from private_servers import PgBouncer, Postgres
from receiver import PATIENCE, receiver_program

if TYPE_CHECKING:
    from pathlib import Path

SENTENCE = (
    "found a pooler that shares them among transactions, such as PgBouncer with `pool_mode = transaction`; "
    "connect to PostgreSQL itself, or set `pool_mode = session`"
)


def serve_once(bouncer: PgBouncer, database: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Serves until it has started and ends it, or says why it does not start."""
    config = folder / "pylon-receiver.toml"
    config.write_text(
        f'ledger = "postgres://postgres@127.0.0.1:{bouncer.port}/{database}"\nledger_password = {{ env = "LEDGER_PASSWORD" }}\nlisten = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n[[endpoint]]\npath = "/webhook"\n'
        'secrets = [{ env = "PYLON_WEBHOOK_SECRET" }]\n',
        encoding="utf-8",
    )
    environment = {
        **os.environ,
        "PYLON_WEBHOOK_SECRET": "correct horse battery staple",
        "LEDGER_PASSWORD": bouncer.password,
    }
    command = [receiver_program(), "serve", "--config", config]
    serving = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    said = ""
    try:
        assert serving.stderr is not None
        for line in serving.stderr:
            said += line
            if "listening" in line:
                break
    finally:
        serving.terminate()
        rest = serving.communicate(timeout=PATIENCE)[1]
    return subprocess.CompletedProcess(command, serving.returncode, "", said + rest)


def test_pgbouncer_in_transaction_mode_is_refused_at_start(
    postgres: Postgres, pgbouncer: PgBouncer, tmp_path: Path
) -> None:
    served = serve_once(pgbouncer, postgres.fresh_database(), tmp_path)
    assert served.returncode == 1, served.stderr
    assert SENTENCE in served.stderr


def test_pgbouncer_in_session_mode_works(postgres: Postgres, tmp_path: Path) -> None:
    bouncer = PgBouncer(postgres, pool_mode="session")
    try:
        served = serve_once(bouncer, postgres.fresh_database(), tmp_path)
    finally:
        bouncer.end()
    assert served.returncode == 0, served.stderr
    assert SENTENCE not in served.stderr
