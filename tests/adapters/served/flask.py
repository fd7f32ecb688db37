"""Flask's blueprint."""

from __future__ import annotations

from flask import Flask, request

from pylon_webhooks.flask import webhook_blueprint

from .handler import new_handler

handler = new_handler()
app = Flask(__name__)
for name in ("webhook", "read", "consumed", "form"):
    app.register_blueprint(webhook_blueprint(handler, f"/{name}", name=name))
app.register_blueprint(webhook_blueprint(handler, name="tenants"), url_prefix="/t/<tenant>")
app.register_blueprint(webhook_blueprint(handler, "", name="bare"), url_prefix="/below/<int:tenant>")


@app.before_request
def read() -> None:
    if request.path == "/read":
        request.get_data()
    if request.path == "/consumed":
        request.stream.read()
    if request.path == "/form":
        _ = request.form
