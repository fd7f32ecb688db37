"""The ASGI app in Litestar.

Litestar keeps what its own request objects have read, and says none of it again to an app that it mounts: neither `/read` nor
`/consumed`, of which the app cannot know.
"""

from __future__ import annotations

from litestar import Litestar, asgi

from pylon_webhooks.asgi import webhook_app

from .handler import new_handler

app = Litestar([asgi("/webhook", copy_scope=True)(webhook_app(new_handler(awaits=True)))])
