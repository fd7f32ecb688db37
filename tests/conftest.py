"""What several test files need: a secret, a clock that stands still, and deliveries signed with both."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pylon_webhooks import WebhookHandler, sign

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "tests' secret, long enough to be searched for"
NOW = 1_700_000_000


class Delivery(NamedTuple):
    """What arrives: arguments of `handle`, in order."""

    payload: bytes
    signature: str
    timestamp: str | None = None


@pytest.fixture
def secret() -> str:
    return SECRET


@pytest.fixture
def now() -> int:
    return NOW


@pytest.fixture
def handler() -> WebhookHandler:
    return WebhookHandler(SECRET, clock=lambda: NOW)


@pytest.fixture
def delivery() -> Callable[..., Delivery]:
    """Makes authentic deliveries: of a kind and fields, or of these very bytes."""

    def make(
        kind: str = "issue_new", *, body: bytes | None = None, timestamp: int | None = None, **fields: Any
    ) -> Delivery:
        payload = json.dumps({"event_type": kind, **fields}).encode() if body is None else body
        text = None if timestamp is None else str(timestamp)
        return Delivery(payload, sign(SECRET, payload, text), text)

    return make
