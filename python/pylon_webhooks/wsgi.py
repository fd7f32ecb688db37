"""A WSGI app that answers webhook requests: for any WSGI server, or mounted beside another app."""

from __future__ import annotations

from ._body import read_body
from ._native import RequestFault
from .endpoint import Endpoint

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from .handler import WebhookHandler


__all__ = ["WebhookApp", "webhook_app"]


def webhook_app(handler: WebhookHandler | Endpoint) -> WebhookApp:
    """A WSGI app that answers webhook requests at whatever path it is mounted.

    >>> from pylon_webhooks import WebhookHandler
    >>> app = webhook_app(WebhookHandler(secret="your-webhook-secret"))
    """
    return WebhookApp(Endpoint.of(handler))


class WebhookApp:
    """The WSGI app."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        from http import HTTPStatus

        endpoint, method, headers = self.endpoint, environ["REQUEST_METHOD"], headers_of(environ)
        outcome = endpoint.admit(method, headers)
        if outcome is None:
            try:
                body = body_of(environ, endpoint.body_limit)
            except Exception:  # noqa: BLE001 - each server has exceptions of its own for a body that breaks off
                outcome = endpoint.refuse(RequestFault.BROKEN)
            else:
                outcome = endpoint.refuse_too_large() if body is None else endpoint.respond(method, headers, body)
        answer = outcome.body
        start_response(
            f"{outcome.status} {HTTPStatus(outcome.status).phrase}",
            [*outcome.headers, ("content-length", str(len(answer)))],
        )
        return [] if method == "HEAD" else [answer]


def headers_of(environ: WSGIEnvironment) -> list[tuple[str, str]]:
    """The request's headers; several of one name are one here, joined by commas."""
    headers = [(key[5:].replace("_", "-"), value) for key, value in environ.items() if key.startswith("HTTP_")]
    if environ.get("CONTENT_LENGTH"):
        headers.append(("CONTENT-LENGTH", environ["CONTENT_LENGTH"]))
    return headers


def body_of(environ: WSGIEnvironment, limit: int) -> bytes | None:
    """The request's body; None where it is larger than the limit."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        return read_body(stream.read, limit)
    # A stream without an end of its own must not be read beyond the declared length.
    declared: str = environ.get("CONTENT_LENGTH") or ""
    # A negative one would read it to the end.
    left = int(declared) if declared.isascii() and declared.isdigit() else 0

    def read(size: int) -> bytes:
        nonlocal left
        piece: bytes = stream.read(min(size, left)) if left else b""
        left -= len(piece)
        return piece

    return read_body(read, limit)
