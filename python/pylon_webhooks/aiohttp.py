"""An aiohttp handler that answers webhook requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._body import PIECE, aread_body
from ._native import Outcome, RequestFault
from ._needs import needs
from .endpoint import Endpoint

with needs("aiohttp", "aiohttp"):
    from aiohttp import ClientPayloadError, web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .handler import WebhookHandler


__all__ = ["add_webhook", "webhook_handler"]


def add_webhook(app: web.Application, handler: WebhookHandler | Endpoint, path: str = "/webhook") -> None:
    """Answer webhook requests at one path; the endpoint is closed when the app shuts down.

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
    """A request handler for `add_route("*", path, ...)`; who adds it so closes the endpoint as well."""
    endpoint = Endpoint.of(handler)

    async def webhook(request: web.Request) -> web.Response:
        body = await _body(endpoint, request)
        if not isinstance(body, Outcome):
            body = await endpoint.arespond(request.method, request.headers, body)
        return web.Response(body=body.body, status=body.status, headers=dict(body.headers))

    return webhook


async def _body(endpoint: Endpoint, request: web.Request) -> bytes | Outcome:
    outcome = endpoint.admit(request.method, request.headers)
    if outcome is not None:
        return outcome
    # Of a declared body nothing is left before anything was read here: somebody else has read it.
    # A packed one may be empty once it is unpacked.
    was_read = bool(request.content_length) and request.content.at_eof() and "Content-Encoding" not in request.headers
    try:
        body = await aread_body(request.content.iter_chunked(PIECE), endpoint.body_limit)
        # What middleware has read through `request.read()` is kept there.
        body = await request.read() if body == b"" else body
    except web.HTTPRequestEntityTooLarge:
        body = None
    except (ClientPayloadError, ConnectionError, web.RequestPayloadError):
        return endpoint.refuse(RequestFault.BROKEN)
    if body == b"" and was_read:
        return endpoint.refuse(RequestFault.CONSUMED)
    return endpoint.refuse_too_large() if body is None else body
