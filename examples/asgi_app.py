# Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret uvicorn examples.asgi_app:app
"""An ASGI app without a framework; any ASGI server runs it, and any ASGI framework can mount it."""

import os

from pylon_webhooks import IssueNewEvent, WebhookEvent, WebhookHandler
from pylon_webhooks.asgi import webhook_app

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
app = webhook_app(handler)


@handler.on(IssueNewEvent)
async def new_issue(event: IssueNewEvent) -> None:
    print(f"New issue: {event.issue_title}")


@handler.on_any()
def log_all(event: WebhookEvent) -> None:
    print(f"Event: {event.event_type}", flush=True)
