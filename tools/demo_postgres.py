"""Show two receivers that share one PostgreSQL: one is killed, the database crashes, and nothing is lost.

Numbered webhooks go to both receivers all the time, as a load balancer sends them: to the other one where nothing answers. An app
behind the receivers counts what arrives. PostgreSQL is a private one, in a temporary folder.

Usage: python tools/demo_postgres.py RECEIVER        exit status 0 if everything that was answered 200 arrived, and nothing was refused
"""

from __future__ import annotations

import http.client
import json
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from debian_programs import MissingProgram
from private_servers import Postgres
from servers import Server, free_port, serve

from pylon_webhooks import IssueNewEvent, WebhookHandler
from pylon_webhooks.testing import sample_payload, signed_headers

SECRET = "your-webhook-secret"
PASSWORD = "only for this demo"
#: Webhooks that are answered 200 in each part of the demo.
PART = 300
#: Between two webhooks of a sender, in seconds.
PAUSE = 0.01
#: How long a part, and the end, may take, in seconds. A killed receiver's deliveries are free after 31.
PATIENCE = 90

CONFIGURATION = """
listen = "127.0.0.1:{webhooks}"
admin = "127.0.0.1:{admin}"
ledger = "postgres://pylon@127.0.0.1:{postgres}/pylon"
ledger_password = {{ env = "LEDGER_PASSWORD" }}
promise = "one_disk"
spool = "{folder}/spool-{name}.db"
limits.shutdown_timeout = "5s"

[[endpoint]]
path = "/webhook"
secrets = [{{ env = "PYLON_WEBHOOK_SECRET" }}]

[[destination]]
name = "app"
url = "http://127.0.0.1:{app}/webhook"
secret = {{ env = "PYLON_WEBHOOK_SECRET" }}
timeout = "1s"
"""


class App:
    """An app with a typed handler; it counts how often each number has arrived."""

    def __init__(self) -> None:
        self.arrived: Counter[int] = Counter()
        handler = WebhookHandler(secret=SECRET)

        @handler.on(IssueNewEvent)
        def count(event: IssueNewEvent) -> None:
            self.arrived[int(event.issue_number or 0)] += 1

        class Request(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                handler.handle(self.rfile.read(int(self.headers["Content-Length"])), self.headers)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


class Receiver:
    """One of the two receivers. It comes back on the ports and with the spool that it had before."""

    def __init__(self, binary: str, name: str, folder: Path, postgres: Postgres, app: App) -> None:
        self.name = name
        self.webhooks, self._admin = free_port(), free_port()
        file = folder / f"receiver-{name}.toml"
        ports = {"webhooks": self.webhooks, "admin": self._admin, "postgres": postgres.port, "app": app.port}
        file.write_text(CONFIGURATION.format(name=name, folder=folder, **ports))
        self._command = [binary, "serve", "--config", str(file)]
        self._running = ExitStack()
        self._server: Server | None = None

    def start(self) -> None:
        """Start, and wait until it listens."""
        # The log would stand between the lines of the demo.
        secrets = {"PYLON_WEBHOOK_SECRET": SECRET, "LEDGER_PASSWORD": PASSWORD, "PYLON_RECEIVER_LOG": "off"}
        self._server = self._running.enter_context(serve(self._command, self.webhooks, **secrets))

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._server is not None
        self._server.kill()
        self.end()

    def end(self) -> None:
        """End it in order, if it runs."""
        self._running.close()

    def spooling(self) -> str:
        """What it says about its spool; empty if new events go to PostgreSQL."""
        warnings: list[str] = self._ask("/readyz").get("warnings", [])
        return next((warning for warning in warnings if "spool" in warning), "")

    def left(self) -> tuple[int, int]:
        """The deliveries that are not done, and those that are dead."""
        counts = [
            (there["waiting"] + there["held"] + there["delivering"], there["dead"])
            for there in self._ask("/api/stats")["destinations"]
        ]
        return sum(undone for undone, _ in counts), sum(dead for _, dead in counts)

    def _ask(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._admin}{path}", timeout=10) as answer:
            asked: dict[str, Any] = json.load(answer)
            return asked


class Senders:
    """Two senders of numbered webhooks, each to a receiver of its own as long as that one answers."""

    def __init__(self, receivers: list[Receiver]) -> None:
        self.acknowledged: set[int] = set()
        self.refused: Counter[int] = Counter()
        #: Those that were sent again because the receiver was killed before it answered.
        self.unanswered = 0
        self._numbers = iter(range(1, 1_000_000))
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        orders = [receivers, receivers[::-1]]
        self._threads = [threading.Thread(target=self._send_all, args=(order,), daemon=True) for order in orders]
        for thread in self._threads:
            thread.start()

    def _send_all(self, receivers: list[Receiver]) -> None:
        while not self._stopped.wait(PAUSE):
            with self._changed:
                number = next(self._numbers)
            body = sample_payload("issue_new", issue_number=str(number))
            status = self._send(body, receivers)
            with self._changed:
                if status == 200:
                    self.acknowledged.add(number)
                else:
                    self.refused[status] += 1
                self._changed.notify_all()

    def _send(self, body: bytes, receivers: list[Receiver]) -> int:
        """Send a webhook to the first receiver that answers; its status, 503 if none does."""
        for receiver in receivers:
            connection = http.client.HTTPConnection("127.0.0.1", receiver.webhooks, timeout=30)
            try:
                connection.connect()
            except OSError:
                continue
            try:
                connection.request("POST", "/webhook", body, signed_headers(SECRET, body))
                return connection.getresponse().status
            except (OSError, http.client.HTTPException):
                with self._changed:
                    self.unanswered += 1
            finally:
                connection.close()
        return 503

    def go_on(self) -> int:
        """Wait until a part more was answered 200; how many these are by now."""
        with self._changed:
            goal = len(self.acknowledged) + PART
            if not self._changed.wait_for(lambda: len(self.acknowledged) >= goal, PATIENCE):
                raise TimeoutError(f"only {len(self.acknowledged)} of {goal} webhooks were answered 200")
            return len(self.acknowledged)

    def stop(self) -> None:
        """Stop, and wait for the last answers."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()


def wait_until(what: str, is_so: Callable[[], bool]) -> None:
    """Wait for something that must become so."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not so after {PATIENCE} seconds")
        time.sleep(0.05)


def show(binary: str, folder: Path, stack: ExitStack) -> bool:
    """Run everything and show what happens; whether everything arrived and nothing was refused."""
    postgres = Postgres(fsync="on", full_page_writes="on")
    stack.callback(postgres.end)
    postgres.sql(f"CREATE ROLE pylon LOGIN PASSWORD '{PASSWORD}'")
    postgres.sql("CREATE DATABASE pylon OWNER pylon")
    app = App()
    one, two = (Receiver(binary, name, folder, postgres, app) for name in ("one", "two"))
    for receiver in (one, two):
        stack.callback(receiver.end)
        receiver.start()
    version = postgres.sql("SHOW server_version").split()[0]
    print(f"\nTwo receivers share one PostgreSQL ({version}). Webhooks come in at both, without a pause:", flush=True)
    senders = Senders([one, two])
    stack.callback(senders.stop)
    tell(senders.go_on())

    print(
        "\nReceiver two is killed (SIGKILL). Its webhooks go to receiver one, as a load balancer sends them:",
        flush=True,
    )
    two.kill()
    killed = time.monotonic()
    tell(senders.go_on())

    print("\nPostgreSQL is stopped as by a crash. Receiver one accepts into its spool:", flush=True)
    postgres.stop(signal.SIGQUIT)
    tell(senders.go_on())
    # The rest is the cause.
    print(f"  {one.spooling().partition(';')[0]}")

    print("\nPostgreSQL starts again and recovers. The receiver hands over what its spool has:", flush=True)
    postgres.restart()
    wait_until("the spool is empty", lambda: not one.spooling())
    tell(senders.go_on())

    print("\nReceiver two starts again:", flush=True)
    two.start()
    tell(senders.go_on())
    senders.stop()

    print(
        "\nNo more webhooks. What the killed receiver had in hand is delivered when its leases end, 31 s after:",
        flush=True,
    )
    wait_until("nothing is left to deliver, or dead", lambda: one.left() == (0, 0))
    print(f"  all is delivered {time.monotonic() - killed:.0f} s after the kill")
    return report(senders, app)


def tell(acknowledged: int) -> None:
    """Print how far it is."""
    print(f"  {acknowledged:>5} answered 200", flush=True)


def report(senders: Senders, app: App) -> bool:
    """Print what arrived; whether that is all."""
    lost = senders.acknowledged - app.arrived.keys()
    again = sum(1 for number in senders.acknowledged if app.arrived[number] > 1)
    refused = ", ".join(f"{count} with {status}" for status, count in senders.refused.items()) or "none"
    print(f"\nWebhooks answered 200:       {len(senders.acknowledged)}")
    print(f"  of these the app has:      {len(senders.acknowledged) - len(lost)}")
    print(f"  more than once:            {again} (a killed receiver cannot note what it has delivered)")
    print(f"Webhooks refused:            {refused}")
    print(f"Cut off by the kill:         {senders.unanswered}, sent again to the other receiver")
    return not lost and not senders.refused


def main() -> int:
    """Show it, in a temporary folder."""
    (binary,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        try:
            is_complete = show(binary, Path(folder), stack)
        except MissingProgram as error:
            print(
                f"This demo needs PostgreSQL: {error}; Debian: apt-get install postgresql", file=sys.stderr
            )
            return 1
    print("\nNothing was lost." if is_complete else "\nThe app did not get what it should have got.")
    return 0 if is_complete else 1


if __name__ == "__main__":
    # A server that hangs ends the demo.
    signal.alarm(300)
    sys.exit(main())
