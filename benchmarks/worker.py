"""One side of the Python comparison: times `handle` of a body whenever it is told to, called as its own documentation calls it.

Usage: python benchmarks/worker.py      then, on standard input, the path of a body and the number of calls;
                                        on standard output, nanoseconds for one call
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import sys
import time

from pylon.webhooks import WebhookHandler

SECRET = "your-webhook-secret"


def main() -> None:
    """Answer each line with one figure."""
    handler = WebhookHandler(secret=SECRET)
    takes_signature = "signature" in inspect.signature(handler.handle).parameters

    @handler.on("issue_new")
    def new_issue(event: object) -> object:
        return event.issue_title  # type: ignore[attr-defined]

    for line in sys.stdin:
        path, calls = line.split()
        with open(path, "rb") as file:
            body = file.read()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        handle, turns = handler.handle, range(int(calls))
        start = time.perf_counter_ns()
        if takes_signature:
            for _ in turns:
                handle(payload=body, signature=signature, timestamp=None)
        else:
            for _ in turns:
                handle(body, {"X-Pylon-Signature": signature})
        print((time.perf_counter_ns() - start) / len(turns), flush=True)


if __name__ == "__main__":
    main()
