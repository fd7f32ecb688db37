"""A WSGI app that answers webhook requests, for any WSGI server, or mounted beside another app."""

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
    """A WSGI app that answers webhook requests at the path where it is mounted.

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

        method = environ["REQUEST_METHOD"]
        outcome = self.endpoint.respond(method, headers_of(environ), lambda limit: body_of(environ, limit))
        body = outcome.body
        start_response(
            f"{outcome.status} {HTTPStatus(outcome.status).phrase}",
            [*outcome.headers, ("content-length", str(len(body)))],
        )
        return [] if method == "HEAD" else [body]


def headers_of(environ: WSGIEnvironment) -> list[tuple[str, str]]:
    """The request's headers. A WSGI server joins several headers of one name with commas."""
    headers = [(key[5:].replace("_", "-"), value) for key, value in environ.items() if key.startswith("HTTP_")]
    if environ.get("CONTENT_LENGTH"):
        headers.append(("CONTENT-LENGTH", environ["CONTENT_LENGTH"]))
    return headers


def declared_length(environ: WSGIEnvironment) -> int | None:
    """The body's length as the server declares it to the app, bytes; None where it is no number."""
    declared: str = environ.get("CONTENT_LENGTH") or ""
    # A negative length would read the stream to its end.
    return int(declared) if declared.isascii() and declared.isdigit() else None


def body_of(environ: WSGIEnvironment, limit: int) -> bytes | RequestFault:
    """The request's body, no more of it than the limit and one byte; or that the server gives none."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        return read_body(stream.read, limit)
    # Such a stream has no end of its own: it must not be read beyond the declared length.
    if (declared := declared_length(environ)) is None:
        return RequestFault.LENGTH_REQUIRED
    left = declared

    def read(size: int) -> bytes:
        nonlocal left
        piece: bytes = stream.read(min(size, left)) if left else b""
        left -= len(piece)
        return piece

    return read_body(read, limit)
