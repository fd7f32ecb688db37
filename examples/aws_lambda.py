# Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret python examples/aws_lambda.py
"""An AWS Lambda function that receives Pylon's webhooks; run as a script, it is called with a sample delivery."""

import os

from pylon_webhooks import IssueNewEvent, WebhookEvent, WebhookHandler
from pylon_webhooks.aws_lambda import webhook_function

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
lambda_handler = webhook_function(handler)


@handler.on(IssueNewEvent)
def new_issue(event: IssueNewEvent) -> None:
    print(f"New issue: {event.issue_title}")


@handler.on_any()
def log_all(event: WebhookEvent) -> None:
    print(f"Event: {event.event_type}")


if __name__ == "__main__":
    from pylon_webhooks.testing import sample_payload, signed_headers

    body = sample_payload("issue_new")
    delivery = {
        "version": "2.0",
        "requestContext": {"http": {"method": "POST", "path": "/webhook"}},
        "headers": signed_headers(os.environ["PYLON_WEBHOOK_SECRET"], body),
        "body": body.decode(),
        "isBase64Encoded": False,
    }
    print(lambda_handler(delivery, None))
