"""A Starlette route that answers webhook requests."""

from __future__ import annotations

from ._body import aread_body
from ._native import Outcome, RequestFault
from ._needs import needs
from .endpoint import Arrival, Endpoint

with needs("Starlette", "starlette"):
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import Response
    from starlette.routing import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

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
    """The route's ASGI app: all methods come here."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await respond(self._endpoint, Request(scope, receive, send))
        await response(scope, receive, send)


class OtherMethods(View):
    """Answers what is not a POST; a POST has another route."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope)
        outcome = self._endpoint.admit(request.method, request.headers) or Outcome.METHOD_NOT_ALLOWED
        await response_of(outcome)(scope, receive, send)


async def respond(endpoint: Endpoint, request: Request) -> Response:
    """Decide what to answer, and make it a response."""
    body = await _body(endpoint, request)
    if not isinstance(body, Outcome):
        body = await endpoint.arespond(request.method, request.headers, body)
    return response_of(body)


async def receive(endpoint: Endpoint, request: Request) -> Arrival | Outcome:
    """Verify a request and read its event."""
    body = await _body(endpoint, request)
    return body if isinstance(body, Outcome) else await endpoint.areceive(request.method, request.headers, body)


def response_of(outcome: Outcome) -> Response:
    """The outcome as Starlette sends it."""
    return Response(outcome.body, outcome.status, dict(outcome.headers))


async def _body(endpoint: Endpoint, request: Request) -> bytes | Outcome:
    outcome = endpoint.admit(request.method, request.headers)
    if outcome is not None:
        return outcome
    try:
        # What middleware has read through `request.body()` comes again.
        body = await aread_body(request.stream(), endpoint.body_limit)
    except ClientDisconnect:
        return endpoint.refuse(RequestFault.BROKEN)
    except RuntimeError:
        return endpoint.refuse(RequestFault.CONSUMED)
    return endpoint.refuse_too_large() if body is None else body
