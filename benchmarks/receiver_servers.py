"""What `make bench` loads to measure the receiver: the receiver itself with either ledger, and what stands beside it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))
from over_http import BODY, SECRET, signed, uvicorn
from servers import free_port, post

#: How long a server may take to answer, and to end, seconds.
PATIENCE = 60


@dataclass
class Running:
    """A server at work."""

    process: subprocess.Popen[bytes]
    port: int
    path: str
    folder: Path
    admin: int = 0

    def post(self, secret: str = SECRET) -> int | None:
        """The status of one signed delivery; None while nobody takes it."""
        try:
            return post(self.port, self.path, BODY, signed(BODY, secret))
        except OSError:
            return None

    def memory(self, what: str) -> int:
        """`VmRSS` or `VmHWM`, in bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait for that."""
        self.process.send_signal(how)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@dataclass
class Servers:
    """Starts servers."""

    binary: Path  # pylon-receiver
    examples: Path  # what `make bench` builds beside it
    sdk: str  # an interpreter that has the SDK
    webhook: str | None  # Debian's
    cache: Path  # ledgers are written here

    @contextmanager
    def durable(self, destination: str = "") -> Iterator[Running]:
        """The receiver with an empty SQLite ledger in a folder that is removed at the end."""
        with self.folder() as folder:
            running = self.receiver(folder, f"sqlite:{folder / 'pylon.db'}", destination)
            with ended(running):
                yield running

    @contextmanager
    def null(self) -> Iterator[Running]:
        """The receiver with a ledger that keeps nothing."""
        with self.folder() as folder:
            port, admin = free_port(), free_port()
            command = [str(self.examples / "null_receiver"), f"127.0.0.1:{port}", f"127.0.0.1:{admin}"]
            with ended(started(command, port, "/webhook", folder)) as running:
                running.admin = admin
                yield running

    @contextmanager
    def fastapi(self) -> Iterator[Running]:
        """The route of the document on the SDK; uvicorn with one worker, as in `over_http`."""
        with self.folder() as folder:
            port = free_port()
            command = [part.format(port=port) for part in uvicorn(self.sdk, "fastapi_sdk")]
            with ended(started(command, port, "/webhook", folder, PYTHONPATH="")) as running:
                yield running

    @contextmanager
    def debian(self) -> Iterator[Running]:
        """Debian's `webhook`, which verifies, answers, and runs /bin/true."""
        assert self.webhook is not None
        with self.folder() as folder:
            port = free_port()
            signature = {"source": "header", "name": "X-Pylon-Signature"}
            rule = {"type": "payload-hmac-sha256", "secret": SECRET, "parameter": signature}
            hook = {
                "id": "pylon",
                "execute-command": "/bin/true",
                "trigger-rule": {"match": rule},
            }
            hooks = folder / "hooks.json"
            hooks.write_text(json.dumps([hook]))
            command = [self.webhook, "-hooks", str(hooks), "-ip", "127.0.0.1", "-port", str(port)]
            with ended(started(command, port, "/hooks/pylon", folder)) as running:
                yield running

    def receiver(
        self,
        folder: Path,
        ledger: str,
        destination: str = "",
        *,
        concurrency: int = 8,
        settings: str = "",
        until_it_answers: bool = True,
        **environment: str,
    ) -> Running:
        """The receiver; without a destination it has one at which nobody listens, so that each event is to be delivered.

        `settings` are further lines of its configuration.
        """
        port, admin = free_port(), free_port()
        config = folder / "pylon.toml"
        config.write_text(
            f'listen = "127.0.0.1:{port}"\nadmin = "127.0.0.1:{admin}"\nledger = "{ledger}"\nlog = "json"\n{settings}'
            '[[endpoint]]\npath = "/webhook"\nsecrets = [{ env = "PYLON_WEBHOOK_SECRET" }]\n'
            f'[[destination]]\nname = "app"\nurl = "http://{destination or f"127.0.0.1:{free_port()}"}/webhook"\nconcurrency = {concurrency}\n'
        )
        command = [str(self.binary), "serve", "--config", str(config)]
        running = started(command, port, "/webhook", folder, until_it_answers=until_it_answers, **environment)
        running.admin = admin
        return running

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder on the cache's file system, for a while."""
        with tempfile.TemporaryDirectory(dir=self.cache, prefix="bench-") as folder:
            yield Path(folder)


def started(
    command: list[str], port: int, path: str, folder: Path, *, until_it_answers: bool = True, **environment: str
) -> Running:
    """Start a server whose log goes to a file: warnings alone, as uvicorn's here."""
    environment = {**os.environ, "PYLON_WEBHOOK_SECRET": SECRET, "PYLON_RECEIVER_LOG": "warn", **environment}
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    running = Running(process, port, path, folder)
    if until_it_answers:
        try:
            wait_for(running)
            # A server that does not verify is not measured; Debian's webhook answers 500 to a forgery.
            if (status := running.post("another-secret")) not in (401, 500):
                raise RuntimeError(f"{command!r} answers {status} in place of a refusal to a forgery")
        except BaseException:
            process.kill()
            process.wait()
            raise
    return running


def wait_for(running: Running) -> None:
    """Wait for the first 200."""
    deadline = time.monotonic() + PATIENCE
    while (status := running.post()) != 200:
        if running.process.poll() is not None or time.monotonic() > deadline or status is not None:
            log = (running.folder / "log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{running.process.args!r} answers {status} in place of 200 and wrote:\n{log}")
        time.sleep(0.002)


@contextmanager
def ended(running: Running) -> Iterator[Running]:
    """End it when the block ends."""
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


def debian_webhook(cache: Path) -> tuple[str | None, str]:
    """Debian's `webhook`: the one that is installed, else the package unpacked into the cache; and what to say of it."""
    found = shutil.which("webhook")
    unpacked = cache / "debian-webhook"
    binary = unpacked / "usr" / "bin" / "webhook"
    if found is None and not binary.exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            return None, "Debian's webhook was left out: it is not installed, and this is no Debian to get it from"
        unpacked.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                ["apt-get", "download", "webhook"], cwd=unpacked, check=True, capture_output=True, timeout=60
            )
            package = next(unpacked.glob("webhook_*.deb"))
            subprocess.run(["dpkg", "-x", str(package), "."], cwd=unpacked, check=True, capture_output=True, timeout=60)
        except (OSError, StopIteration, subprocess.SubprocessError) as error:
            return None, f"Debian's webhook was left out: apt-get could not get it ({type(error).__name__})"
    command = found or str(binary)
    printed = subprocess.run([command, "-version"], check=True, capture_output=True, text=True, timeout=10).stdout
    return command, printed.strip()
