"""Django views that answer webhook requests. They are exempt from the CSRF check: the signature takes its place."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ._body import read_body
from ._linger import Linger, Lingering
from ._native import Outcome, RequestFault
from ._needs import needs
from .endpoint import Endpoint
from .wsgi import body_of, declared_length

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


def webhook_view(handler: WebhookHandler | Endpoint) -> Callable[..., HttpResponse]:
    """A view that answers webhook requests: `path("webhook", webhook_view(handler))` among the urlpatterns.

    It takes the values in the path, and does nothing with them.
    """
    endpoint = Endpoint.of(handler)
    lingering = Lingering()

    def webhook(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
        linger = Linger()
        outcome = endpoint.respond(
            request.method or "",
            request.headers,
            lambda limit: _body(request, limit),
            around=_as_a_request,
            linger=linger,
        )
        return _response(outcome, request, linger, lingering)

    return _exempt(webhook)


def async_webhook_view(handler: WebhookHandler | Endpoint) -> Callable[..., Awaitable[HttpResponse]]:
    """As `webhook_view`, as an async view, which runs `async def` handlers.

    A background runs on threads, the async handlers of each event in an event loop of their own: Django does not say when the
    server's event loop ends.
    """
    endpoint = Endpoint.of(handler)
    lingering = Lingering()

    async def webhook(request: HttpRequest, *_: object, **__: object) -> HttpResponse:
        async def read(limit: int) -> bytes | RequestFault:
            return _body(request, limit)

        linger = Linger()
        outcome = await endpoint.arespond(
            request.method or "", request.headers, read, on_threads=True, around=_as_a_request, linger=linger
        )
        return _response(outcome, request, linger, lingering)

    return _exempt(webhook)


def _exempt(view: _View) -> _View:
    """Without the CSRF check and the login page, and without the transaction of `ATOMIC_REQUESTS`, which `_as_a_request` puts
    around the handlers."""
    for alias in connections.settings:
        view = transaction.non_atomic_requests(alias)(view)
    view = csrf_exempt(view)
    # As `login_not_required` does, which is there since Django 5.1, together with LoginRequiredMiddleware.
    view.login_required = False  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
    return view


def _body(request: HttpRequest, limit: int) -> bytes | RequestFault:
    environ = getattr(request, "environ", None)
    was_read = bool(getattr(request, "_read_started", False))
    if environ is not None and declared_length(environ) is None:
        # Django reads no body without a declared length.
        body = body_of(environ, limit)
        if isinstance(body, RequestFault):
            return body
    else:
        body = read_body(request.read, limit)
    if body == b"":
        # A body that was read through `request.body` is kept there. If it was read otherwise, it is gone.
        try:
            body = request.body
        except RawPostDataException:
            if was_read and request.headers.get("Content-Length", "0") != "0":
                return RequestFault.CONSUMED
    if len(body) <= limit:
        # As `request.body` keeps it, for middleware that looks at the body after the view.
        request._body = body  # pyright: ignore[reportAttributeAccessIssue]
    return body


@contextmanager
def _as_a_request() -> Generator[None]:
    """What Django does around each request, done around the handlers of an event.

    With `ATOMIC_REQUESTS`, the handlers are one transaction, which ends before the answer: after a failed handler or a failed
    commit, nothing is left behind, and the sender may send the delivery again.
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
        # A view around this one may have a transaction open. Django's own function would close the connection under it.
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


class _LingeringResponse(HttpResponse):
    """Closed by Django once it is sent, and waits then."""

    wait: Callable[[], None]

    def close(self) -> None:
        super().close()
        self.wait()


def _response(outcome: Outcome, request: HttpRequest, linger: Linger, lingering: Lingering) -> HttpResponse:
    # In WSGI a server ends its threads in order, and this would hold one up. In ASGI the request has a thread of its own by now.
    lingers = bool(linger) and hasattr(request, "scope")
    response = (_LingeringResponse if lingers else HttpResponse)(
        outcome.body, status=outcome.status, headers=dict(outcome.headers)
    )
    if isinstance(response, _LingeringResponse):
        response.wait = partial(lingering.wait, linger)
    return response
