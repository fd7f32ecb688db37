"""A server that is told to end lets the background handle what was accepted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pylon_webhooks.testing import WebhookRequest, sample_payload

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tools"))

from servers import Server, free_port, wait_until_it_listens

SECRET = "test-secret"
#: The handler waits until somebody writes into the pipe, which is after the server was told to end.
APP = """
import os
from pylon_webhooks import Background, Endpoint, WebhookHandler
handler = WebhookHandler("test-secret")
endpoint = Endpoint(handler, background=Background(workers=1))

@handler.on_any
def handle(event):
    with open(os.environ["PIPE"]) as pipe:
        pipe.read()
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(event.event_type)
"""
APPS = {
    "asgi": "from pylon_webhooks.asgi import webhook_app\napp = webhook_app(endpoint)",
    "fastapi": (
        "from fastapi import FastAPI\nfrom pylon_webhooks.fastapi import webhook_router\n"
        "app = FastAPI()\napp.include_router(webhook_router(endpoint))"
    ),
    "django": """
from django.conf import settings
settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["127.0.0.1"], MIDDLEWARE=[])
from django.core.asgi import get_asgi_application
from django.urls import path
from pylon_webhooks.asgi import lifespan_app
from pylon_webhooks.django import async_webhook_view
urlpatterns = [path("webhook", async_webhook_view(endpoint))]
app = lifespan_app(get_asgi_application(), endpoint)
""",
    "wsgi": "from pylon_webhooks.wsgi import webhook_app\napp = webhook_app(endpoint)",
    "flask": (
        "from flask import Flask\nfrom pylon_webhooks.flask import webhook_blueprint\n"
        "app = Flask(__name__)\napp.register_blueprint(webhook_blueprint(endpoint))"
    ),
    "aiohttp": (
        "from aiohttp import web\nfrom pylon_webhooks.aiohttp import add_webhook\n"
        "def app(arguments):\n    site = web.Application()\n    add_webhook(site, endpoint)\n    return site"
    ),
}


def command_of(name: str, port: int) -> list[str]:
    if name in ("wsgi", "flask"):
        return ["-m", "gunicorn", "app:app", "--bind", f"127.0.0.1:{port}"]
    if name == "aiohttp":
        return ["-m", "aiohttp.web", "-H", "127.0.0.1", "-P", str(port), "app:app"]
    lifespan = "on" if name == "django" else "auto"
    return ["-m", "uvicorn", "app:app", "--port", str(port), "--lifespan", lifespan]


@pytest.mark.parametrize("name", APPS)
def test_what_was_accepted_is_handled_when_the_server_is_terminated(name: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP + APPS[name])
    pipe, seen, port = tmp_path / "pipe", tmp_path / "seen", free_port()
    os.mkfifo(pipe)
    environment = {
        **os.environ,
        "PIPE": str(pipe),
        "SEEN": str(seen),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    process = subprocess.Popen(
        [sys.executable, *command_of(name, port)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        wait_until_it_listens(process, port)
        request = WebhookRequest(sample_payload("issue_new"), secret=SECRET)
        assert Server(port, process.stdout).post(request.path, request.body, request.headers) == 200
        process.send_signal(signal.SIGTERM)
        # Opening it waits for the handler to open the other end.
        pipe.write_text("go on")
        printed, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert seen.read_text() == "issue_new", printed
    assert "lost" not in printed
