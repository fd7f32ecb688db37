"""The FastAPI app that `make bench` loads: the route of the document "Webhook Handling", word for word, on this package."""

import os

from fastapi import FastAPI, HTTPException, Request

from pylon.webhooks import WebhookHandler
from pylon.webhooks.events import IssueNewEvent

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
app = FastAPI()


@handler.on("issue_new")
def new_issue(event: IssueNewEvent) -> str:
    return event.issue_title


@app.post("/webhook")
async def webhook(request: Request):  # type: ignore[no-untyped-def] # as the document has it
    signature = request.headers.get("X-Pylon-Signature")
    timestamp = request.headers.get("X-Pylon-Timestamp")
    body = await request.body()

    try:
        handler.handle(
            payload=body,
            signature=signature,
            timestamp=timestamp,
        )
        return {"status": "ok"}
    except ValueError:
        raise HTTPException(401, "Invalid signature")
