"""The FastAPI app that `make bench` loads: the route of the document "Webhook Handling" on py-usepylon-sdk 0.5.0.

Two lines are not the document's, for with them the route would answer 500 there: `handle` takes the headers, and what it
raises is no ValueError.
"""

import os
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from pylon.exceptions import PylonWebhookError  # type: ignore[import-untyped] # the SDK's own environment has it

from pylon.webhooks import WebhookHandler

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
app = FastAPI()


@handler.on("issue_new")
def new_issue(event: Any) -> Any:
    return event.issue_title


@app.post("/webhook")
async def webhook(request: Request):  # type: ignore[no-untyped-def] # as the document has it
    body = await request.body()

    try:
        handler.handle(body, request.headers)
        return {"status": "ok"}
    except PylonWebhookError:
        raise HTTPException(401, "Invalid signature")
