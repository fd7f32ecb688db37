"""What must hold for every input, looked for by Hypothesis."""

from __future__ import annotations

import hmac
import json
import math
import pickle
import re
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pylon_webhooks import (
    PylonWebhookError,
    PylonWebhookPayloadError,
    PylonWebhookSignatureError,
    PylonWebhookTimestampError,
    WebhookEvent,
    WebhookHandler,
    names_match,
    parse_webhook_event,
    sign,
)

# The same examples in each run, and no time limit on slow machines.
settings.register_profile("steady", derandomize=True, deadline=None, max_examples=200, database=None)
settings.load_profile("steady")

NOW = 1_700_000_000
KEYS = ["event_type", "event", "type", "trigger", "data", "client_payload", "webhook_payload", "issue", "ticket", "issue_id",
        "issue_number", "issue_title", "issue_tags", "issue_account", "issue_requester_id", "issue_last_message_sent_at",
        "message_is_private", "custom_fields", "issue_custom_field_x", "status", "new_state", "id", "name"]  # fmt: skip
VALUES = ["issue_new", "issue_message_new", "Issue.Status-Changed", "", "null", "{{ issue.id }}", "#1042", "1e400", "a, b",
          '["a", "b"]', '{"event": "issue_new"}', "0001-01-01T00:00:00Z", "2026-01-02T03:04:05.123456789+01:00", "true"]  # fmt: skip

# Lone surrogates are mended, and have their own vectors; all else stays what json.loads makes of it.
texts = st.text(st.characters(exclude_categories=("Cs",)))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.sampled_from(VALUES)
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)
event_like = st.dictionaries(st.sampled_from(KEYS), json_values, max_size=10)
# One of white space and quotes alone is refused.
secrets = st.binary(max_size=80).map(lambda secret: secret + b"k") | texts.map(lambda secret: secret + "k")
# Without a timestamp in its header, a body that begins with one is refused before its signature is looked at.
bodies = st.binary(max_size=300).filter(lambda body: re.match(rb"[0-9]+\.", body) is None)
timestamps = st.none() | st.integers(NOW - 300, NOW + 300).map(str)
anything: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.text()
    | st.lists(st.text() | st.binary() | st.integers(), max_size=3)
    | st.dictionaries(st.text() | st.binary() | st.integers(), st.text() | st.binary() | st.none(), max_size=3)
)


@given(secrets, bodies, timestamps)
def test_what_sign_signs_is_accepted(secret: str | bytes, body: bytes, timestamp: str | None) -> None:
    handler = WebhookHandler(["another secret", secret], clock=lambda: NOW)
    handler.verify_signature(body, sign(secret, body, timestamp), timestamp)


@given(secrets, st.binary(max_size=300), st.none() | st.text(string.digits, min_size=1, max_size=19))
def test_sign_is_plain_hmac_sha256(secret: str | bytes, body: bytes, timestamp: str | None) -> None:
    key = secret.encode() if isinstance(secret, str) else secret
    signed = body if timestamp is None else timestamp.encode() + b"." + body
    assert sign(secret, body, timestamp) == hmac.digest(key, signed, "sha256").hex()


@given(secrets, bodies, timestamps, st.data())
def test_one_flipped_bit_anywhere_is_refused(
    secret: str | bytes, body: bytes, timestamp: str | None, data: st.DataObject
) -> None:
    handler = WebhookHandler(secret, clock=lambda: NOW)
    signature = sign(secret, body, timestamp)

    def flipped(original: bytes) -> bytes:
        bit = data.draw(st.integers(0, 8 * len(original) - 1))
        changed = bytearray(original)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    with pytest.raises(PylonWebhookSignatureError):
        handler.verify_signature(body, flipped(bytes.fromhex(signature)).hex(), timestamp)
    if body:
        with pytest.raises((PylonWebhookSignatureError, PylonWebhookTimestampError)):
            handler.verify_signature(flipped(body), signature, timestamp)
    if timestamp is not None:
        with pytest.raises((PylonWebhookSignatureError, PylonWebhookTimestampError)):
            handler.verify_signature(body, signature, flipped(timestamp.encode()))


@given(secrets, secrets, bodies, timestamps)
def test_the_signature_of_another_secret_is_refused(
    one: str | bytes, other: str | bytes, body: bytes, timestamp: str | None
) -> None:
    def key(secret: str | bytes) -> bytes:
        # HMAC hashes keys longer than a block and fills up shorter ones with zeros.
        text = secret.encode() if isinstance(secret, str) else secret
        return hmac.digest(text, b"", "sha256")

    if key(one) == key(other):
        return
    with pytest.raises(PylonWebhookSignatureError):
        WebhookHandler(one, clock=lambda: NOW).verify_signature(body, sign(other, body, timestamp), timestamp)


@given(secrets, bodies, st.integers(NOW - 300, NOW + 300).map(str))
def test_a_timestamp_can_be_neither_dropped_nor_added(secret: str | bytes, body: bytes, timestamp: str) -> None:
    handler = WebhookHandler(secret, clock=lambda: NOW)
    with pytest.raises(PylonWebhookSignatureError):
        handler.verify_signature(body, sign(secret, body, timestamp))
    with pytest.raises(PylonWebhookSignatureError):
        handler.verify_signature(body, sign(secret, body), timestamp)


@given(st.integers(0, 10**19 - 1), st.integers(0, 2**63), st.integers(0, 2**63 - 1))
def test_a_timestamp_is_fresh_within_the_tolerance_and_nowhere_else(timestamp: int, now: int, tolerance: int) -> None:
    handler = WebhookHandler("secret", clock=lambda: now, timestamp_tolerance=tolerance)
    text = str(timestamp)
    age = now - timestamp
    try:
        handler.verify_signature(b"", sign("secret", b"", text), text)
    except PylonWebhookTimestampError as error:
        assert abs(age) > tolerance
        assert (error.code, error.age_seconds) == ("timestamp_stale" if age > 0 else "timestamp_future", age)
    else:
        assert abs(age) <= tolerance


@given(anything, anything, anything)
def test_no_foreign_exception_leaves_handle_whatever_the_arguments(
    payload: Any, signature: Any, timestamp: Any
) -> None:
    with pytest.raises(PylonWebhookError):
        WebhookHandler("secret", clock=lambda: NOW).handle(payload, signature, timestamp)


@given(st.binary(), anything | st.lists(st.tuples(anything, anything), max_size=3) | st.lists(anything, max_size=3))
def test_no_foreign_exception_leaves_handle_headers_whatever_the_headers(payload: bytes, headers: Any) -> None:
    with pytest.raises(PylonWebhookError):
        WebhookHandler("secret", clock=lambda: NOW).handle_headers(payload, headers)


@given(st.binary() | st.text().map(lambda text: text.encode(errors="surrogatepass")))
def test_every_authentic_body_is_an_event_or_a_payload_error_that_holds_it(body: bytes) -> None:
    handler = WebhookHandler("secret")
    handler.on_any(lambda event: event)
    try:
        (event,) = handler.handle(body, sign("secret", body))
    except PylonWebhookPayloadError as error:
        assert error.payload == body
    else:
        assert event.raw == body
        read_all(event)


@given(json_values | event_like, st.booleans(), st.sampled_from([None, 2]))
def test_every_json_value_is_an_event_whose_payload_is_what_json_loads_makes_of_it(
    value: Any, ensure_ascii: bool, indent: int | None
) -> None:
    body = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent).encode()
    event = parse_webhook_event(body)
    assert same(event.payload, json.loads(body))
    assert event.raw == body
    assert [problem for problem in event.problems if problem.field == "payload"] == []
    read_all(event)


@given(event_like.map(lambda fields: {"event_type": "issue_new", **fields}) | event_like)
def test_events_survive_pickling_and_their_dumps_validation(fields: dict[str, Any]) -> None:
    event = parse_webhook_event(json.dumps(fields).encode())
    twin = pickle.loads(pickle.dumps(event))
    assert (twin, type(twin)) == (event, type(event))
    assert same(twin.model_dump(), event.model_dump())
    dumped = json.loads(event.model_dump_json())
    assert same(dumped, event.model_dump(mode="json"))


words = st.lists(st.text(string.ascii_letters + string.digits, min_size=1), min_size=1)


@given(words, st.sampled_from("_.- "), st.sampled_from("_.- "), words)
def test_names_match_whatever_their_case_and_separators(
    name: list[str], one: str, other: str, another: list[str]
) -> None:
    assert names_match(one.join(name), f" {other.join(name).swapcase()}\t")
    if "_".join(name).lower() != "_".join(another).lower():
        assert not names_match(one.join(name), one.join(another))


def read_all(event: WebhookEvent) -> None:
    """Reads all there is to read: none of it may fail."""
    for name in type(event).__match_args__:
        getattr(event, name)
    assert (type(event.model_dump()), type(event.extra), type(event.custom_fields)) == (dict, dict, dict)
    assert event == parse_webhook_event(event.raw)
    assert len(repr(event)) < 1000
    assert event.problems == event.problems
    json.loads(event.model_dump_json())


def same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, and 0.0 from -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return [*one] == [*other] and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)
