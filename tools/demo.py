"""Shows the library at work: two apps on free loopback ports, real signed deliveries and forgeries over HTTP.

Usage: python tools/demo.py AXUM_EXAMPLE        exit status 0 when every answer is the one it should be
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from servers import Server, free_port, serve

from pylon_webhooks.testing import KINDS, sample_payload, signed_headers

SECRET = "your-webhook-secret"
ROOT = Path(__file__).resolve().parent.parent


def deliveries(now: int) -> list[tuple[str, bytes, dict[str, str], int]]:
    """What is sent: a name, the body, the headers, and the status that should come back."""
    new = sample_payload("issue_new")
    unknown = b'{"event": "ticket.created", "ticket_id": "42"}'
    bodies = [(kind, sample_payload(kind)) for kind in KINDS]
    body_only = [(kind, body, signed_headers(SECRET, body), 200) for kind, body in bodies]
    return [
        *body_only,
        ("with a timestamp", new, signed_headers(SECRET, new, now), 200),
        ("unknown event", unknown, signed_headers(SECRET, unknown), 200),
        ("forged", new, signed_headers("another-secret", new), 401),
        ("stale", new, signed_headers(SECRET, new, now - 3600), 401),
        ("unsigned", new, {}, 401),
        ("not JSON", b"oops", signed_headers(SECRET, b"oops"), 400),
    ]


def handler_lines(server: Server) -> list[str]:
    """What the app's handlers print for one delivery: the last line is that of `on_any` or `on_error`."""
    lines: list[str] = []
    while not lines or (lines[-1] and not lines[-1].startswith(("Event: ", "Refused: "))):
        line = server.line()
        # The package's own log says the same as `on_error` here, and comes after it: among the next delivery's lines.
        if not line.startswith("Pylon webhook "):
            lines.append(line)
    return lines


def show(title: str, server: Server) -> int:
    """Send everything to one app; how many answers were not the ones they should be."""
    wrong = 0
    print(f"\n{title} on 127.0.0.1:{server.port}")
    for name, body, headers, expected in deliveries(int(time.time())):
        status = server.post("/webhook", body, headers)
        lines = handler_lines(server)
        wrong += status != expected
        verdict = "" if status == expected else f"   <- expected {expected}"
        print(f"  {name:<20} {status}  {' | '.join(lines)}{verdict}")
    return wrong


def main() -> int:
    """Run both apps and show what they answer."""
    axum_example = sys.argv[1]
    port = free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--log-level", "error"]
    command = [*uvicorn, "--port", str(port), "examples.fastapi_app:app"]
    with serve(command, port, PYLON_WEBHOOK_SECRET=SECRET) as server:
        wrong = show("FastAPI (examples/fastapi_app.py)", server)
    port = free_port()
    with serve([axum_example], port, PYLON_WEBHOOK_SECRET=SECRET, ADDRESS=f"127.0.0.1:{port}") as server:
        wrong += show("axum (examples/axum.rs)", server)
    print(f"\n{'all answers are as they should be' if wrong == 0 else f'{wrong} answers are not as they should be'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
