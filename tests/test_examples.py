"""The example apps answer as they should, and print what their handlers and error handlers say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pylon_webhooks import sign

EXAMPLES = Path(__file__).parent.parent / "examples"
SECRET = "your-webhook-secret"
NEW = b'{"event_type": "issue_new", "issue_title": "Export fails"}'
CASES = [
    (NEW, {"X-Pylon-Signature": sign(SECRET, NEW)}, 200, "New issue: Export fails\nEvent: issue_new\n"),
    (NEW, {"X-Pylon-Signature": "0" * 64}, 401, None),
    (NEW, {}, 401, None),
    (b"{}", {"X-Pylon-Signature": sign(SECRET, b"{}")}, 200, "Event: \n"),
]


def app_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYLON_WEBHOOK_SECRET", SECRET)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


@pytest.mark.parametrize(("body", "headers", "status", "printed"), CASES)
def test_the_flask_app(
    body: bytes, headers: Any, status: int, printed: str | None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    client = app_of("flask_app", monkeypatch).test_client()
    assert client.post("/webhook", data=body, headers=headers).status_code == status
    assert capsys.readouterr().out == (printed or "")


@pytest.mark.parametrize(("body", "headers", "status", "printed"), CASES)
def test_the_fastapi_app(
    body: bytes, headers: Any, status: int, printed: str | None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    client = TestClient(app_of("fastapi_app", monkeypatch))
    assert client.post("/webhook", content=body, headers=headers).status_code == status
    out = capsys.readouterr().out
    assert out == printed if printed is not None else out.startswith("Refused: ")
