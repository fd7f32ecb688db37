"""What an app's own tests need: sample payloads, signed requests, a clock that stands still.

`pylon_webhooks.testing.strategies` are strategies for hypothesis; `pylon_webhooks.testing.pytest_plugin` are fixtures, for
`pytest_plugins = ["pylon_webhooks.testing.pytest_plugin"]`. Neither is loaded before it is named.
"""

from __future__ import annotations

from .._native import names_match, probably_meant, sample, sign
from ..events import parse_webhook_event

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from typing import Any

    from ..events import WebhookEvent

__all__ = [
    "ABSENT",
    "KINDS",
    "FixedClock",
    "WebhookRequest",
    "sample_event",
    "sample_payload",
    "sign",
    "signed_headers",
]

#: The names of the typed events.
KINDS = (
    "issue_new",
    "issue_assigned",
    "issue_status_changed",
    "issue_field_changed",
    "issue_tags_changed",
    "issue_reaction",
    "issue_message_new",
)


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


#: As an override, leaves a key out.
ABSENT = _Absent()


def sample_payload(kind: str = "issue_new", /, **overrides: Any) -> bytes:
    """The body that Pylon would send of a kind's template, every variable replaced by a sample.

    >>> sample_payload("issue_new", issue_title="Export fails", region="eu")[:52]
    b'{"event_type":"issue_new","issue_id":"5b0c0f0e-1111-'

    overrides: keys and their values, those of the template and further ones; ABSENT leaves a key out. A kind that is not typed
    has an `event_type`, and nothing else but the overrides; one that was probably meant to be another is warned of.
    """
    import json

    known = any(names_match(kind, name) for name in KINDS)
    if not known and (meant := probably_meant(kind)) is not None:
        import warnings

        from ..exceptions import PylonWebhookNameWarning

        warnings.warn(f"nobody is likely to send {kind!r}; was {meant!r} meant?", PylonWebhookNameWarning, stacklevel=2)
    members: dict[str, Any] = json.loads(sample(kind)) if known else {"event_type": kind}
    members.update(overrides)
    members = {key: value for key, value in members.items() if value is not ABSENT}
    return json.dumps(members, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def sample_event(kind: str = "issue_new", /, **overrides: Any) -> WebhookEvent:
    """The event of a sample payload, for `handler.dispatch`.

    >>> sample_event("issue_message_new", message_author_name="Sam Doe").message_author_name
    'Sam Doe'
    """
    return parse_webhook_event(sample_payload(kind, **overrides))


def signed_headers(secret: str | bytes, payload: bytes, timestamp: int | None = None) -> dict[str, str]:
    """The headers of a delivery signed with the secret; a timestamp, in Unix seconds, is signed with the body.

    >>> sorted(signed_headers("your-webhook-secret", b"{}", 1700000000))
    ['X-Pylon-Signature', 'X-Pylon-Timestamp']
    """
    headers = {"X-Pylon-Signature": sign(secret, payload, timestamp)}
    return headers if timestamp is None else {**headers, "X-Pylon-Timestamp": str(timestamp)}


class WebhookRequest:
    """A request to send to an app under test: a POST of JSON, unsigned unless a secret is given.

    >>> request = WebhookRequest(sample_payload("issue_new"), secret="your-webhook-secret")
    >>> request.method, request.path, sorted(request.headers)
    ('POST', '/webhook', ['Content-Type', 'X-Pylon-Signature'])

    Send it as `client.post(request.path, content=request.body, headers=request.headers)`; Flask's and Django's clients say
    `data=`. Signed with another secret it is a forgery; with an old timestamp it is stale.

    body: the raw bytes.
    secret: what to sign with; None leaves it unsigned.
    timestamp: Unix seconds, signed with the body; None, as Pylon sends it.
    headers: further headers; they go before those made here.
    """

    def __init__(
        self,
        body: bytes,
        *,
        secret: str | bytes | None = None,
        timestamp: int | None = None,
        path: str = "/webhook",
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> None:
        if secret is None and timestamp is not None:
            raise ValueError(
                "a timestamp is signed with the body: pass a secret too, or put the header among `headers`"
            )
        signed = {} if secret is None else signed_headers(secret, body, timestamp)
        self.method = method
        self.path = path
        self.headers: dict[str, str] = {"Content-Type": "application/json", **signed, **(headers or {})}
        self.body = body

    def __repr__(self) -> str:
        return f"<WebhookRequest {self.method} {self.path}, {len(self.body)} bytes>"


class FixedClock:
    """A clock that stands still until it is moved: `WebhookHandler(secret=..., clock=FixedClock(1_700_000_000))`.

    >>> clock = FixedClock(1_700_000_000)
    >>> clock.advance(60)
    >>> clock()
    1700000060
    """

    def __init__(self, unix_seconds: int) -> None:
        self.unix_seconds = unix_seconds

    def __call__(self) -> int:
        """The time it shows, in Unix seconds."""
        return self.unix_seconds

    def advance(self, seconds: int) -> None:
        """Move it on."""
        self.unix_seconds += seconds


def __getattr__(name: str) -> object:
    # Hypothesis takes long to load, and pytest is not everywhere.
    if name in ("strategies", "pytest_plugin"):
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
