"""A Flask blueprint that answers webhook requests, and a decorator for views that take the verified event."""

from __future__ import annotations

from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from ._body import read_body
from ._native import Outcome, RequestFault
from ._needs import needs
from .endpoint import Endpoint
from .events import WebhookEvent

with needs("Flask", "flask"):
    from flask import Blueprint, Request, Response, current_app, make_response, request
    from werkzeug.exceptions import RequestEntityTooLarge
    from werkzeug.wsgi import LimitedStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from .handler import WebhookHandler


__all__ = ["verified_event", "webhook_blueprint"]

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
_E = TypeVar("_E")
_P = ParamSpec("_P")
_R = TypeVar("_R")


def webhook_blueprint(
    handler: WebhookHandler | Endpoint, path: str = "/webhook", *, name: str = "pylon_webhook"
) -> Blueprint:
    """A blueprint that answers webhook requests at one path.

    >>> from flask import Flask
    >>> from pylon_webhooks import WebhookHandler
    >>> app = Flask(__name__)
    >>> app.register_blueprint(webhook_blueprint(WebhookHandler(secret="your-webhook-secret")))

    name: the name of the blueprint. An app with several needs several names.
    """
    endpoint = Endpoint.of(handler)
    blueprint = Blueprint(name, __name__)

    @blueprint.route(path, methods=_METHODS, provide_automatic_options=False)
    def webhook() -> Response:  # pyright: ignore[reportUnusedFunction] - the blueprint has it
        # A background thread has no app context of its own; before the answer, handlers run in that of the request.
        around = None if endpoint.background is None else current_app.app_context
        return _response(endpoint.respond(request.method, request.headers, _body, around=around))

    return blueprint


@overload
def verified_event(
    handler: WebhookHandler | Endpoint,
) -> Callable[[Callable[Concatenate[WebhookEvent, _P], _R]], Callable[_P, _R | Response]]: ...
@overload
def verified_event(
    handler: WebhookHandler | Endpoint, event_class: type[_E]
) -> Callable[[Callable[Concatenate[_E, _P], _R]], Callable[_P, _R | Response]]: ...
def verified_event(handler: WebhookHandler | Endpoint, event_class: type[Any] = WebhookEvent) -> Any:
    """Decorate a view that takes the verified event first, instead of registered handlers.

    >>> from flask import Flask
    >>> from pylon_webhooks import IssueNewEvent, WebhookHandler
    >>> app, handler = Flask(__name__), WebhookHandler(secret="your-webhook-secret")
    >>> @app.post("/webhook")
    ... @verified_event(handler, IssueNewEvent)
    ... def webhook(event: IssueNewEvent) -> str:
    ...     return event.issue_title

    An event of another class is answered 200, and the view does not run. With a replay guard, the sender may send a delivery again
    if the view raises, or answers with a status of 500 or more.

    Raises TypeError for a class that is no event class. Raises TypeError for an endpoint with a background: the view runs before
    the answer.
    """
    endpoint = Endpoint.of(handler)
    view = endpoint.view(event_class)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def webhook(*args: Any, **kwargs: Any) -> Any:
            arrival = endpoint.receive(request.method, request.headers, _body)
            if isinstance(arrival, Outcome):
                return _response(arrival)
            with arrival:
                event = view(arrival.event)
                if event is None:
                    return _response(Outcome.IGNORED)
                answer = make_response(current_app.ensure_sync(function)(event, *args, **kwargs))
                if answer.status_code >= 500:
                    arrival.give_back()
                return answer

        return webhook

    return decorate


def _body(limit: int) -> bytes | RequestFault:
    # True if something else has had the stream, or the form parsed from it.
    was_read = "stream" in vars(request) or "form" in vars(request)
    try:
        body = read_body(_reader(request), limit)
    except RequestEntityTooLarge:
        return RequestFault.too_large(limit)
    if body == b"":
        # A body that the app has read through `get_data()` is kept there. If the app has read it otherwise, it is gone.
        with suppress(Exception):
            body = request.get_data()
    return RequestFault.CONSUMED if body == b"" and was_read and request.content_length else body


def _reader(request: Request) -> Callable[[int], bytes]:
    stream = request.stream

    def read(size: int) -> bytes:
        # If the body is exactly as large as `MAX_CONTENT_LENGTH`, Werkzeug takes the read that finds its end for one beyond the limit.
        if isinstance(stream, LimitedStream) and stream.is_exhausted and stream.limit == request.content_length:
            return b""
        return stream.read(size)

    return read


def _response(outcome: Outcome) -> Response:
    return Response(outcome.body, outcome.status, outcome.headers)
