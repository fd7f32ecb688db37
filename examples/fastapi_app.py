# Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret uvicorn examples.fastapi_app:app
"""A FastAPI app with the handlers of the document "Webhook Handling"."""

import os

from fastapi import FastAPI

from pylon.webhooks import WebhookHandler
from pylon.webhooks.events import (
    IssueAssignedEvent,
    IssueNewEvent,
    IssueStateChangedEvent,
    MessageNewEvent,
    WebhookEvent,
)
from pylon.webhooks.fastapi import webhook_router

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
app = FastAPI()
app.include_router(webhook_router(handler))


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
