"""The ASGI app in Starlette: as a route, for a `Mount` redirects `/webhook` to `/webhook/`."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from pylon_webhooks.asgi import webhook_app

from .handler import new_handler
from .reading import Reading

webhook = webhook_app(new_handler(awaits=True))
app = Starlette(
    routes=[Route(path, webhook) for path in ("/webhook", "/read", "/consumed")], middleware=[Middleware(Reading)]
)
