"""An ASGI app that answers webhook requests, for any ASGI server, or mounted in Starlette, FastAPI, Litestar or Quart."""

from __future__ import annotations

from contextlib import suppress

from ._body import aread_body
from ._linger import Linger
from ._native import Outcome
from .endpoint import Endpoint

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ._types import ASGIApp, Receive, Scope, Send
    from .handler import WebhookHandler

__all__ = ["WebhookApp", "lifespan_app", "webhook_app"]


def webhook_app(handler: WebhookHandler | Endpoint) -> WebhookApp:
    """An ASGI app that answers webhook requests at the path where it is mounted.

    >>> from pylon_webhooks import WebhookHandler
    >>> app = webhook_app(WebhookHandler(secret="your-webhook-secret"))
    """
    return WebhookApp(Endpoint.of(handler))


def lifespan_app(app: ASGIApp, endpoint: Endpoint) -> ASGIApp:
    """Closes the endpoint when the server shuts down, for an app of a framework without lifespan, such as Django.

    >>> from pylon_webhooks import WebhookHandler
    >>> endpoint = Endpoint(WebhookHandler(secret="your-webhook-secret"))
    >>> async def app(scope, receive, send): ...
    >>> application = lifespan_app(app, endpoint)
    """
    closing = WebhookApp(endpoint)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await (closing if scope["type"] == "lifespan" else app)(scope, receive, send)

    return application


class WebhookApp:
    """The ASGI app. Served on its own, it closes the endpoint when the server shuts down."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one lifespan."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            # Before the connection is accepted, this refuses it.
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        linger = Linger()
        outcome = await self.endpoint.arespond(
            method, scope["headers"], lambda limit: aread_body(_pieces(receive), limit), linger=linger
        )
        # The sender may have hung up. An app that sends nothing at all is broken in the eyes of Starlette's middleware.
        with suppress(OSError):
            await _send(outcome, method, send)
        await linger.await_()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.endpoint.__aenter__()
                except RuntimeError as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.endpoint.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the sender hung up before the body's end")
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _send(outcome: Outcome, method: str, send: Send) -> None:
    body = outcome.body
    headers = [(name.encode(), value.encode()) for name, value in outcome.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": outcome.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
