"""The vectors of `vectors/`, which the Rust tests read as well; `vectors/README.md` describes them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import pylon_webhooks
from pylon_webhooks import (
    PylonWebhookError,
    PylonWebhookPayloadError,
    WebhookEvent,
    WebhookHandler,
    parse_webhook_event,
)
from pylon_webhooks.exceptions import PylonWebhookSignatureError, PylonWebhookTimestampError

VECTORS = Path(__file__).parent.parent / "vectors"


def vectors(name: str) -> pytest.MarkDecorator:
    """Parametrizes a test by the cases of a file."""
    table = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    assert table["schema"] == 1
    cases = table["cases"]
    assert len({case["id"] for case in cases}) == len(cases)
    return pytest.mark.parametrize("case", cases, ids=[case["id"] for case in cases])


@vectors("signatures.json")
def test_every_signature_vector_has_its_verdict(case: dict[str, Any]) -> None:
    handler = configured(case)
    check_verdict(case, lambda: handler.verify_signature(given(case), case["signature"], case["timestamp"]))


@vectors("signatures.json")
def test_handle_comes_to_the_same_verdict_as_verify_signature(case: dict[str, Any]) -> None:
    handler = configured(case)
    seen: list[WebhookEvent] = []
    handler.on_any(seen.append)
    check_verdict(case, lambda: handler.handle(given(case), case["signature"], case["timestamp"]))
    if not case["expect"].get("ok"):
        assert seen == []


@vectors("headers.json")
def test_every_header_vector_has_its_verdict(case: dict[str, Any]) -> None:
    handler = configured(case)
    headers = [tuple(pair) for pair in case["headers"]]
    check_verdict(case, lambda: handler.handle_headers(given(case), headers))


@vectors("headers.json")
def test_headers_as_bytes_have_the_same_verdict(case: dict[str, Any]) -> None:
    handler = configured(case)
    headers = [(name.encode(), value.encode()) for name, value in case["headers"]]
    check_verdict(case, lambda: handler.handle(given(case), headers=headers))


@vectors("secrets.json")
def test_every_secret_vector_is_taken_or_refused(case: dict[str, Any]) -> None:
    (secret,) = [*case.get("secrets", []), *map(base64.b64decode, case.get("secrets_base64", []))]
    for use in (
        lambda: WebhookHandler(secret),
        lambda: WebhookHandler(["good", secret]),
        lambda: pylon_webhooks.sign(secret, b""),
    ):
        if case["expect"].get("ok"):
            use()
            continue
        with pytest.raises(ValueError) as caught:
            use()
        assert str(caught.value) == case["expect"]["message"]


@vectors("refusals.json")
def test_every_refusal_vector_is_a_payload_error_that_holds_the_body(case: dict[str, Any]) -> None:
    body = body_of(case)
    with pytest.raises(PylonWebhookPayloadError) as caught:
        parse_webhook_event(body)
    assert str(caught.value) == case["expect"]["message"]
    assert (caught.value.code, caught.value.payload) == ("payload", body)
    assert caught.value.__cause__ is caught.value.__context__ is None


@vectors("events.json")
def test_every_event_vector_is_read_as_it_says(case: dict[str, Any]) -> None:
    body = body_of(case)
    event = read(body, case.get("options", {}))
    assert event.raw == body
    check_event(event, case["expect"])


def check_verdict(case: dict[str, Any], verify: Any) -> None:
    expected = case["expect"]
    if expected.get("ok"):
        try:
            verify()
        except PylonWebhookPayloadError:
            # That an authentic body is no JSON is a later matter.
            assert not is_json(body_of(case))
        return
    with pytest.raises(PylonWebhookError) as caught:
        verify()
    kind = PylonWebhookSignatureError if expected["error"].startswith("signature_") else PylonWebhookTimestampError
    assert (type(caught.value), caught.value.code, str(caught.value)) == (kind, expected["error"], expected["message"])


def check_event(event: WebhookEvent, expected: dict[str, Any]) -> None:
    assert (type(event), event.event_type) == (getattr(pylon_webhooks, expected["type"]), expected["event_type"])
    dump = event.model_dump(mode="json")
    for name, value in expected.get("fields", {}).items():
        found = getattr(event, name)
        if isinstance(found, datetime):
            assert dump[name] == value
            assert found == moment(value)
            assert found.tzinfo is UTC
        else:
            assert (found, type(found)) == (value, type(value)), name
    for name, text in expected.get("texts", {}).items():
        assert event.text(name) == text, name
    if "problems" in expected:
        assert [[problem.field, problem.reason] for problem in event.problems] == expected["problems"]
    for part in ("custom_fields", "extra"):
        if part in expected:
            assert getattr(event, part) == expected[part]
    # Asked for in any case: reading it must not fail whatever the vector is about.
    payload = event.payload
    if "payload" in expected:
        assert payload == expected["payload"]


def moment(text: str) -> datetime:
    """RFC 3339 text as Python has it: to the microsecond, what is finer cut off."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(seconds).replace(microsecond=int(f"{fraction:0<6}"[:6]), tzinfo=UTC)


def configured(case: dict[str, Any]) -> WebhookHandler:
    secrets = [*case.get("secrets", []), *map(base64.b64decode, case.get("secrets_base64", []))]
    options = dict(case.get("options", {}))
    if "timestamp_rule" in options:
        assert options.pop("timestamp_rule") == "required"
        options["require_timestamp"] = True
    if "tolerance_seconds" in options:
        options["timestamp_tolerance"] = options.pop("tolerance_seconds")
    return WebhookHandler(secrets, clock=lambda: case["now"], **options)


def read(body: bytes, options: dict[str, Any]) -> WebhookEvent:
    """The event that a handler of these options hands on."""
    if not options:
        return parse_webhook_event(body)
    handler = WebhookHandler("secret", **options)
    handler.on_any(lambda event: event)
    (event,) = handler.handle(body, pylon_webhooks.sign("secret", body))
    assert isinstance(event, WebhookEvent)
    return event


def given(case: dict[str, Any]) -> bytes | str:
    """The body as the case passes it."""
    body = body_of(case)
    return body.decode() if case.get("given_as") == "text" else body


def body_of(case: dict[str, Any]) -> bytes:
    if "body_base64" in case:
        return base64.b64decode(case["body_base64"], validate=True)
    if "body_repeat" in case:
        return "".join(text * count for text, count in case["body_repeat"]).encode()
    body: str = case["body"]
    return body.encode()


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True
