# Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret flask --app examples.flask_app run --port 8000
"""A Flask app that receives Pylon's webhooks."""

import os

from flask import Flask

from pylon_webhooks import IssueNewEvent, WebhookEvent, WebhookHandler
from pylon_webhooks.flask import webhook_blueprint

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
app = Flask(__name__)
app.register_blueprint(webhook_blueprint(handler))


@handler.on(IssueNewEvent)
def new_issue(event: IssueNewEvent) -> None:
    print(f"New issue: {event.issue_title}")


@handler.on_any()
def log_all(event: WebhookEvent) -> None:
    print(f"Event: {event.event_type}", flush=True)
