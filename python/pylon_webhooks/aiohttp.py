"""An aiohttp handler that answers webhook requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._body import PIECE, aread_body
from ._native import RequestFault
from ._needs import needs
from .endpoint import Endpoint

with needs("aiohttp", "aiohttp"):
    from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .handler import WebhookHandler


__all__ = ["add_webhook", "webhook_handler"]


def add_webhook(app: web.Application, handler: WebhookHandler | Endpoint, path: str = "/webhook") -> None:
    """Answer webhook requests at one path. The endpoint closes when the app shuts down.

    >>> from pylon_webhooks import WebhookHandler
    >>> app = web.Application()
    >>> add_webhook(app, WebhookHandler(secret="your-webhook-secret"))
    """
    endpoint = Endpoint.of(handler)

    async def open_(_: web.Application) -> None:
        await endpoint.__aenter__()

    async def close(_: web.Application) -> None:
        await endpoint.aclose()

    app.router.add_route("*", path, webhook_handler(endpoint))
    app.on_startup.append(open_)
    app.on_shutdown.append(close)


def webhook_handler(handler: WebhookHandler | Endpoint) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A request handler for `app.router.add_route("*", path, ...)`. Close the endpoint yourself when the app shuts down."""
    endpoint = Endpoint.of(handler)

    async def webhook(request: web.Request) -> web.Response:
        outcome = await endpoint.arespond(request.method, request.headers, lambda limit: _body(request, limit))
        return web.Response(body=outcome.body, status=outcome.status, headers=dict(outcome.headers))

    return webhook


async def _body(request: web.Request, limit: int) -> bytes | RequestFault:
    # The stream is at its end before anything was read here: something else has read the declared body.
    # A compressed body may be empty once it is unpacked.
    was_read = bool(request.content_length) and request.content.at_eof() and "Content-Encoding" not in request.headers
    try:
        # A body that middleware has read through `request.read()` is kept there.
        body = await aread_body(request.content.iter_chunked(PIECE), limit) or await request.read()
    except web.HTTPRequestEntityTooLarge:
        return RequestFault.too_large(limit)
    if was_read and not body:
        return RequestFault.CONSUMED
    if len(body) <= limit:
        # As `request.read()` keeps it, for middleware that looks at the body after the handler.
        request._read_bytes = body  # pyright: ignore[reportPrivateUsage]
    return body
