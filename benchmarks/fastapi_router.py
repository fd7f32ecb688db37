"""The FastAPI app that `make bench` loads: the package's own router."""

import os

from fastapi import FastAPI

from pylon_webhooks import IssueNewEvent, WebhookHandler
from pylon_webhooks.fastapi import webhook_router

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
app = FastAPI()


@handler.on("issue_new")
def new_issue(event: IssueNewEvent) -> str:
    return event.issue_title


app.include_router(webhook_router(handler))
