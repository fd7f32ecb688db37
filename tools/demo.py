"""Shows the receiver at work: in front of a FastAPI app and an axum app, all on free loopback ports, with real signed deliveries
and forgeries over HTTP. An app is killed and comes back, the receiver itself is killed, and every accepted event arrives.

Usage: python tools/demo.py RECEIVER AXUM_EXAMPLE        exit status 0 when every answer is the one it should be
"""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from servers import Server, free_port, serve

from pylon_webhooks.testing import KINDS, sample_payload, signed_headers

SECRET = "your-webhook-secret"
ROOT = Path(__file__).resolve().parent.parent
#: How long accepted events may take to arrive once everything is up again, seconds.
PATIENCE = 30

CONFIGURATION = """
listen = "127.0.0.1:{webhooks}"
admin = "127.0.0.1:{admin}"
ledger = "sqlite:{folder}/pylon.db"

[[endpoint]]
path = "/webhook"
secrets = [{{ env = "PYLON_WEBHOOK_SECRET" }}]

[[destination]]
name = "fastapi"
url = "http://127.0.0.1:{fastapi}/webhook"
secret = {{ env = "PYLON_WEBHOOK_SECRET" }}

[[destination]]
name = "axum"
url = "http://127.0.0.1:{axum}/webhook"
secret = {{ env = "PYLON_WEBHOOK_SECRET" }}
"""


@dataclass
class Delivery:
    """What is sent, and what should come of it."""

    name: str
    body: bytes
    headers: dict[str, str]
    status: int
    #: Whether the apps should get it.
    arrives: bool = True


def deliveries(now: int) -> list[Delivery]:
    """All seven kinds, and what else comes in at such an address."""
    new = sample_payload("issue_new")
    unknown = b'{"event": "ticket.created", "ticket_id": "42"}'
    kinds = [Delivery(kind, sample_payload(kind), signed_headers(SECRET, sample_payload(kind)), 200) for kind in KINDS]
    return [
        *kinds,
        Delivery("with a timestamp", new, signed_headers(SECRET, new, now), 200),
        Delivery("unknown event", unknown, signed_headers(SECRET, unknown), 200),
        Delivery("forged", new, signed_headers("another-secret", new), 401, arrives=False),
        Delivery("stale", new, signed_headers(SECRET, new, now - 3600), 401, arrives=False),
        Delivery("unsigned", new, {}, 401, arrives=False),
        Delivery("not JSON", b"oops", signed_headers(SECRET, b"oops"), 200, arrives=False),
    ]


class Demo:
    """The receiver and the two apps; each comes back on the port that it had before."""

    def __init__(self, receiver: str, axum_example: str, folder: Path) -> None:
        self.receiver_command = receiver
        self.axum_example = axum_example
        self.ports = {name: free_port() for name in ("webhooks", "admin", "fastapi", "axum")}
        self.configuration = folder / "pylon-receiver.toml"
        self.configuration.write_text(CONFIGURATION.format(folder=folder, **self.ports))
        self.accepted: dict[str, str] = {}
        self.wrong = 0

    def receiver(self) -> AbstractContextManager[Server]:
        """The receiver."""
        command = [self.receiver_command, "serve", "--config", str(self.configuration)]
        # Its log would stand among what is shown: it tells each delivery once more.
        return serve(command, self.ports["webhooks"], PYLON_WEBHOOK_SECRET=SECRET, PYLON_RECEIVER_LOG="error")

    def fastapi(self) -> AbstractContextManager[Server]:
        """The app of examples/fastapi_app.py."""
        uvicorn = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--log-level", "error"]
        command = [*uvicorn, "--port", str(self.ports["fastapi"]), "examples.fastapi_app:app"]
        return serve(command, self.ports["fastapi"], PYLON_WEBHOOK_SECRET=SECRET)

    def axum(self) -> AbstractContextManager[Server]:
        """The app of examples/axum.rs."""
        address = f"127.0.0.1:{self.ports['axum']}"
        return serve([self.axum_example], self.ports["axum"], PYLON_WEBHOOK_SECRET=SECRET, ADDRESS=address)

    def send(self, delivery: Delivery) -> str:
        """Send one to the receiver; what it answers, in a line."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["webhooks"], timeout=10)
        with closing(connection):
            connection.request("POST", "/webhook", delivery.body, delivery.headers)
            response = connection.getresponse()
            answer = json.load(response)
        if response.status == 200 and delivery.arrives:
            self.accepted[answer["id"]] = delivery.name
        self.wrong += response.status != delivery.status
        verdict = "" if response.status == delivery.status else f"   <- expected {delivery.status}"
        return f"  {delivery.name:<20} {response.status}  {answer.get('id', answer.get('error'))}{verdict}"

    def waiting(self) -> dict[str, set[str]]:
        """By app, the accepted events that the receiver has not delivered to it."""
        command = [self.receiver_command, "deliveries", "list", "--all", "--json"]
        command += ["--admin-url", f"http://127.0.0.1:{self.ports['admin']}"]
        listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        delivered = {(d["id"].split(".")[0], d["destination"]) for d in listed if d["state"] == "delivered"}
        return {app: {event for event in self.accepted if (event, app) not in delivered} for app in ("fastapi", "axum")}

    def wait_until_all_is_delivered(self) -> None:
        """Wait until every accepted event has gone to both apps."""
        deadline = time.monotonic() + PATIENCE
        while any(self.waiting().values()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not delivered after {PATIENCE} seconds: {self.waiting()}")
            time.sleep(0.1)


def handler_lines(server: Server) -> list[str]:
    """What the app's handlers print for one delivery: the last line is that of `on_any` or `on_error`."""
    lines: list[str] = []
    while not lines or (lines[-1] and not lines[-1].startswith(("Event: ", "Refused: "))):
        lines.append(server.line())
    return lines


def new_issues(numbers: range) -> list[Delivery]:
    """New issues whose titles tell them apart."""
    bodies = [sample_payload("issue_new", issue_title=f"Issue {number}") for number in numbers]
    return [Delivery("issue_new", body, signed_headers(SECRET, body), 200) for body in bodies]


def titles(lines: Iterable[str]) -> set[str]:
    """The titles of new issues in what an app has printed."""
    return {line.removeprefix("New issue: ") for line in lines if line.startswith("New issue: Issue ")}


def show(demo: Demo) -> None:
    """Run everything and show what happens."""
    with ExitStack() as stack:
        axum = stack.enter_context(demo.axum())
        fastapi_stack = stack.enter_context(ExitStack())
        fastapi = fastapi_stack.enter_context(demo.fastapi())
        receiver_stack = stack.enter_context(ExitStack())
        receiver = receiver_stack.enter_context(demo.receiver())

        print(
            "\nThe receiver answers, then FastAPI (examples/fastapi_app.py) and axum (examples/axum.rs) get what it accepted:"
        )
        for delivery in deliveries(int(time.time())):
            print(demo.send(delivery))
            if delivery.arrives:
                for name, server in [("FastAPI", fastapi), ("axum", axum)]:
                    print(f"    {name:<8} {' | '.join(handler_lines(server))}")

        print("\nThe FastAPI app is killed. Five more come in:")
        fastapi.kill()
        fastapi_stack.close()
        for delivery in new_issues(range(1, 6)):
            print(demo.send(delivery))

        print("\nThe receiver is killed as well (SIGKILL), and started again. Five more come in:")
        receiver.kill()
        receiver_stack.close()
        receiver = receiver_stack.enter_context(demo.receiver())
        for delivery in new_issues(range(6, 11)):
            print(demo.send(delivery))

        print("\nThe FastAPI app is started again:")
        fastapi = fastapi_stack.enter_context(demo.fastapi())
        demo.wait_until_all_is_delivered()
        receiver_stack.close()
        fastapi_stack.close()
    expected = {f"Issue {number}" for number in range(1, 11)}
    for name, server in [("FastAPI", fastapi), ("axum", axum)]:
        found = titles(server.rest.splitlines())
        print(f"  {name:<8} got {len(found & expected)} of the {len(expected)} issues")
        demo.wrong += found != expected


def main() -> int:
    """Show it, in a temporary folder."""
    receiver, axum_example = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(receiver, axum_example, Path(folder))
        show(demo)
    if demo.wrong:
        print(f"\n{demo.wrong} of these are not as they should be")
        return 1
    print(f"\nall answers are as they should be, and all {len(demo.accepted)} accepted events arrived at both apps")
    return 0


if __name__ == "__main__":
    # An app that does not print what it should would be waited for without end.
    signal.alarm(120)
    sys.exit(main())
