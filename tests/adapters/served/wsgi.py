"""The WSGI app on its own, in middleware that reads as WSGI middleware does: it puts what it read back, or does not."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from pylon_webhooks.wsgi import webhook_app

from .handler import new_handler

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

_webhook = webhook_app(new_handler())


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/read":
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read())
    if environ["PATH_INFO"] == "/consumed":
        environ["wsgi.input"].read()
    return _webhook(environ, start_response)
