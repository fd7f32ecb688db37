"""For the tests of your app: sample payloads, signed requests, a clock that you move.

`pylon_webhooks.testing.strategies` has strategies for hypothesis. `pylon_webhooks.testing.pytest_plugin` has fixtures: name it in
conftest.py, `pytest_plugins = ["pylon_webhooks.testing.pytest_plugin"]`. Neither is loaded before you name it.
"""

from __future__ import annotations

from .._native import kind_named, probably_meant, sample, sign
from ..events import parse_webhook_event

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from typing import Any

    from .._types import Payload
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

#: The kinds of the typed events.
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
    """The body that Pylon sends for the template of a kind, with samples in place of the variables.

    >>> sample_payload("issue_new", issue_title="Export fails", region="eu")[:52]
    b'{"event_type":"issue_new","issue_id":"5b0c0f0e-1111-'

    kind: the kind of a typed event, such as "issue_message_new", the name of its class, "MessageNewEvent", or any other name. The
        body of another name has an `event_type` and the overrides. A name that was probably meant to be that of a typed event
        causes a warning.
    overrides: values for keys of the template, and further keys. ABSENT leaves a key out.
    """
    import json

    known = kind_named(kind) is not None
    if not known and (fault := _doubt(kind, bool(overrides))) is not None:
        from .._log import warn
        from ..exceptions import PylonWebhookNameWarning

        warn(fault, PylonWebhookNameWarning)
    members: dict[str, Any] = json.loads(sample(kind)) if known else {"event_type": kind}
    members.update(overrides)
    members = {key: value for key, value in members.items() if value is not ABSENT}
    return json.dumps(members, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def sample_event(kind: str = "issue_new", /, **overrides: Any) -> WebhookEvent:
    """The event of `sample_payload`, for `handler.dispatch`.

    >>> sample_event("issue_message_new", message_author_name="Sam Doe").message_author_name
    'Sam Doe'
    """
    return parse_webhook_event(sample_payload(kind, **overrides))


def signed_headers(secret: str | bytes, payload: Payload, timestamp: int | None = None) -> dict[str, str]:
    """The headers of a delivery that is signed with the secret.

    timestamp: Unix seconds, signed together with the body.

    >>> sorted(signed_headers("your-webhook-secret", b"{}", 1700000000))
    ['X-Pylon-Signature', 'X-Pylon-Timestamp']
    """
    headers = {"X-Pylon-Signature": sign(secret, payload, timestamp)}
    return headers if timestamp is None else {**headers, "X-Pylon-Timestamp": str(timestamp)}


def _doubt(name: str, has_overrides: bool) -> str | None:
    """Why a name that is no kind's is probably a slip; None if it is probably the app's own."""
    if (meant := probably_meant(name)) is not None:
        return f"Pylon is unlikely to send an event named {name!r}; did you mean {meant!r}?"
    if not has_overrides and name.strip().lower().startswith(("issue", "message")):
        return (
            f"no typed event is named {name!r}, so the payload has nothing but its event_type; for the payload of a typed event, "
            f'pass its kind and the name: sample_payload("issue_new", event_type={name!r})'
        )
    return None


class WebhookRequest:
    """A request to send to your app under test: a POST of JSON, unsigned unless you give a secret.

    >>> request = WebhookRequest(sample_payload("issue_new"), secret="your-webhook-secret")
    >>> request.method, request.path, sorted(request.headers)
    ('POST', '/webhook', ['Content-Type', 'X-Pylon-Signature'])

    Send it as `client.post(request.path, content=request.body, headers=request.headers)`; with the test clients of Flask and Django,
    `data=request.body`. Another secret makes it a forgery, and an old timestamp makes it stale.

    body: the raw bytes, or text, which is encoded as UTF-8.
    secret: the secret to sign with. None: unsigned.
    timestamp: Unix seconds, signed together with the body. None: no timestamp, as Pylon sends it.
    headers: further headers. They replace those made here.
    """

    def __init__(
        self,
        body: bytes | str,
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
        self.body = body.encode() if isinstance(body, str) else body

    def __repr__(self) -> str:
        # Tracebacks show the object whose constructor failed.
        if not hasattr(self, "body"):
            return "<WebhookRequest>"
        return f"<WebhookRequest {self.method} {self.path}, {len(self.body)} bytes>"


class FixedClock:
    """A clock that stands still until you move it: `WebhookHandler(secret=..., clock=FixedClock(1_700_000_000))`.

    >>> clock = FixedClock(1_700_000_000)
    >>> clock.advance(60)
    >>> clock()
    1700000060
    """

    def __init__(self, unix_seconds: int) -> None:
        self.unix_seconds = unix_seconds

    def __call__(self) -> int:
        """The time of the clock, Unix seconds."""
        return self.unix_seconds

    def advance(self, seconds: int) -> None:
        """Move the clock forward."""
        self.unix_seconds += seconds


def __getattr__(name: str) -> object:
    # Lazily: hypothesis takes long to load, and pytest may be missing.
    if name in ("strategies", "pytest_plugin"):
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
