"""The handler of all apps."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from pylon_webhooks import WebhookEvent, WebhookHandler

# With levels, for tests that nothing is told as an error that strangers can bring about.
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")

_TABLE = json.loads((Path(__file__).parents[3] / "vectors" / "requests.json").read_text(encoding="utf-8"))


def note(event: WebhookEvent) -> None:
    """Write the event's name where the tests look for it: one short line, which appending keeps whole."""
    with open(os.environ["PYLON_SEEN"], "ab", buffering=0) as seen:
        seen.write(f"{event.event_type}\n".encode())


def fail_by_value(_: WebhookEvent) -> None:
    raise ValueError("as a handler may fail")


def fail(_: WebhookEvent) -> None:
    raise RuntimeError("as a handler may fail")


async def note_async(event: WebhookEvent) -> None:
    note(event)


async def fail_async(event: WebhookEvent) -> None:
    fail(event)


def bare_handler() -> WebhookHandler:
    """Without handlers, for functions that take the event."""
    return WebhookHandler(_TABLE["secret"], clock=lambda: _TABLE["now"])


def new_handler(*, awaits: bool = False) -> WebhookHandler:
    """The handler that the table speaks of.

    awaits: part of the handlers are `async def`.
    """
    handler = bare_handler()
    handler.on_any(note_async if awaits else note)
    handler.on("raise_value_error")(fail_by_value)
    handler.on("raise_error")(fail_async if awaits else fail)
    return handler


def take(event: WebhookEvent) -> None:
    """What a function does that takes the event: the same as the handlers together."""
    note(event)
    if event.is_named("raise_value_error"):
        fail_by_value(event)
    if event.is_named("raise_error"):
        fail(event)
