"""An app that PyInstaller has frozen: what native code imports is in it, though no file of the app names it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

APP = """
from pylon_webhooks import Background, Endpoint, IssueNewEvent, WebhookHandler, sign
from pylon_webhooks.testing import sample_payload
from pylon_webhooks.wsgi import webhook_app

handler, seen = WebhookHandler("secret"), []

@handler.on(IssueNewEvent)
def note(event):
    # Each of these loads something that is loaded late.
    seen.append([event.payload["event_type"], event.issue_last_message_sent_at.tzinfo is not None, event.model_dump_json()[:14]])

body = sample_payload("issue_new")
with Endpoint(handler, background=Background()) as endpoint:
    for signature in (sign("secret", body), "0" * 64):
        print(endpoint.respond("POST", {"X-Pylon-Signature": signature}, body))
print(seen, IssueNewEvent(issue_id="1").issue_id, webhook_app(endpoint))
"""


def test_a_frozen_app_handles_events(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    freeze = ["--onedir", "--noconfirm", "--log-level", "ERROR", "--exclude-module", "pydantic", "app.py"]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "PyInstaller", *freeze], cwd=tmp_path, check=True, timeout=300
    )
    done = subprocess.run(
        [tmp_path / "dist" / "app" / "app"], capture_output=True, text=True, check=False, timeout=60, env={}
    )
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert (first, second) == ("<Outcome 200 accepted>", "<Outcome 401 unauthorized>")
    assert third.startswith("""[['issue_new', True, '{"event_type":']] 1 <pylon_webhooks.wsgi.WebhookApp""")
