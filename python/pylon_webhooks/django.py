"""Django views that answer webhook requests, exempt from the CSRF check: the signature is the check."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ._body import read_body
from ._native import Outcome, RequestFault
from ._needs import needs
from .endpoint import Endpoint
from .wsgi import body_of

with needs("Django", "django"):
    from django.db import connections, transaction
    from django.http import HttpRequest, HttpResponse
    from django.http.request import RawPostDataException
    from django.views.decorators.csrf import csrf_exempt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from .handler import WebhookHandler


__all__ = ["async_webhook_view", "webhook_view"]

_View = TypeVar("_View", bound="Callable[..., Any]")


def webhook_view(handler: WebhookHandler | Endpoint) -> Callable[[HttpRequest], HttpResponse]:
    """A view that answers webhook requests: `path("webhook", webhook_view(handler))` among the urlpatterns."""
    endpoint = Endpoint.of(handler)

    def webhook(request: HttpRequest) -> HttpResponse:
        body = _body(endpoint, request)
        if not isinstance(body, Outcome):
            body = endpoint.respond(request.method or "", request.headers, body, around=_as_a_request)
        return _response(body)

    return _exempt(webhook)


def async_webhook_view(handler: WebhookHandler | Endpoint) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    """The same as an async view, which runs `async def` handlers.

    A background runs on threads here, each event's `async def` handlers in an event loop of its own: Django tells nobody when its
    server's loop ends.
    """
    endpoint = Endpoint.of(handler)

    async def webhook(request: HttpRequest) -> HttpResponse:
        body = _body(endpoint, request)
        if not isinstance(body, Outcome):
            body = await endpoint.arespond(
                request.method or "", request.headers, body, on_threads=True, around=_as_a_request
            )
        return _response(body)

    return _exempt(webhook)


def _exempt(view: _View) -> _View:
    """Without the CSRF check, and without the transaction that `ATOMIC_REQUESTS` puts around a view: see `_as_a_request`."""
    for alias in connections.settings:
        view = transaction.non_atomic_requests(alias)(view)
    return csrf_exempt(view)


def _body(endpoint: Endpoint, request: HttpRequest) -> bytes | Outcome:
    outcome = endpoint.admit(request.method or "", request.headers)
    if outcome is not None:
        return outcome
    environ = getattr(request, "environ", None)
    was_read = bool(getattr(request, "_read_started", False))
    try:
        if environ is not None and environ.get("wsgi.input_terminated") and not environ.get("CONTENT_LENGTH"):
            # Django takes a body without a declared length for none.
            body = body_of(environ, endpoint.body_limit)
        else:
            body = read_body(request.read, endpoint.body_limit)
    except Exception:  # noqa: BLE001 - each server has exceptions of its own for a body that breaks off
        return endpoint.refuse(RequestFault.BROKEN)
    if body == b"":
        # What was read through `request.body` is kept there; where it was read otherwise, there is nothing.
        try:
            body = request.body
        except RawPostDataException:
            if was_read and request.headers.get("Content-Length", "0") != "0":
                return endpoint.refuse(RequestFault.CONSUMED)
    return endpoint.refuse_too_large() if body is None else body


@contextmanager
def _as_a_request() -> Generator[None]:
    """What Django does around each request, done around an event's handlers.

    With `ATOMIC_REQUESTS` they are a transaction, which ends before anything is told of them: a failed handler, or a failed commit,
    leaves nothing behind, and the delivery may come again.
    """
    _close_old_connections()
    try:
        with ExitStack() as transactions:
            for alias, settings in connections.settings.items():
                if settings["ATOMIC_REQUESTS"]:
                    transactions.enter_context(transaction.atomic(using=alias))
            yield
    finally:
        _close_old_connections()


def _close_old_connections() -> None:
    for connection in connections.all(initialized_only=True):
        # A view around this one may have a transaction open; Django's own function would close that under it.
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _response(outcome: Outcome) -> HttpResponse:
    return HttpResponse(outcome.body, status=outcome.status, headers=dict(outcome.headers))
