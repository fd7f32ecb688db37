"""FastAPI's dependency, for a function that takes the event."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI

from pylon_webhooks import WebhookEvent
from pylon_webhooks.fastapi import verified_event

from .handler import bare_handler, take
from .reading import Reading

app = FastAPI()
app.add_middleware(Reading)


@app.api_route("/webhook", methods=["POST", "PUT", "PATCH"])
@app.post("/read")
@app.post("/consumed")
async def webhook(event: Annotated[WebhookEvent, Depends(verified_event(bare_handler()))]) -> dict[str, str]:
    take(event)
    return {"status": "handled"}
