"""What the adapters' tests send, and what their handlers note."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pylon_webhooks import Endpoint, ReplayGuard, WebhookEvent, WebhookHandler
from pylon_webhooks.testing import sample_payload, signed_headers

if TYPE_CHECKING:
    from collections.abc import Iterable

SECRET = "whisper-9f3c-adapters"
TITLE = "customer-title-77"
BODY = sample_payload("issue_new", issue_title=TITLE)
HEADERS = {"Content-Type": "application/json", **signed_headers(SECRET, BODY)}
FORGED = signed_headers("another secret", BODY)
OTHER = sample_payload("issue_reaction", issue_title=TITLE)
OTHER_HEADERS = signed_headers(SECRET, OTHER)
NO_JSON = f"title={TITLE}".encode()
NO_JSON_HEADERS = signed_headers(SECRET, NO_JSON)

BROKEN = "Pylon webhook refused: incomplete body: the connection closed before the end of the body"
TOO_LARGE = "Pylon webhook refused: body too large: expected at most 100 bytes, found more"
LENGTH_REQUIRED = (
    "Pylon webhook refused: missing length: the server gave the app no body, since the request has no Content-Length and this "
    "server does not say where such a body ends (wsgi.input_terminated); use a server that does, such as gunicorn, or put one in "
    "front that buffers requests, such as nginx"
)
SHUTTING_DOWN = "Pylon webhook turned away: the app is shutting down"
IN_FLIGHT = "Pylon webhook turned away: a copy of the delivery is being handled"
DUPLICATE = "Pylon webhook not handled again: it is a copy of an earlier delivery"


class Failing:
    """A handler that notes events, and fails the first time."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, event: WebhookEvent) -> None:
        self.seen.append(event.event_type)
        if len(self.seen) == 1:
            raise RuntimeError(f"as a handler may fail, and say {TITLE}")


def noting(seen: list[str]) -> WebhookHandler:
    """A handler that notes events."""
    handler = WebhookHandler(SECRET)
    handler.on_any(lambda event: seen.append(event.event_type))
    return handler


def guarded(handler: WebhookHandler) -> Endpoint:
    """An endpoint that tells what comes again."""
    return Endpoint(handler, replay_guard=ReplayGuard.exact_request())


def check_silent(messages: Iterable[str]) -> None:
    """That no line of a log says a secret, a signature, or what a body says."""
    hidden = [SECRET, TITLE, *(str(headers["X-Pylon-Signature"]) for headers in (HEADERS, FORGED, OTHER_HEADERS))]
    for message in messages:
        assert not [text for text in hidden if text in message], message


def status_and_json(response: Any) -> tuple[int, Any]:
    """Of the answer of any framework's test client."""
    return response.status_code, response.get_json() if hasattr(response, "get_json") else response.json()
