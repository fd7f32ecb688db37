"""aiohttp's handler, in its own server: `python -m served.aiohttp PORT`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aiohttp import web

from pylon_webhooks.aiohttp import add_webhook

from .handler import new_handler

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def reading(request: web.Request, handler: Next) -> web.StreamResponse:
    if request.path == "/read":
        await request.read()
    if request.path == "/consumed":
        await request.content.read()
    return await handler(request)


def new_app() -> web.Application:
    handler = new_handler(awaits=True)
    app = web.Application(middlewares=[reading])
    for path in ("/webhook", "/read", "/consumed", "/t/{tenant}/webhook"):
        add_webhook(app, handler, path)
    below = web.Application()
    add_webhook(below, handler, "")
    app.add_subapp("/below/42", below)
    return app


if __name__ == "__main__":
    web.run_app(new_app(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
