"""What the tests of the operator's page share: an app behind the receiver, events, addresses of pages."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from receiver import PATIENCE, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

#: Retries that a test can wait for, and that never end.
DESTINATION = """
[[destination]]
name = "app"
url = "http://127.0.0.1:{port}/webhook"
retry = {{ attempts = 1000, first_delay = "50ms", longest_delay = "200ms" }}
circuit = {{ failures = 100000 }}
"""
#: How long a step may take until it ticks itself, milliseconds.
SOON = 6_000


class App:
    """An app that answers 500 until it is mended, and remembers what it was sent."""

    def __init__(self) -> None:
        self.is_broken = True
        #: What it says while it is broken, as JSON.
        self.complaint = b""
        self.sent: list[dict[str, str]] = []
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                app.sent.append({name.lower(): value for name, value in self.headers.items()})
                if not app.is_broken:
                    self.send_response(204)
                    self.end_headers()
                    return
                self.send_response(500)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(app.complaint)))
                self.end_headers()
                self.wfile.write(app.complaint)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def issue(number: int, title: str = "Export fails", **more: object) -> bytes:
    """The body of an issue's event."""
    body = {"event_type": "issue_new", "issue_id": f"id-{number}", "issue_number": number, "issue_title": title}
    return json.dumps({**body, **more}).encode()


def url(receiver: Receiver, path: str = "") -> str:
    return f"http://127.0.0.1:{receiver.admin}/ui/{path}"


def newest(receiver: Receiver) -> str:
    """The id of the newest event."""
    return str(json.loads(receiver.ask("/api/events")[1])["events"][0]["id"])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"expected {what}"
        time.sleep(0.02)
