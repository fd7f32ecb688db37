"""A Starlette route that answers webhook requests."""

from __future__ import annotations

from ._body import aread_body
from ._linger import Linger
from ._native import RequestFault
from ._needs import needs
from .endpoint import Endpoint

with needs("Starlette", "starlette"):
    from starlette.background import BackgroundTask
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ._types import AsyncReadBody
    from .handler import WebhookHandler


__all__ = ["webhook_route"]


def webhook_route(handler: WebhookHandler | Endpoint, path: str = "/webhook") -> Route:
    """A route that answers webhook requests at one path.

    >>> from pylon_webhooks import WebhookHandler
    >>> from starlette.applications import Starlette
    >>> app = Starlette(routes=[webhook_route(WebhookHandler(secret="your-webhook-secret"))])
    """
    return Route(path, View(Endpoint.of(handler)))


class View:
    """The route's ASGI app, for all methods."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await respond(self._endpoint, Request(scope, receive, send))
        await response(scope, receive, send)


async def respond(endpoint: Endpoint, request: Request) -> Response:
    """Decide what to answer, as a response."""
    linger = Linger()
    outcome = await endpoint.arespond(request.method, request.headers, body_of(request), linger=linger)
    after = BackgroundTask(linger.await_) if linger else None
    return Response(outcome.body, outcome.status, dict(outcome.headers), background=after)


def body_of(request: Request) -> AsyncReadBody:
    """What reads the request's body."""

    async def read(limit: int) -> bytes | RequestFault:
        try:
            # A body that middleware has read through `request.body()` comes again.
            body = await aread_body(request.stream(), limit)
        except RuntimeError:
            return RequestFault.CONSUMED
        if len(body) <= limit:
            # As `request.body()` keeps it, for what reads the body after this.
            request._body = body  # pyright: ignore[reportPrivateUsage]
        return body

    return read
