"""FastAPI's router."""

from __future__ import annotations

from fastapi import FastAPI

from pylon_webhooks.fastapi import webhook_router

from .handler import new_handler
from .reading import Reading

handler = new_handler(awaits=True)
app = FastAPI()
app.add_middleware(Reading)
for path in ("/webhook", "/read", "/consumed", "/t/{tenant}/webhook"):
    app.include_router(webhook_router(handler, path))
app.include_router(webhook_router(handler, "", prefix="/bare"))
app.include_router(webhook_router(handler, ""), prefix="/below/{tenant}")
