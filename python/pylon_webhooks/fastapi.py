"""A FastAPI router that answers webhook requests, and a dependency that yields the verified event."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, overload

from ._native import Outcome
from ._needs import needs
from .endpoint import Endpoint
from .events import WebhookEvent
from .starlette import View, body_of, respond

with needs("FastAPI", "fastapi"):
    from fastapi import APIRouter, HTTPException, Request, Response
    from starlette.routing import Route, compile_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .handler import WebhookHandler

__all__ = ["verified_event", "webhook_router"]

_E = TypeVar("_E")
#: Where a request has the events that its dependencies have verified, by endpoint.
_ARRIVED = "pylon_webhooks.arrived"

#: The answers, for the documentation of the API.
_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is not JSON, or did not arrive whole"},
    401: {"description": "The signature or the timestamp was refused"},
    405: {"description": "Not a POST, PUT or PATCH"},
    413: {"description": "The body is too large"},
    500: {"description": "A handler failed"},
    503: {"description": "The app is shutting down, or has too many events waiting"},
}


def webhook_router(handler: WebhookHandler | Endpoint, path: str = "/webhook", **options: Any) -> APIRouter:
    """A router that answers webhook requests at one path. The endpoint closes when the app shuts down.

    >>> from fastapi import FastAPI
    >>> from pylon_webhooks import WebhookHandler
    >>> app = FastAPI()
    >>> app.include_router(webhook_router(WebhookHandler(secret="your-webhook-secret")))

    options: further options of `APIRouter`, such as `tags`.
    """
    endpoint = Endpoint.of(handler)
    inner = options.pop("lifespan", None)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncGenerator[Any]:
        async with endpoint:
            if inner is None:
                yield
            else:
                async with inner(app) as state:
                    yield state

    router = APIRouter(lifespan=lifespan, **options)

    @router.post(path, response_class=Response, responses=_RESPONSES, summary="Receive a Pylon webhook")
    async def webhook(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction] - the router has it
        return await respond(endpoint, request)

    # The documentation of the API shows one operation.
    router.api_route(path, methods=["PUT", "PATCH"], response_class=Response, include_in_schema=False)(webhook)
    # A plain route has neither the router's prefix nor its dependencies. It answers the methods that the routes above do not take.
    router.routes.append(_PlainRoute(router.prefix + path, View(endpoint)))
    return router


class _PlainRoute(Route):
    """Starlette's route, whose path may be empty, as that of a route in a router with a prefix may be."""

    def __init__(self, path: str, app: View) -> None:
        super().__init__(path or "/", app, include_in_schema=False)
        if not path:
            self.path = path
            self.path_regex, self.path_format, self.param_convertors = compile_path(path)


@overload
def verified_event(handler: WebhookHandler | Endpoint) -> Callable[[Request], AsyncGenerator[WebhookEvent]]: ...
@overload
def verified_event(
    handler: WebhookHandler | Endpoint, event_class: type[_E]
) -> Callable[[Request], AsyncGenerator[_E]]: ...
def verified_event(
    handler: WebhookHandler | Endpoint, event_class: type[Any] = WebhookEvent
) -> Callable[[Request], AsyncGenerator[Any]]:
    """A dependency that yields the verified event, for a path function of your own instead of registered handlers.

    >>> from typing import Annotated
    >>> from fastapi import Depends, FastAPI
    >>> from pylon_webhooks import IssueNewEvent, WebhookHandler
    >>> app, handler = FastAPI(), WebhookHandler(secret="your-webhook-secret")
    >>> @app.post("/webhook")
    ... async def webhook(event: Annotated[IssueNewEvent, Depends(verified_event(handler, IssueNewEvent))]) -> None:
    ...     print(f"New issue: {event.issue_title}")

    An event of another class is answered 200, and the function does not run. Refusals have FastAPI's JSON:
    `{"detail": "unauthorized"}`. With a replay guard, the sender may send a delivery again if the function raises, an
    `HTTPException` too. An answer of 500 that the function returns has no such effect.

    Raises TypeError for a class that is no event class. Raises TypeError for an endpoint with a background: the function runs
    before the answer.
    """
    endpoint = Endpoint.of(handler)
    view = endpoint.view(event_class)

    async def event_of(request: Request) -> AsyncGenerator[Any]:
        # Several dependencies on one endpoint have one delivery: it is verified, and asked the replay guard for, once.
        arrived: dict[Endpoint, WebhookEvent] = request.scope.setdefault(_ARRIVED, {})
        if endpoint in arrived:
            yield _taken(view(arrived[endpoint]))
            return
        arrival = await endpoint.areceive(request.method, request.headers, body_of(request))
        if isinstance(arrival, Outcome):
            raise _exception(arrival)
        async with arrival:
            arrived[endpoint] = arrival.event
            yield _taken(view(arrival.event))

    return event_of


def _taken(event: _E | None) -> _E:
    if event is None:
        raise _exception(Outcome.IGNORED)
    return event


def _exception(outcome: Outcome) -> HTTPException:
    return HTTPException(outcome.status, outcome.name, dict(outcome.headers))
