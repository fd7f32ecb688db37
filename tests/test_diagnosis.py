"""What the log is told when a body was written again, and when something is wrong with the secret."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pydantic_core
import pytest
from flask import Flask
from starlette.responses import JSONResponse

from pylon_webhooks import PylonWebhookSignatureError, WebhookHandler, sign, template
from pylon_webhooks.testing import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "test-secret"

#: How those write JSON that hand a parsed body on.
WRITERS: dict[str, Callable[[Any], str | bytes]] = {
    "json": json.dumps,
    "json, sorted": lambda value: json.dumps(value, sort_keys=True),
    "json, compact": lambda value: json.dumps(value, separators=(",", ":")),
    "json, compact and unescaped": lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    "json, indented by two": lambda value: json.dumps(value, indent=2),
    "json, indented by four": lambda value: json.dumps(value, indent=4, ensure_ascii=False),
    "json, indented by tabs": lambda value: json.dumps(value, indent="\t"),
    "json, with a line feed": lambda value: json.dumps(value, indent=2) + "\n",
    "Flask": lambda value: Flask("app").json.dumps(value),
    "Starlette and FastAPI": lambda value: bytes(JSONResponse(value).body),
    "pydantic": pydantic_core.to_json,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_template_that_something_wrote_again_is_recognised(writer: Callable[[Any], str | bytes], kind: str) -> None:
    values = iter(["1042", "", "Ça <b>va</b> & 'non' \U0001f600", 'say \\"hi\\"\\n', "a/b"] * 10)
    printed = re.sub(r"\{\{.*?\}\}", lambda _: next(values), template(kind))
    for signed in (printed, printed.rstrip("\n"), printed.replace("\n", "\r\n")):
        written = writer(json.loads(signed))
        arrived = written.encode() if isinstance(written, str) else written
        if arrived == signed.encode():
            continue
        with pytest.raises(PylonWebhookSignatureError) as caught:
            WebhookHandler(SECRET).handle(arrived, sign(SECRET, signed))
        assert "the same JSON in another form: the body was parsed and serialized again" in str(caught.value)


FLAWED = {
    "test-secret\n": "the secret has white space at its start or end",
    " test-secret": "the secret has white space at its start or end",
    b"test-secret\r\n": "the secret has white space at its start or end",
    '"test-secret"': "the secret has quotes around it",
    "'test-secret'": "the secret has quotes around it",
    "\ufefftest-secret": "the secret starts with a byte order mark",
}


@pytest.mark.parametrize(("secret", "flaw"), FLAWED.items(), ids=map(repr, FLAWED))
def test_a_flaw_of_the_secret_is_logged_when_the_handler_is_built(
    secret: str | bytes, flaw: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        WebhookHandler(secret)
        WebhookHandler([SECRET, secret])
    assert [(record.name, record.levelname) for record in caplog.records] == [("pylon_webhooks", "WARNING")] * 2
    assert all(record.getMessage().startswith(flaw) for record in caplog.records)
    assert "test-secret" not in caplog.text


@pytest.mark.parametrize("secret", [SECRET, "two words", "dGVzdC1zZWNyZXQ=", "'a", b"\xb5\xeb-"], ids=repr)
def test_a_secret_that_may_be_as_pylon_shows_it_is_not_warned_of(
    secret: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    WebhookHandler(secret)
    assert caplog.records == []
