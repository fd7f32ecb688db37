"""An AWS Lambda function that answers webhook requests, behind API Gateway (payload formats 1.0 and 2.0), a function URL, or an
application load balancer."""

from __future__ import annotations

from .endpoint import Endpoint

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from asyncio import Runner
    from collections.abc import Callable
    from typing import Any

    from ._native import Outcome
    from ._types import Headers
    from .handler import WebhookHandler

__all__ = ["webhook_function"]


def webhook_function(handler: WebhookHandler | Endpoint) -> Callable[[dict[str, Any], object], dict[str, Any]]:
    """A function for Lambda to call: name it in the function's configuration.

    >>> from pylon_webhooks import WebhookHandler
    >>> lambda_handler = webhook_function(WebhookHandler(secret="your-webhook-secret"))

    `async def` handlers run in one event loop, which is kept from call to call.

    Raises TypeError for an endpoint with a background: Lambda freezes the process after the answer.
    """
    endpoint = Endpoint.of(handler)
    if endpoint.background is not None:
        raise TypeError(
            "Lambda freezes the process after the answer, and the background with it: send the event to a queue "
            "in a handler instead"
        )
    # One, once it is needed.
    runners: list[Runner] = []

    def answer(event: dict[str, Any], _context: object) -> dict[str, Any]:
        method, headers = _head(event)
        if not endpoint.is_async:
            return _response(event, endpoint.respond(method, headers, lambda _: _body(event)), method)
        if not runners:
            from asyncio import Runner

            runners.append(Runner())

        async def read(_: int) -> bytes | str:
            return _body(event)

        return _response(event, runners[0].run(endpoint.arespond(method, headers, read)), method)

    from weakref import finalize

    # At the end of the process, or of a function that a test drops.
    finalize(answer, _close, runners)
    return answer


def _close(runners: list[Runner]) -> None:
    for runner in runners:
        runner.close()


def _head(event: dict[str, Any]) -> tuple[str, Headers]:
    """Method and headers."""
    try:
        # Format 1.0 and load balancers have the method at the top, format 2.0 and function URLs in the context.
        method = event.get("httpMethod") or event["requestContext"]["http"]["method"]
        headers: dict[str, Any] = event.get("multiValueHeaders") or event.get("headers") or {}
        if not isinstance(method, str) or not isinstance(event.get("body", ""), (str, type(None))):
            raise TypeError
        # The declared length is that of the body before AWS made it text.
        return method, [(name, value) for name, value in headers.items() if name.lower() != "content-length"]
    except (AttributeError, KeyError, TypeError):
        raise TypeError(
            "expected an event of API Gateway (1.0 or 2.0), a function URL or a load balancer, found another object"
        ) from None


def _body(event: dict[str, Any]) -> bytes | str:
    """The body, as text if AWS gives it so. Raises ValueError for malformed base64."""
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body
    from base64 import b64decode

    return b64decode(body, validate=True)


def _response(event: dict[str, Any], outcome: Outcome, method: str) -> dict[str, Any]:
    headers: dict[str, Any] = dict(outcome.headers)
    # A load balancer that sends lists of values expects them in the answer.
    several = "multiValueHeaders" in event and "headers" not in event
    named = (
        {"multiValueHeaders": {name: [value] for name, value in headers.items()}} if several else {"headers": headers}
    )
    body = "" if method == "HEAD" else outcome.body.decode()
    return {"statusCode": outcome.status, **named, "body": body, "isBase64Encoded": False}
