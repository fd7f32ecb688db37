"""Flask's decorator, for a view that takes the event."""

from __future__ import annotations

from flask import Flask, request

from pylon_webhooks import WebhookEvent
from pylon_webhooks.flask import verified_event

from .handler import bare_handler, take

app = Flask(__name__)


@app.before_request
def read() -> None:
    if request.path == "/read":
        request.get_data()
    if request.path == "/consumed":
        request.stream.read()


@app.route("/webhook", methods=["POST", "PUT", "PATCH"])
@app.post("/read")
@app.post("/consumed")
@verified_event(bare_handler())
def webhook(event: WebhookEvent) -> dict[str, str]:
    take(event)
    return {"status": "handled"}
