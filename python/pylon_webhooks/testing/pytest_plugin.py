"""Fixtures for pytest. Name them in conftest.py: `pytest_plugins = ["pylon_webhooks.testing.pytest_plugin"]`.

pylon_secret    the secret that the other fixtures sign with; override it with your app's
pylon_clock     a clock that stands still, for `WebhookHandler(..., clock=pylon_clock)`
pylon_request   makes signed requests: `pylon_request("issue_new", issue_title="Export fails")`
pylon_event     makes events: `pylon_event("issue_new")`, for `handler.dispatch`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._needs import needs
from . import FixedClock, WebhookRequest, sample_event, sample_payload

with needs("pytest", "testing"):
    import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..events import WebhookEvent

__all__ = ["pylon_clock", "pylon_event", "pylon_request", "pylon_secret"]


@pytest.fixture
def pylon_secret() -> str:
    """The secret that requests are signed with: your-webhook-secret."""
    return "your-webhook-secret"


@pytest.fixture
def pylon_clock() -> FixedClock:
    """A clock that stands at 1,700,000,000."""
    return FixedClock(1_700_000_000)


@pytest.fixture
def pylon_request(pylon_secret: str) -> Callable[..., WebhookRequest]:
    """Makes signed requests with a sample payload of a kind; keywords override its values."""

    def make(kind: str = "issue_new", /, *, timestamp: int | None = None, **overrides: Any) -> WebhookRequest:
        return WebhookRequest(sample_payload(kind, **overrides), secret=pylon_secret, timestamp=timestamp)

    return make


@pytest.fixture
def pylon_event() -> Callable[..., WebhookEvent]:
    """Makes events of a kind, as if they were verified; keywords override their values."""
    return sample_event
