"""The ASGI app in FastAPI: as a route, for a mount redirects `/webhook` to `/webhook/`."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import Route

from pylon_webhooks.asgi import webhook_app

from .handler import new_handler
from .reading import Reading

webhook = webhook_app(new_handler(awaits=True))
app = FastAPI(routes=[Route(path, webhook) for path in ("/webhook", "/read", "/consumed")])
app.add_middleware(Reading)
