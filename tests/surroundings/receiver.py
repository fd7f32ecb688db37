"""The built `pylon-receiver`, run with a configuration on free ports."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from pylon_webhooks import sign

SECRET = "a secret of the surroundings"
#: How long anything may take that a test waits for, seconds.
PATIENCE = 30
_ROOT = Path(__file__).resolve().parents[2]
_ADDRESSES = 'listen = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\n'
_ENDPOINT = '[[endpoint]]\npath = "/webhook"\nsecrets = [{ env = "PYLON_WEBHOOK_SECRET" }]\n'


def receiver_program() -> Path:
    """The program as cargo builds it, unless PYLON_RECEIVER names another."""
    target = os.environ.get("CARGO_TARGET_DIR", str(_ROOT / "target"))
    return Path(os.environ.get("PYLON_RECEIVER", f"{target}/debug/pylon-receiver"))


class Receiver:
    """A receiver at work; its log is JSON lines.

    The configuration's own keys come first, then the tables; `listen`, `admin` and the endpoint `/webhook` are there already
    unless the text has its own. The ledger is `pylon.db` in the folder.
    """

    def __init__(
        self, program: Path, folder: Path, configuration: str = "", *, wrapper: tuple[str, ...] = (), **environment: str
    ) -> None:
        self.folder = folder
        keys, *tables = re.split(r"(?m)^(?= *\[)", configuration, maxsplit=1)
        text = keys + "".join(
            line + "\n" for line in _ADDRESSES.splitlines() if line.split(" = ")[0] + " = " not in keys
        )
        text += "".join(tables)
        if "[[endpoint]]" not in text:
            text += "\n" + _ENDPOINT
        self.file = folder / "pylon-receiver.toml"
        self.file.write_text(text)
        self._log = folder / "log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, program, "serve", "--config", self.file, "--log", "json"],
                cwd=folder,
                env={**os.environ, "PYLON_WEBHOOK_SECRET": SECRET, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            listening = self.wait_to_log("listening")
        except BaseException:
            self.end()
            raise
        self.webhooks, self.admin = (_port(listening[key]) for key in ("webhooks", "admin"))

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of the log so far."""
        lines = self._log.read_text().splitlines()
        # What ends it before the log begins is plain text.
        return [json.loads(line) if line.startswith("{") else {"message": line} for line in lines]

    def wait_to_log(self, message: str) -> dict[str, Any]:
        """The first line whose message holds the text, once it is there."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for line in self.log:
                if message in line.get("message", ""):
                    return line
            is_late = time.monotonic() > deadline or self.process.poll() is not None
            assert not is_late, f"expected {message!r} in the log, found:\n{self._log.read_text()}"
            time.sleep(0.01)

    def post(self, body: bytes, path: str = "/webhook", port: int | None = None, **headers: str) -> int:
        """Post a signed webhook, to the receiver or to whatever stands in front of it; the status of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.webhooks, timeout=PATIENCE)
        try:
            connection.request("POST", path, body, {"X-Pylon-Signature": sign(SECRET, body), **headers})
            return connection.getresponse().status
        finally:
            connection.close()

    def ask(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Ask the admin API: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """End it, and wait until it has ended; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _port(address: str) -> int:
    """The port of an address; 0 of a Unix socket."""
    return 0 if address.startswith("unix:") else int(address.rpartition(":")[2])
