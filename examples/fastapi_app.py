# Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret uvicorn examples.fastapi_app:app
"""The FastAPI route of the document "Webhook Handling", with its handlers."""

import os

from fastapi import FastAPI, HTTPException, Request

from pylon.webhooks import PylonWebhookError, WebhookHandler
from pylon.webhooks.events import (
    IssueAssignedEvent,
    IssueNewEvent,
    IssueStateChangedEvent,
    MessageNewEvent,
    WebhookEvent,
)

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
app = FastAPI()


@handler.on(IssueNewEvent)
def handle_new_issue(event: IssueNewEvent) -> None:
    print(f"New issue: {event.issue_title}")


@handler.on(IssueAssignedEvent)
def handle_assignment(event: IssueAssignedEvent) -> None:
    print(f"Assigned to: {event.assignee_id}")


@handler.on(IssueStateChangedEvent)
def handle_state(event: IssueStateChangedEvent) -> None:
    print(f"New state: {event.new_state}")


@handler.on(MessageNewEvent)
async def handle_message(event: MessageNewEvent) -> None:
    print(f"Message from: {event.message_author_name}")


@handler.on_any()
def log_all(event: WebhookEvent) -> None:
    print(f"Event: {event.event_type}", flush=True)


@handler.on_error()
def log_refusal(error: Exception) -> None:
    print(f"Refused: {error}", flush=True)


@app.post("/webhook")
async def webhook(request: Request) -> dict[str, str]:
    try:
        await handler.ahandle_headers(await request.body(), request.headers)
    except PylonWebhookError as error:
        raise HTTPException(400 if error.code == "payload" else 401, "refused") from None
    return {"status": "ok"}
