"""The ASGI app on its own.

ASGI keeps no body: who reads it ahead of an app must give the app a `receive` that says it again. Where nobody does, the next
`receive` waits for the sender to hang up, so that an app cannot know that the body is gone: neither `/read` nor `/consumed`.
"""

from __future__ import annotations

from pylon_webhooks.asgi import webhook_app

from .handler import new_handler

app = webhook_app(new_handler(awaits=True))
