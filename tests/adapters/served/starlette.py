"""Starlette's route."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware

from pylon_webhooks.starlette import webhook_route

from .handler import new_handler
from .reading import Reading

handler = new_handler(awaits=True)
app = Starlette(
    routes=[webhook_route(handler, path) for path in ("/webhook", "/read", "/consumed", "/t/{tenant}/webhook")],
    middleware=[Middleware(Reading)],
)
