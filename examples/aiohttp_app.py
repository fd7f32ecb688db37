# Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret python -m aiohttp.web -H 127.0.0.1 -P 8000 examples.aiohttp_app:app
"""An aiohttp app that receives Pylon's webhooks."""

import os

from aiohttp import web

from pylon_webhooks import IssueNewEvent, WebhookEvent, WebhookHandler
from pylon_webhooks.aiohttp import add_webhook

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])


def app(_arguments: list[str]) -> web.Application:
    application = web.Application()
    add_webhook(application, handler)
    return application


@handler.on(IssueNewEvent)
async def new_issue(event: IssueNewEvent) -> None:
    print(f"New issue: {event.issue_title}")


@handler.on_any()
def log_all(event: WebhookEvent) -> None:
    print(f"Event: {event.event_type}", flush=True)
