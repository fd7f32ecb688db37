# Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret uvicorn examples.starlette_app:app
"""A Starlette app that receives Pylon's webhooks."""

import os

from starlette.applications import Starlette

from pylon_webhooks import IssueNewEvent, WebhookEvent, WebhookHandler
from pylon_webhooks.starlette import webhook_route

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
app = Starlette(routes=[webhook_route(handler)])


@handler.on(IssueNewEvent)
async def new_issue(event: IssueNewEvent) -> None:
    print(f"New issue: {event.issue_title}")


@handler.on_any()
def log_all(event: WebhookEvent) -> None:
    print(f"Event: {event.event_type}", flush=True)
