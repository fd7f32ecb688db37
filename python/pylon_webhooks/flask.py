"""A Flask blueprint that answers webhook requests, and a decorator for views that take the verified event."""

from __future__ import annotations

from contextlib import suppress
from functools import partial, update_wrapper
from inspect import Parameter, getattr_static, signature
from io import BytesIO
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from ._body import read_body
from ._native import Outcome, RequestFault
from ._needs import needs
from .endpoint import Endpoint
from .events import WebhookEvent
from .wsgi import body_of, declared_length

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
_E_co = TypeVar("_E_co", covariant=True)
_Self = TypeVar("_Self")
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

    Values in the path, such as those of `url_prefix="/<tenant>"`, are not looked at.
    """
    endpoint = Endpoint.of(handler)
    blueprint = Blueprint(name, __name__)

    @blueprint.route(path, methods=_METHODS, provide_automatic_options=False)
    def webhook(**_: object) -> Response:  # pyright: ignore[reportUnusedFunction] - the blueprint has it
        # A background thread has no app context of its own; before the answer, handlers run in that of the request.
        around = None if endpoint.background is None else current_app.app_context
        return _response(endpoint.respond(request.method, request.headers, _body, around=around))

    return blueprint


class _Decorator(Protocol[_E_co]):
    """What `verified_event` returns: it takes a function, a method, or the view of a class."""

    @overload
    def __call__(self, function: Callable[Concatenate[_E_co, _P], _R], /) -> Callable[_P, _R | Response]: ...
    @overload
    def __call__(
        self, method: Callable[Concatenate[_Self, _E_co, _P], _R], /
    ) -> Callable[Concatenate[_Self, _P], _R | Response]: ...
    @overload
    def __call__(self, view: Callable[..., _R], /) -> Callable[..., _R | Response]: ...


@overload
def verified_event(handler: WebhookHandler | Endpoint) -> _Decorator[WebhookEvent]: ...
@overload
def verified_event(handler: WebhookHandler | Endpoint, event_class: type[_E]) -> _Decorator[_E]: ...
def verified_event(handler: WebhookHandler | Endpoint, event_class: type[Any] = WebhookEvent) -> Any:
    """Decorate a view that takes the verified event first, instead of registered handlers.

    >>> from flask import Flask
    >>> from pylon_webhooks import IssueNewEvent, WebhookHandler
    >>> app, handler = Flask(__name__), WebhookHandler(secret="your-webhook-secret")
    >>> @app.post("/webhook")
    ... @verified_event(handler, IssueNewEvent)
    ... def webhook(event: IssueNewEvent) -> str:
    ...     return event.issue_title

    A method takes the event after `self`. Among the `decorators` of a class-based view, it gives the event to the class's methods
    as the keyword `event`.

    An event of another class is answered 200, and the view does not run. With a replay guard, the sender may send a delivery again
    if the view raises, or answers with a status of 500 or more.

    Raises TypeError for a class that is no event class. Raises TypeError for an endpoint with a background: the view runs before
    the answer.
    """
    endpoint = Endpoint.of(handler)
    view = endpoint.view(event_class)

    def decorate(function: Callable[..., Any]) -> _EventView:
        return _EventView(endpoint, view, function)

    return decorate


class _EventView:
    """A view that takes the verified event."""

    def __init__(
        self, endpoint: Endpoint, view: Callable[[WebhookEvent], object], function: Callable[..., Any]
    ) -> None:
        update_wrapper(self, function)
        self._endpoint = endpoint
        self._view = view
        self._function = function
        # The view that Flask makes of a class takes keywords only, and hands them to the class's method.
        self._takes_keywords_only = all(
            parameter.kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD)
            for parameter in signature(function).parameters.values()
        )

    def __get__(self, instance: object, _: type | None = None) -> Callable[..., Any]:
        return self if instance is None else partial(self._answer, (instance,))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer the request."""
        # From Python 3.13 on, `classmethod` hands the class over as an argument.
        owner = args[0] if args and isinstance(args[0], type) else None
        method: Any = None if owner is None else getattr_static(owner, getattr(self._function, "__name__", ""), None)
        if getattr(method, "__func__", None) is self:
            return self._answer(args[:1], *args[1:], **kwargs)
        return self._answer((), *args, **kwargs)

    def _answer(self, instance: tuple[object, ...], /, *args: Any, **kwargs: Any) -> Any:
        arrival = self._endpoint.receive(request.method, request.headers, _body)
        if isinstance(arrival, Outcome):
            return _response(arrival)
        with arrival:
            event = self._view(arrival.event)
            if event is None:
                return _response(Outcome.IGNORED)
            if self._takes_keywords_only:
                kwargs["event"] = event
            else:
                args = (*instance, event, *args)
            answer = make_response(current_app.ensure_sync(self._function)(*args, **kwargs))
            if answer.status_code >= 500:
                arrival.give_back()
            return answer


def _body(limit: int) -> bytes | RequestFault:
    environ = request.environ
    if not environ.get("wsgi.input_terminated") and None in (declared_length(environ), request.content_length):
        # Werkzeug gives no body then. The server may know the length all the same: that of a chunked body which nginx has buffered.
        most = min(limit, request.max_content_length or limit)
        found = body_of(environ, most)
        if isinstance(found, RequestFault):
            return found
        if len(found) > most:
            return RequestFault.too_large(limit)
        _put_back(found)
        return found
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
    if body == b"" and was_read and request.content_length:
        return RequestFault.CONSUMED
    if len(body) <= limit:
        _put_back(body)
    return body


def _put_back(body: bytes) -> None:
    """For what reads the body after this: the view, another decorator, or a function that runs after the request."""
    request.environ["wsgi.input"] = BytesIO(body)
    if request.content_length is None:
        request.environ["wsgi.input_terminated"] = True
    vars(request).pop("stream", None)


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
