"""The shell of a page that documents `pylon-receiver`: its blocks share a folder, receivers, an app and a PostgreSQL, on free ports.

Documented addresses are replaced by those ports, and put back in what is printed. An event's id in a command stands for the one
that was printed last.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from private_servers import Postgres
from servers import free_port, wait_until_it_listens

#: Where the documented receiver and the documented app listen.
WEBHOOKS, ADMIN, APP = "127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8000"
#: Where further receivers of a page listen, for webhooks and for operators.
_FURTHER = ("127.0.0.1:8082", "127.0.0.1:8083", "127.0.0.1:8084", "127.0.0.1:8085")
DATABASE = "127.0.0.1:5432"
_LOOPBACK = re.compile(r"127\.0\.0\.1:\d+")
_ADMIN_OPTION = re.compile(r"--admin 127\.0\.0\.1:(\d+)")
_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
#: What differs from run to run, and what stands for it where outputs are compared.
_MASKS = [
    (_ID, "ID"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\b127\.0\.0\.1:\d{5}\b *"), "ADDRESS "),
    (re.compile(r"\btook(_ms=| )\d+\b"), "took SOME"),
    (re.compile(r"\b\d+\.\d MiB\b"), "SIZE"),
    (re.compile(r" +$", re.MULTILINE), ""),
]
#: How long accepted events may take to be tried before the next block runs, seconds.
_SETTLING = 5
#: How long one block may take, seconds.
_PATIENCE = 60


def masked(text: str) -> str:
    """A text without what differs from run to run."""
    for pattern, stands_for in _MASKS:
        text = pattern.sub(stands_for, text)
    return text.strip("\n")


def receiver_program() -> str:
    """The program that the pages are about."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parent.parent / "target"))
    program = Path(os.environ.get("PYLON_RECEIVER", target / "debug" / "pylon-receiver"))
    if not program.is_file():
        raise FileNotFoundError(f"no {program}: run `cargo build -p pylon-receiver-cli`, or name it by PYLON_RECEIVER")
    return str(program.resolve())


@dataclass
class _Running:
    name: str
    process: subprocess.Popen[str]
    log: IO[str]
    #: Where it listens, a receiver for operators.
    port: int


class ReceiverShell:
    """What the shell blocks of one page have in common."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self._ports = {address: free_port() for address in (WEBHOOKS, ADMIN, APP, *_FURTHER)}
        self._running: list[_Running] = []
        self._postgres: Postgres | None = None
        self._last_id = ""
        program = shlex.quote(receiver_program())
        # What the documented command does not say, it need not: the ports come from here.
        listen = f"--listen {self._here(WEBHOOKS)} --admin {self._here(ADMIN)}"
        wrapper = (
            '#!/bin/sh\ncase "$*" in\n'
            f'serve*--listen*) ;;\nserve*) shift; exec {program} serve {listen} "$@" ;;\n'
            f'esac\nexec {program} "$@"\n'
        )
        tools = self.folder / ".bin"
        tools.mkdir()
        (tools / "pylon-receiver").write_text(wrapper)
        (tools / "pylon-receiver").chmod(0o755)
        path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        admin = f"http://{self._here(ADMIN)}"
        self._environment = {**os.environ, "PATH": path, "PYLON_RECEIVER_ADMIN": admin, "PYTHONUNBUFFERED": "1"}

    def _here(self, address: str) -> str:
        return f"127.0.0.1:{self._ports[address]}"

    def _real(self, code: str) -> str:
        for address, port in self._ports.items():
            code = code.replace(f"--port {address.partition(':')[2]}", f"--port {port}")
        # At once: a port in use may begin with the digits of a documented one.
        code = _LOOPBACK.sub(lambda found: self._here(found[0]) if found[0] in self._ports else found[0], code)
        return _ID.sub(self._last_id, code) if self._last_id else code

    def _documented(self, text: str) -> str:
        documented = {self._here(address): address for address in self._ports}
        return _LOOPBACK.sub(lambda found: documented.get(found[0], found[0]), text)

    def keep(self, name: str, text: str) -> None:
        """Put a documented file into the folder."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._real(text))

    def check(self, toml: str) -> None:
        """A documented configuration must hold, whether or not its secrets are there."""
        self.keep("checked.toml", toml)
        command = [receiver_program(), "check-config", "--config", "checked.toml"]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, check=False, capture_output=True, text=True
        )
        assert done.returncode in (0, 1), done.stderr

    def serve(self, code: str, name: str = "receiver") -> None:
        """Start a receiver in the background, until the page or a later block ends it; another one of that name ends before."""
        self.stop(name)
        code = self._real(code)
        said = _ADMIN_OPTION.search(code)
        self._start(name, ["bash", "-e", "-c", code], int(said[1]) if said else self._ports[ADMIN])

    def sql(self, code: str) -> None:
        """Run SQL as the superuser of a PostgreSQL that lasts until the page ends; raises MissingProgram."""
        if self._postgres is None:
            # As it is set up unless somebody says otherwise: a receiver looks.
            self._postgres = Postgres(fsync="on", full_page_writes="on")
            self._ports[DATABASE] = self._postgres.port
        self._postgres.sql(code)

    def serve_app(self, code: str) -> None:
        """Start the app behind the receiver, until the page ends."""
        self.keep("app.py", code)
        self.start_app(f"python -m uvicorn app:app --port {APP.partition(':')[2]}")

    def start_app(self, code: str) -> None:
        """Start the app that stands in `app.py` by shell commands, until the page ends."""
        self._start("app", ["bash", "-e", "-c", self._real(code)], self._ports[APP])

    def _start(self, name: str, command: list[str], port: int) -> None:
        log = (self.folder / f"{name}.log").open("w+")
        process = subprocess.Popen(
            command, cwd=self.folder, env=self._environment, stdout=log, stderr=log, text=True, start_new_session=True
        )
        self._running.append(_Running(name, process, log, port))
        try:
            wait_until_it_listens(process, port)
        except (AssertionError, RuntimeError, OSError) as error:
            log.seek(0)
            raise RuntimeError(f"the {name} does not listen: {log.read()}") from error

    def run(self, code: str) -> str:
        """Run a block to its end; what it printed, errors included."""
        done = subprocess.run(
            ["bash", "-e", "-c", self._real(code)],
            cwd=self.folder,
            env=self._environment,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
        )
        printed = self._documented(done.stdout)
        assert done.returncode == 0, f"it ended with {done.returncode} and printed {printed!r}"
        if ids := _ID.findall(printed):
            self._last_id = ids[-1]
        self._settle()
        return printed

    def _settle(self) -> None:
        """Wait until everything has been tried, so that the next block sees the end and not the middle."""
        # Those of a page that are several share a ledger.
        receiver = next((there for there in self._running if there.name != "app"), None)
        if receiver is None:
            return
        deadline = time.monotonic() + _SETTLING
        while time.monotonic() < deadline:
            under_way, untried = (_deliveries(receiver.port, state) for state in ("delivering", "waiting"))
            if not under_way and all(delivery["attempts"] for delivery in untried):
                return
            time.sleep(0.02)

    def stop(self, wanted: str, by: signal.Signals = signal.SIGTERM) -> None:
        """End a receiver, or the app: in order, unless by another signal."""
        for entry in [entry for entry in self._running if entry.name == wanted]:
            self._running.remove(entry)
            # One that has ended by itself has no group any more.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(entry.process.pid, by)
            try:
                entry.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(entry.process.pid, signal.SIGKILL)
                entry.process.wait()
            entry.log.close()

    def close(self) -> None:
        """End everything that still runs."""
        # The app last.
        for entry in sorted(self._running, key=lambda entry: entry.name == "app"):
            self.stop(entry.name)
        if self._postgres is not None:
            self._postgres.end()
        self._temporary.cleanup()


def _deliveries(admin: int, state: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/api/deliveries?state={state}", timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)["deliveries"]
    return found
