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

    name: the blueprint's; an app with several needs several.
    """
    endpoint = Endpoint.of(handler)
    blueprint = Blueprint(name, __name__)

    @blueprint.route(path, methods=_METHODS, provide_automatic_options=False)
    def webhook() -> Response:  # pyright: ignore[reportUnusedFunction] - the blueprint has it
        body = _body(endpoint, request)
        if not isinstance(body, Outcome):
            # A background thread has no app of its own; before the answer there is one.
            around = None if endpoint.background is None else current_app.app_context
            body = endpoint.respond(request.method, request.headers, body, around=around)
        return _response(body)

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

    An event of another class is answered 200, and the view does not run. With a replay guard, a view that raises or answers 500 or
    more lets the delivery come again.

    Raises TypeError for a class that is no event class, and for an endpoint with a background: the view runs before the answer.
    """
    endpoint = Endpoint.of(handler)
    view = endpoint.view(event_class)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def webhook(*args: Any, **kwargs: Any) -> Any:
            body = _body(endpoint, request)
            arrival = body if isinstance(body, Outcome) else endpoint.receive(request.method, request.headers, body)
            if isinstance(arrival, Outcome):
                return _response(arrival)
            try:
                event = view(arrival.event)
                if event is None:
                    answer = _response(Outcome.IGNORED)
                else:
                    answer = make_response(current_app.ensure_sync(function)(event, *args, **kwargs))
            except BaseException:
                arrival.give_back()
                raise
            if answer.status_code >= 500:
                arrival.give_back()
            else:
                arrival.settle()
            return answer

        return webhook

    return decorate


def _body(endpoint: Endpoint, request: Request) -> bytes | Outcome:
    outcome = endpoint.admit(request.method, request.headers)
    if outcome is not None:
        return outcome
    # Somebody has had the stream before, or what comes of it.
    was_read = "stream" in vars(request) or "form" in vars(request)
    try:
        body = read_body(_reader(request), endpoint.body_limit)
    except RequestEntityTooLarge:
        return endpoint.refuse_too_large()
    except Exception:  # noqa: BLE001 - each server has exceptions of its own for a body that breaks off
        return endpoint.refuse(RequestFault.BROKEN)
    if body == b"":
        # What the app has read through `get_data()` is kept there; where it has read otherwise, there is nothing.
        with suppress(Exception):
            body = request.get_data()
        if body == b"" and was_read and request.content_length:
            return endpoint.refuse(RequestFault.CONSUMED)
    return endpoint.refuse_too_large() if body is None else body


def _reader(request: Request) -> Callable[[int], bytes]:
    stream = request.stream

    def read(size: int) -> bytes:
        # Where the body is as large as `MAX_CONTENT_LENGTH`, Werkzeug takes the read that finds its end for one beyond it.
        if isinstance(stream, LimitedStream) and stream.is_exhausted and stream.limit == request.content_length:
            return b""
        return stream.read(size)

    return read


def _response(outcome: Outcome) -> Response:
    return Response(outcome.body, outcome.status, outcome.headers)
