"""Runs a server for a while: on a free loopback port, ended whatever happens."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: How long a server may take to listen, seconds.
_PATIENCE = 30


@dataclass
class Server:
    """A server that listens; what it prints is read line by line."""

    port: int
    process: subprocess.Popen[str]
    #: What it printed and nobody read, once it has ended.
    rest: str = ""

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """Post a delivery; the status of the answer."""
        return post(self.port, path, body, headers)

    def line(self) -> str:
        """The next line that the server prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def kill(self) -> None:
        """End it as a crash would, and wait until it has ended."""
        self.process.kill()
        self.process.wait()


def post(port: int, path: str, body: bytes, headers: dict[str, str]) -> int:
    """Post a delivery to whatever listens on a port of this machine; the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serve(command: list[str], port: int, folder: str | None = None, /, **environment: str) -> Iterator[Server]:
    """Start a server in a folder, wait until it listens, end it when the block ends."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    server = Server(port, process)
    try:
        wait_until_it_listens(process, port)
        yield server
    finally:
        process.terminate()
        # To the end: a server that waits for its output to be read would not end.
        try:
            server.rest = process.communicate(timeout=10)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def wait_until_it_listens(process: subprocess.Popen[str], port: int) -> None:
    """Wait until something takes connections on the port; raises RuntimeError with what the process printed if it ends first."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        if process.poll() is not None:
            assert process.stdout is not None
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}:\n{process.stdout.read()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
