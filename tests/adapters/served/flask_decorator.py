"""Flask's decorator, for a view that takes the event."""

from __future__ import annotations

from typing import ClassVar

from flask import Flask, request
from flask.views import MethodView

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


verified = verified_event(bare_handler())


@app.route("/webhook", methods=["POST", "PUT", "PATCH"])
@app.post("/read")
@app.post("/consumed")
@verified
def webhook(event: WebhookEvent) -> dict[str, str]:
    take(event)
    return {"status": "handled"}


class Method(MethodView):
    """The decorator on a method."""

    @verified
    def post(self, event: WebhookEvent, tenant: str) -> dict[str, str]:
        assert (type(self), tenant) == (Method, "acme")
        return webhook_of(event)

    put = patch = post


class Decorated(MethodView):
    """The decorator on the view of a class."""

    decorators: ClassVar = [verified]

    def post(self, event: WebhookEvent, tenant: str) -> dict[str, str]:
        assert (type(self), tenant) == (Decorated, "acme")
        return webhook_of(event)

    put = patch = post


def webhook_of(event: WebhookEvent) -> dict[str, str]:
    # What the decorator has read is there for the view as well.
    assert request.get_data() == event.raw
    take(event)
    return {"status": "handled"}


app.add_url_rule("/method/<tenant>", view_func=Method.as_view("method"))
app.add_url_rule("/decorated/<tenant>", view_func=Decorated.as_view("decorated"))
