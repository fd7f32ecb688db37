"""Strategies for hypothesis: payloads of every kind, in the odd shapes that templates give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._needs import needs
from ..events import WebhookEvent, parse_webhook_event
from . import ABSENT, KINDS, WebhookRequest, sample_payload

with needs("hypothesis", "testing"):
    from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["events", "kinds", "payloads", "requests", "values"]


def kinds() -> SearchStrategy[str]:
    """The kinds of the typed events."""
    return st.sampled_from(KINDS)


def values() -> SearchStrategy[Any]:
    """A value as templates and admins give it: text, one of the many forms of no value, or a value of an unexpected type."""
    no_value = st.sampled_from([None, "", " ", "null", "{{issue.team.name}}", "0001-01-01T00:00:00Z", ABSENT])
    hostile = st.sampled_from(["<script>alert(1)</script>", 'quoted "text"', "\u202eright to left", "\U0001f600"])
    person = st.just({"id": "usr_1", "name": "Sam Doe", "email": "sam@example.com"})
    text = st.text(st.characters(exclude_categories=["Cs"]))
    return st.one_of(text, no_value, hostile, st.booleans(), st.integers(), person, st.lists(text, max_size=3))


def payloads(kind: str | None = None) -> SearchStrategy[bytes]:
    """Bodies of one kind, or of all kinds: samples of the template, with some odd values and some further keys.

    >>> from hypothesis import given
    >>> @given(payloads("issue_new"))
    ... def test_nothing_odd_breaks_the_handler(payload: bytes) -> None: ...
    """
    return (kinds() if kind is None else st.just(kind)).flatmap(_payloads_of)


def events(kind: str | None = None) -> SearchStrategy[WebhookEvent]:
    """The events of such bodies, for `handler.dispatch`."""
    return payloads(kind).map(parse_webhook_event)


def requests(secret: str | bytes, kind: str | None = None) -> SearchStrategy[WebhookRequest]:
    """Requests with such bodies, signed with the secret."""
    return payloads(kind).map(lambda payload: WebhookRequest(payload, secret=secret))


def _payloads_of(kind: str) -> SearchStrategy[bytes]:
    names = [name for name in type(parse_webhook_event(sample_payload(kind))).__match_args__ if name != "event_type"]
    # A second `event_type` would make it an event of another kind.
    added = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12).filter(lambda key: key != "event_type")
    overrides = st.dictionaries(st.sampled_from(names) | added if names else added, values(), max_size=6)
    return overrides.map(lambda chosen: sample_payload(kind, **chosen))
