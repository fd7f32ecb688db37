"""Runs the servers that the tests ask: real ones, each on a free loopback port, ended whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How long a server may take to listen, and to end, seconds.
_PATIENCE = 30
_HERE = Path(__file__).parent
#: The folder of the built examples, the Rust servers among them: `served KIND PORT`.
_EXAMPLES = "PYLON_EXAMPLES"


@dataclass(frozen=True)
class Kind:
    """A server and the app that it serves."""

    name: str
    command: tuple[str, ...]
    path: str = "/webhook"
    #: Where the app answers in the same way, values in the path or not.
    paths: tuple[str, ...] = ()
    #: Whose rules the answers follow where a function takes the event: see `expected.py`.
    function: str | None = None
    #: Whether the app answers at `/read`; and with what at `/consumed`, where it can.
    reads: bool = False
    consumed: int | None = None
    #: Whether the server unpacks bodies by their `Content-Encoding`; and whether it withholds those without a declared length.
    unpacks: bool = False
    withholds: bool = False


@dataclass
class Server:
    """A server that listens."""

    kind: Kind
    port: int
    #: Where handlers write each event's name, a line each.
    seen: Path
    _log: Path

    @property
    def handled(self) -> list[str]:
        """The names of the events that were handled so far."""
        return self.seen.read_text().splitlines()

    @property
    def output(self) -> str:
        """What the server has printed: for a test that fails."""
        return f"\n{self.kind.name} printed:\n{self._log.read_text()}"

    def wait_to_print(self, text: str, before: str) -> None:
        """Wait until the server has printed the text, beyond the output that there was before."""
        deadline = time.monotonic() + _PATIENCE
        while text not in self.output[len(before) :]:
            assert time.monotonic() < deadline, f"expected {text!r}, found{self.output}"
            # What a server does after its sender is gone, nobody is told.
            time.sleep(0.01)

    def handled_since(self, before: list[str]) -> list[str]:
        """The names of the events that were handled since."""
        return self.handled[len(before) :]

    def counted_since(self, before: list[str]) -> Counter[str]:
        """The same, whatever the order."""
        return Counter(self.handled_since(before))


def uvicorn(app: str, view: str = "", **options: object) -> Kind:
    """An app in uvicorn; where it has several views, the name of one."""
    command = ("uvicorn", f"served.{app}", "--log-level", "warning", "--port", "{port}")
    return Kind(f"{_name(app)}{view}-uvicorn", (sys.executable, "-m", *command), **options)  # type: ignore[arg-type]


def gunicorn(app: str, worker: str, *more: str, view: str = "", **options: object) -> Kind:
    """An app in gunicorn, with a kind of worker; where it has several views, the name of one."""
    command = ("gunicorn", f"served.{app}", "--bind", "127.0.0.1:{port}", "--worker-class", worker, *more)
    quiet = ("--log-level", "warning", "--graceful-timeout", "5", "--no-control-socket")
    return Kind(f"{_name(app)}{view}-gunicorn-{worker}", (sys.executable, "-m", *command, *quiet), **options)  # type: ignore[arg-type]


def uwsgi(app: str | None, *options: str) -> Kind:
    """An app in uWSGI, which gives it no body without a declared length; without an app, those that the options name."""
    run = "import sys, pyuwsgi; sys.exit(pyuwsgi.run())"
    quiet = ("--need-app", "--die-on-term", "--disable-logging")
    listens = () if "--http" in options else ("--http-socket", "127.0.0.1:{port}")
    module = () if app is None else ("--module", f"served.{app}")
    name = "-".join([_name(app or "apps"), "uwsgi", *(option[2:] for option in options if option.startswith("--"))])
    return Kind(name, (sys.executable, "-c", run, *listens, *module, *options, *quiet), withholds=True)


def in_server(server: str, app: str, **options: object) -> Kind:
    """An app in a WSGI server that has no command of its own."""
    return Kind(f"{_name(app)}-{server}", (sys.executable, "-m", "served.in_server", server, app, "{port}"), **options)  # type: ignore[arg-type]


def hypercorn(app: str) -> Kind:
    """A WSGI app in Hypercorn, which gives it no body without a declared length."""
    command = ("hypercorn", "--bind", "127.0.0.1:{port}", "--log-level", "warning", f"wsgi:served.{app}")
    return Kind(f"{_name(app)}-hypercorn", (sys.executable, "-m", *command), withholds=True)


def waitress(app: str) -> Kind:
    """An app in waitress."""
    command = ("waitress", "--listen=127.0.0.1:{port}", f"served.{app}")
    return Kind(f"{_name(app)}-waitress", (sys.executable, "-m", *command))


def bridged(bridge: str, app: str) -> Kind:
    """An app behind a bridge from ASGI to WSGI, in uvicorn. The bridges give no body without a declared length."""
    return replace(uvicorn(f"bridged:{bridge}_{app}", f"_{bridge}_{app}"), withholds=True)


def _name(app: str) -> str:
    return app.partition(":")[0]


def rust(kind: str) -> Kind:
    """An app of the Rust crate."""
    return Kind(kind, (_EXAMPLES, kind, "{port}"))


@contextmanager
def serve(kind: Kind, folder: Path) -> Iterator[Server]:
    """Start a server, wait until it listens, end it when the block ends."""
    seen, log = folder / "seen", folder / "output"
    seen.touch()
    port = _free_port()
    program, *arguments = kind.command
    if program == _EXAMPLES:
        if not os.environ.get(_EXAMPLES):
            pytest.fail(f"{_EXAMPLES} is not set: `make test` builds the Rust servers and sets it to their path")
        program = str(Path(os.environ[_EXAMPLES]) / "served")
    path = os.pathsep.join([str(_HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *(argument.format(port=port) for argument in arguments)],
            env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYLON_SEEN": str(seen)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Its workers are ended with it.
            start_new_session=True,
        )
    server = Server(kind, port, seen, log)
    try:
        _wait_until_it_listens(process, server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=_PATIENCE)
            raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_listens(process: subprocess.Popen[bytes], server: Server) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}{server.output}")
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            # Nothing tells when a process begins to listen.
            time.sleep(0.02)
