# Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret flask --app examples.flask_app run
"""The Flask route of the document "Webhook Handling", with its handlers."""

import os

from flask import Flask, request

from pylon.webhooks import WebhookHandler
from pylon.webhooks.events import IssueNewEvent, WebhookEvent

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
app = Flask(__name__)


@handler.on(IssueNewEvent)
def handle_new_issue(event: IssueNewEvent) -> None:
    print(f"New issue: {event.issue_title}")


@handler.on_any()
def log_all(event: WebhookEvent) -> None:
    print(f"Event: {event.event_type}", flush=True)


@app.post("/webhook")
def webhook() -> tuple[str, int]:
    try:
        handler.handle(
            payload=request.get_data(),
            signature=request.headers.get("X-Pylon-Signature"),
            timestamp=request.headers.get("X-Pylon-Timestamp"),
        )
    except ValueError:
        return "Invalid signature", 401
    return "OK", 200
