"""The ASGI app beside Quart, by Hypercorn's dispatcher, which Quart brings.

What goes to one of the two the other never sees: neither `/read` nor `/consumed`.
"""

from __future__ import annotations

from hypercorn.middleware import DispatcherMiddleware
from quart import Quart

from pylon_webhooks.asgi import webhook_app

from .handler import new_handler

quart = Quart(__name__)
app = DispatcherMiddleware({"/webhook": webhook_app(new_handler(awaits=True)), "/": quart})
