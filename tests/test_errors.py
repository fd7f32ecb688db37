"""No foreign exception leaves `handle`, whatever the bytes and headers are; and what `on_error` and the groups do."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import sys
from array import array
from collections import UserString, deque
from email.message import Message
from http.client import HTTPMessage
from io import BytesIO, StringIO
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from django.utils.functional import SimpleLazyObject, lazystr
from pydantic import SecretBytes, SecretStr
from starlette.datastructures import Headers as StarletteHeaders
from starlette.datastructures import Secret
from werkzeug.datastructures import EnvironHeaders
from werkzeug.datastructures import Headers as WerkzeugHeaders
from werkzeug.local import LocalProxy

from pylon_webhooks import (
    IssueNewEvent,
    PylonWebhookError,
    PylonWebhookHandlerErrors,
    PylonWebhookPayloadError,
    PylonWebhookSignatureError,
    PylonWebhookTimestampError,
    WebhookHandler,
    parse_webhook_event,
    sign,
)

BODY = b'{"event_type": "issue_new", "issue_id": "i1"}'
SIGNATURE_HEADER = "X-Pylon-Signature"
TIMESTAMP_HEADER = "X-Pylon-Timestamp"


def refusal(handler: WebhookHandler, *arguments: Any, **keywords: Any) -> tuple[type[Exception], str, str]:
    """What `handle` raises, which must be the same for `ahandle`: class, code, message."""
    handler.on_any(called := _Called())
    refusals = []
    for call in (
        lambda: handler.handle(*arguments, **keywords),
        lambda: asyncio.run(handler.ahandle(*arguments, **keywords)),
    ):
        with pytest.raises(PylonWebhookError) as caught:
            call()
        error = caught.value
        assert error.__cause__ is error.__context__ is None
        refusals.append((type(error), error.code, str(error)))
    assert refusals[0] == refusals[1]
    assert not called.events
    return refusals[0]


class _Called:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def __call__(self, event: Any) -> None:
        self.events.append(event)


def released() -> memoryview:
    view = memoryview(BODY)
    view.release()
    return view


class _Hostile:
    """Raises at whatever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"asked for {name}")

    def __repr__(self) -> str:
        raise RuntimeError("asked for repr")


class _HostileBytearray(bytearray):
    def __bytes__(self) -> bytes:
        raise RuntimeError("asked for bytes")


# A payload that is not bytes, and what it is called in the message.
PAYLOADS: dict[str, tuple[Any, str]] = {
    "str with a lone surrogate": ("\ud800", "a str with lone surrogates, which UTF-8 cannot encode"),
    "str with half a pair at its end": ("{}\udbff", "a str with lone surrogates, which UTF-8 cannot encode"),
    "dict": ({"event_type": "issue_new"}, "dict"),
    "list": ([1], "list"),
    "tuple": ((1,), "tuple"),
    "None": (None, "None"),
    "int": (3, "int"),
    "bool": (True, "int"),
    "float": (1.5, "float"),
    "array": (array("b", b"{}"), "another object"),
    "a released memoryview": (released(), "a released memoryview"),
    "a hostile object": (_Hostile(), "another object"),
    "a bytearray that raises": (_HostileBytearray(b"{}"), "another object"),
}


class _Text(str):
    """Text of a class of its own."""


@pytest.mark.parametrize(
    "text", [BODY.decode(), _Text(BODY.decode()), '{"event_type": "issue_new", "title": "Zo\u00eb \U0001f600"}']
)
def test_text_stands_for_its_utf8(text: str, handler: WebhookHandler, secret: str) -> None:
    signature = sign(secret, text)
    assert signature == sign(secret, text.encode())
    handler.on_any(seen := _Called())
    handler.handle(text, signature)
    handler.handle(text, headers={SIGNATURE_HEADER: signature})
    handler.verify_signature(text, signature)
    assert [event.raw for event in seen.events] == [text.encode()] * 2
    assert parse_webhook_event(text) == parse_webhook_event(text.encode()) == seen.events[0]


def test_a_mismatch_of_text_says_that_text_was_given(handler: WebhookHandler) -> None:
    message = refusal(handler, BODY.decode(), "0" * 64)[2]
    assert "; the body was given as text, and the signature covers the raw bytes: " in message
    assert "text" not in refusal(handler, BODY, "0" * 64)[2]


def test_text_that_is_no_json_is_a_payload_error_that_holds_its_utf8(handler: WebhookHandler, secret: str) -> None:
    with pytest.raises(PylonWebhookPayloadError) as caught:
        handler.handle("Zo\u00eb", sign(secret, "Zo\u00eb"))
    assert caught.value.payload == "Zo\u00eb".encode()


@pytest.mark.parametrize(("payload", "name"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_that_is_neither_bytes_nor_text_is_a_payload_error_that_says_why(
    payload: Any, name: str, handler: WebhookHandler
) -> None:
    message = f"unreadable payload: expected the raw bytes of the request body, found {name}: the signature covers the raw bytes"
    signature = sign("secret", BODY)
    expected = (PylonWebhookPayloadError, "payload", message)
    assert refusal(handler, payload, signature) == expected
    assert refusal(handler, payload, None) == expected
    assert refusal(handler, payload, headers={SIGNATURE_HEADER: signature}) == expected
    with pytest.raises(PylonWebhookPayloadError) as caught:
        handler.verify_signature(payload, signature)
    assert (str(caught.value), caught.value.payload) == (message, None)
    if name != "dict":
        with pytest.raises(PylonWebhookPayloadError) as caught:
            parse_webhook_event(payload)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    "payload",
    [
        BODY,
        bytearray(BODY),
        memoryview(BODY),
        memoryview(bytearray(BODY)),
        memoryview(b"".join(bytes([byte]) + b"-" for byte in BODY))[::2],
        memoryview(BODY[::-1])[::-1],
        type("Bytes", (bytes,), {})(BODY),
    ],
    ids=["bytes", "bytearray", "memoryview", "of a bytearray", "every second byte", "backwards", "subclass"],
)
def test_bytes_of_every_kind_are_a_payload(payload: Any, handler: WebhookHandler, secret: str) -> None:
    handler.on_any(lambda event: event)
    (event,) = handler.handle(payload, sign(secret, BODY))
    assert (event.raw, event.issue_id) == (BODY, "i1")
    assert sign(secret, payload) == sign(secret, BODY)


def test_a_bytearray_changed_later_leaves_the_event_as_it_was(handler: WebhookHandler, secret: str) -> None:
    handler.on_any(lambda event: event)
    body = bytearray(BODY)
    (event,) = handler.handle(body, sign(secret, BODY))
    body[:] = b"x" * len(body)
    assert (event.raw, event.issue_id) == (BODY, "i1")


# A signature that is no text, and the end of the message.
SIGNATURES: dict[str, tuple[Any, str]] = {
    "list": ([], "a value of type list"),
    "list of a signature": (["0" * 64], "a value of type list"),
    "tuple": (("0" * 64,), "a value of type tuple"),
    "int": (0, "a value of type int"),
    "bool": (False, "a value of type int"),
    "float": (0.0, "a value of type float"),
    "bytearray": (bytearray(b"0" * 64), "a value of type another object"),
    "memoryview": (memoryview(b"0" * 64), "a value of type memoryview"),
    "hostile object": (_Hostile(), "a value of type another object"),
    "lone surrogate": ("\ud800" * 64, "characters outside ASCII"),
    "digits of another script": ("\u0660" * 64, "characters outside ASCII"),
    "NUL": ("\0" * 64, "characters that are not hexadecimal digits"),
    "bytes outside ASCII": (b"\xff" * 64, "characters outside ASCII"),
    "empty bytes": (b"", "an empty value"),
    "a megabyte": ("0" * 2**20, "1048576 characters"),
}


@pytest.mark.parametrize(("signature", "found"), SIGNATURES.values(), ids=SIGNATURES)
def test_a_signature_of_any_kind_is_a_signature_error(signature: Any, found: str, handler: WebhookHandler) -> None:
    message = f"malformed signature: expected 64 hexadecimal digits in {SIGNATURE_HEADER}, found {found}"
    expected = (PylonWebhookSignatureError, "signature_malformed", message)
    assert refusal(handler, BODY, signature) == expected
    assert refusal(handler, BODY, signature, "1700000000") == expected
    if "list" not in found and "tuple" not in found:
        assert refusal(handler, BODY, headers={SIGNATURE_HEADER: signature}) == expected
        assert refusal(handler, BODY, headers=[[SIGNATURE_HEADER, signature]]) == expected


# A timestamp that is no text of digits, and the end of the message.
TIMESTAMPS: dict[str, tuple[Any, str]] = {
    "int": (1_700_000_000, "a value of type int"),
    "float": (1.7e9, "a value of type float"),
    "list": (["1700000000"], "a value of type list"),
    "dict": ({"1700000000": 1}, "a value of type dict"),
    "hostile object": (_Hostile(), "a value of type another object"),
    "empty": ("", "an empty value"),
    "lone surrogate": ("\udfff", "characters outside ASCII"),
    "digits of another script": ("١٧٠٠٠٠٠٠٠٠", "characters outside ASCII"),
    "underscore": ("1_700_000_000", "characters that are not digits"),
    "sign": ("+1700000000", "characters that are not digits"),
    "space": (" 1700000000", "characters that are not digits"),
    "bytes with a line feed": (b"1700000000\n", "characters that are not digits"),
    "20 digits": ("1" * 20, "20 digits"),
}


@pytest.mark.parametrize(("timestamp", "found"), TIMESTAMPS.values(), ids=TIMESTAMPS)
def test_a_timestamp_of_any_kind_is_a_timestamp_error(timestamp: Any, found: str, handler: WebhookHandler) -> None:
    message = f"malformed timestamp: expected 1 to 19 ASCII digits in {TIMESTAMP_HEADER}, found {found}"
    expected = (PylonWebhookTimestampError, "timestamp_malformed", message)
    assert refusal(handler, BODY, "0" * 64, timestamp) == expected
    if "list" not in found:
        headers = {SIGNATURE_HEADER: "0" * 64, TIMESTAMP_HEADER: timestamp}
        assert refusal(handler, BODY, headers=headers) == expected


def test_signature_and_timestamp_are_taken_as_bytes_too(handler: WebhookHandler, secret: str, now: int) -> None:
    timestamp = str(now)
    signature = sign(secret, BODY, timestamp)
    assert handler.handle(BODY, signature.encode(), timestamp.encode()) == []
    assert handler.handle(BODY, signature.upper().encode(), timestamp) == []


# Headers as each kind of framework has them, made of (name, value) pairs.
def wsgi(pairs: list[tuple[str, str]]) -> EnvironHeaders:
    return EnvironHeaders({f"HTTP_{name.upper().replace('-', '_')}": value for name, value in pairs})


def message(cls: type[Message]) -> Any:
    def make(pairs: list[tuple[str, str]]) -> Message:
        headers = cls()
        for name, value in pairs:
            headers[name] = value
        return headers

    return make


class _OnlyItems:
    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.items = lambda: iter(pairs)


HEADERS: dict[str, Any] = {
    "dict": dict,
    "mappingproxy": lambda pairs: MappingProxyType(dict(pairs)),
    "list of tuples": list,
    "list of lists": lambda pairs: [list(pair) for pair in pairs],
    "generator": iter,
    "ASGI": lambda pairs: [(name.lower().encode(), value.encode()) for name, value in pairs],
    "ASGI with lists": lambda pairs: [[name.lower().encode(), value.encode()] for name, value in pairs],
    "dict of bytes": lambda pairs: {name.encode(): value.encode() for name, value in pairs},
    "dict of lists": lambda pairs: {name: [value] for name, value in pairs},
    "dict of tuples": lambda pairs: {name: (value,) for name, value in pairs},
    "dict with a None": lambda pairs: {**dict(pairs), "x-other": None},
    "dict with strange names": lambda pairs: {**dict(pairs), 1: 2, None: None, "\ud800": "x", b"\xff": b"x", ("a",): "x"},
    "werkzeug": WerkzeugHeaders,
    "werkzeug environ": wsgi,
    "starlette": lambda pairs: StarletteHeaders(dict(pairs)),
    "starlette raw": lambda pairs: StarletteHeaders(dict(pairs)).raw,
    "httpx": httpx.Headers,
    "httpx raw": lambda pairs: httpx.Headers(pairs).raw,
    "email.message.Message": message(Message),
    "http.client.HTTPMessage": message(HTTPMessage),
    "an object with items": _OnlyItems,
}  # fmt: skip
SECOND_PLACE = {*HEADERS} - {"list of tuples", "list of lists", "generator", "ASGI", "ASGI with lists", "starlette raw", "httpx raw"}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_every_framework_are_read(name: str, handler: WebhookHandler, secret: str, now: int) -> None:
    make = HEADERS[name]
    timestamp = str(now)
    signed = [(SIGNATURE_HEADER, sign(secret, BODY, timestamp)), (TIMESTAMP_HEADER, timestamp)]
    body_only = [("Content-Type", "application/json"), (SIGNATURE_HEADER, sign(secret, BODY))]
    dropped = signed[:1]
    handler.on_any(lambda event: event.issue_id)
    for pairs in (signed, body_only):
        assert handler.handle(BODY, headers=make(pairs)) == ["i1"]
        assert handler.handle_headers(BODY, make(pairs)) == ["i1"]
        assert asyncio.run(handler.ahandle_headers(BODY, make(pairs))) == ["i1"]
        if name in SECOND_PLACE:
            assert handler.handle(BODY, make(pairs)) == ["i1"]
    with pytest.raises(PylonWebhookSignatureError, match="^signature mismatch"):
        handler.handle_headers(BODY, make(dropped))
    with pytest.raises(PylonWebhookSignatureError, match="^missing signature"):
        handler.handle_headers(BODY, make(signed[1:]))
    with pytest.raises(PylonWebhookSignatureError, match="^missing signature"):
        handler.handle_headers(BODY, make([("Content-Type", "application/json")]))


REPEATED: dict[str, Any] = {
    "list of tuples": lambda name, value: [(name, value), (name.lower(), value)],
    "ASGI": lambda name, value: [(name.lower().encode(), value.encode())] * 2,
    "dict of two spellings": lambda name, value: {name: value, name.lower(): value},
    "dict of lists": lambda name, value: {name: [value, value]},
    "werkzeug": lambda name, value: WerkzeugHeaders([(name, value), (name, value)]),
    "starlette": lambda name, value: StarletteHeaders(raw=[(name.lower().encode(), value.encode())] * 2),
}


@pytest.mark.parametrize("make", REPEATED.values(), ids=REPEATED)
def test_a_repeated_header_is_refused_though_its_values_be_authentic(
    make: Any, handler: WebhookHandler, secret: str, now: int
) -> None:
    assert refusal(handler, BODY, headers=make(SIGNATURE_HEADER, sign(secret, BODY))) == (
        PylonWebhookSignatureError,
        "signature_malformed",
        "malformed signature: expected 64 hexadecimal digits in X-Pylon-Signature, found the header more than once",
    )
    timestamps = make(TIMESTAMP_HEADER, str(now))
    pairs = list(timestamps.items() if hasattr(timestamps, "items") else timestamps)
    assert refusal(handler, BODY, headers=[(SIGNATURE_HEADER, sign(secret, BODY, str(now))), *pairs]) == (
        PylonWebhookTimestampError,
        "timestamp_malformed",
        "malformed timestamp: expected 1 to 19 ASCII digits in X-Pylon-Timestamp, found the header more than once",
    )


class _ItemsRaise(dict[str, str]):
    def items(self) -> Any:
        raise RuntimeError("no items today")


class _ItemsOfTriples:
    def items(self) -> Any:
        return [(1, 2, 3)]


class _ItemsForATime:
    def items(self) -> Any:
        yield SIGNATURE_HEADER, "0" * 64
        raise OSError("the connection is gone")


class _LyingClass:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("asked for the class")

    def __iter__(self) -> Any:
        raise RuntimeError("asked to iterate")


BROKEN: dict[str, tuple[Any, str]] = {
    "int": (1, "int"),
    "float": (1.0, "float"),
    "str": ("X-Pylon-Signature: 00", "str"),
    "bytes": (b"X-Pylon-Signature: 00", "bytes"),
    "list of texts": (["X-Pylon-Signature"], "list"),
    "list of None": ([None], "list"),
    "list of triples": ([(1, 2, 3)], "list"),
    "list of short lists": ([[1]], "list"),
    "set": ({1}, "another object"),
    "a hostile object": (_Hostile(), "another object"),
    "an object that lies about its class": (_LyingClass(), "another object"),
    "a dict whose items raise": (_ItemsRaise({SIGNATURE_HEADER: "0" * 64}), "dict"),
    "an object whose items are triples": (_ItemsOfTriples(), "another object"),
    "an object whose items end in an exception": (_ItemsForATime(), "another object"),
    "items that are no function": (type("Items", (), {"items": 1})(), "another object"),
}


@pytest.mark.parametrize(("headers", "name"), BROKEN.values(), ids=BROKEN)
def test_headers_of_no_known_kind_are_a_signature_error(headers: Any, name: str, handler: WebhookHandler) -> None:
    assert refusal(handler, BODY, headers=headers) == (
        PylonWebhookSignatureError,
        "signature_malformed",
        f"malformed signature: expected 64 hexadecimal digits in {SIGNATURE_HEADER}, found a value of type {name}",
    )


def test_an_interrupt_while_headers_are_read_passes_straight_through(handler: WebhookHandler) -> None:
    class Interrupted:
        def items(self) -> Any:
            raise KeyboardInterrupt

    for headers in (Interrupted(), iter(lambda: Interrupted().items(), None)):
        with pytest.raises(KeyboardInterrupt):
            handler.handle(BODY, headers=headers)


def test_headers_beside_signature_or_timestamp_are_the_callers_mistake(handler: WebhookHandler) -> None:
    for arguments in (("0" * 64,), (None, "1700000000"), ("0" * 64, "1700000000")):
        with pytest.raises(TypeError) as caught:
            handler.handle(BODY, *arguments, headers={})
        assert str(caught.value) == "pass signature and timestamp, or headers, not both"


@pytest.mark.parametrize("headers", [{}, WerkzeugHeaders()], ids=["dict", "werkzeug"])
def test_headers_in_second_place_beside_a_timestamp_are_a_signature_error(
    headers: Any, handler: WebhookHandler
) -> None:
    assert refusal(handler, BODY, headers, "1700000000")[:2] == (PylonWebhookSignatureError, "signature_malformed")


# Settings that cannot hold, and what is raised.
SETTINGS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "an empty secret": ({"secret": ""}, ValueError, "a secret is empty, or only white space and quotes, so anyone could sign: pass the secret that Pylon shows for the webhook destination"),
    "empty bytes": ({"secret": b""}, ValueError, "a secret is empty, or only white space and quotes, so anyone could sign: pass the secret that Pylon shows for the webhook destination"),
    "one of two empty": ({"secret": ["a", ""]}, ValueError, "a secret is empty, or only white space and quotes, so anyone could sign: pass the secret that Pylon shows for the webhook destination"),
    "no secrets": ({"secret": []}, ValueError, "no secret: pass the secret that Pylon shows for the webhook destination"),
    "None as a secret": ({"secret": None}, TypeError, "a secret must be str or bytes, not None; is the variable set?"),
    "None among secrets": ({"secret": ["a", None]}, TypeError, "a secret must be str or bytes, not None; is the variable set?"),
    "a list among secrets": ({"secret": [["a"]]}, TypeError, "a secret must be str or bytes, not list"),
    "a mapping as a secret": ({"secret": {"secret": "s3"}}, TypeError, "a secret must be str or bytes, not dict; pass one of its values"),
    "another mapping as a secret": ({"secret": MappingProxyType({"secret": "s3"})}, TypeError, "a secret must be str or bytes, not mappingproxy; pass one of its values"),
    "the values of a mapping": ({"secret": {"secret": "s3"}.values()}, TypeError, "a secret must be str or bytes, not dict_values; pass several secrets in a list or tuple"),
    "an open file as a secret": ({"secret": StringIO("s3\n")}, TypeError, "a secret must be str or bytes, not StringIO; pass what it holds: file.read().strip()"),
    "an open file of bytes": ({"secret": BytesIO(b"s3\n")}, TypeError, "a secret must be str or bytes, not BytesIO; pass what it holds: file.read().strip()"),
    "a set of secrets": ({"secret": {"a", "b"}}, TypeError, "a secret must be str or bytes, not set; pass several secrets in a list or tuple"),
    "a generator of secrets": ({"secret": (secret for secret in "ab")}, TypeError, "a secret must be str or bytes, not generator; pass several secrets in a list or tuple"),
    "a deque of secrets": ({"secret": deque(["a", "b"])}, TypeError, "a secret must be str or bytes, not deque; pass several secrets in a list or tuple"),
    "Django's lazy text": ({"secret": lazystr("s3")}, TypeError, "a secret must be str or bytes, not __proxy__; pass str(secret)"),
    "Django's lazy object": ({"secret": SimpleLazyObject(lambda: "s3")}, TypeError, "a secret must be str or bytes, not SimpleLazyObject; pass str(secret)"),
    "Werkzeug's proxy": ({"secret": [LocalProxy(lambda: "s3")]}, TypeError, "a secret must be str or bytes, not LocalProxy; pass str(secret)"),
    "an object that is like text": ({"secret": UserString("s3")}, TypeError, "a secret must be str or bytes, not UserString; pass str(secret)"),
    "a path in place of a secret": ({"secret": PurePosixPath("/run/secrets/pylon")}, TypeError, "a secret must be str or bytes, not PurePosixPath"),
    "pydantic's secret": ({"secret": SecretStr("s3")}, TypeError, "a secret must be str or bytes, not SecretStr; unwrap it: pass secret.get_secret_value()"),
    "pydantic's secret of bytes": ({"secret": [SecretBytes(b"s3")]}, TypeError, "a secret must be str or bytes, not SecretBytes; unwrap it: pass secret.get_secret_value()"),
    "Starlette's secret": ({"secret": Secret("s3")}, TypeError, "a secret must be str or bytes, not Secret; unwrap it: pass the text that it holds"),
    "an int as a secret": ({"secret": 1234567}, TypeError, "a secret must be str or bytes, not int"),
    "a bytearray as a secret": ({"secret": bytearray(b"a")}, TypeError, "a secret must be str or bytes, not bytearray; pass bytes(secret)"),
    "a memoryview as a secret": ({"secret": memoryview(b"a")}, TypeError, "a secret must be str or bytes, not memoryview; pass bytes(secret)"),
    "a secret that UTF-8 cannot encode": ({"secret": "hidden\ud800"}, ValueError, "a secret is not text: expected characters that UTF-8 can encode"),
    "a tolerance in fractions": ({"timestamp_tolerance": 1.5}, TypeError, "timestamp_tolerance must be a whole number of seconds"),
    "a tolerance that is a bool": ({"timestamp_tolerance": True}, TypeError, "timestamp_tolerance must be a whole number of seconds"),
    "a tolerance as text": ({"timestamp_tolerance": "300"}, TypeError, "timestamp_tolerance must be a whole number of seconds"),
    "a negative tolerance": ({"timestamp_tolerance": -1}, ValueError, "timestamp_tolerance must be at least 0, and less than 2**63"),
    "a tolerance beyond 63 bits": ({"timestamp_tolerance": 2**63}, ValueError, "timestamp_tolerance must be at least 0, and less than 2**63"),
    "an empty header name": ({"signature_header": ""}, ValueError, "a header name must be letters, digits and `-`, for instance X-Pylon-Signature"),
    "a header name with a space": ({"timestamp_header": "X Y"}, ValueError, "a header name must be letters, digits and `-`, for instance X-Pylon-Signature"),
    "a clock that is a number": ({"clock": 1700000000}, TypeError, "clock must be callable, not int"),
    "an empty kind": ({"event_name": " "}, ValueError, "an event name is empty: pass the name that the trigger's template sends, for instance issue_new"),
    "a pointer without a slash": ({"event_name_pointer": "event"}, ValueError, "a JSON pointer must start with `/`, for instance /meta/event"),
    "kind and pointer": ({"event_name": "a", "event_name_pointer": "/a"}, ValueError, "pass event_name or event_name_pointer, not both"),
    "an empty name": ({"names": {"": IssueNewEvent}}, ValueError, "an event name is empty: pass the name that the trigger's template sends, for instance issue_new"),
    "a name of an unknown kind": ({"names": {"a": "b"}}, ValueError, "no typed event has this name; the names are issue_new, issue_assigned, issue_status_changed, issue_field_changed, issue_tags_changed, issue_reaction, issue_message_new"),
    "a name of a class of no one kind": ({"names": {"a": dict}}, ValueError, "names={...} maps names to event classes of one kind, such as IssueNewEvent, or to a kind's name"),
    "depth 0": ({"depth_limit": 0}, ValueError, "the depth limit must be between 1 and 100"),
    "depth 101": ({"depth_limit": 101}, ValueError, "the depth limit must be between 1 and 100"),
    "a negative depth": ({"depth_limit": -1}, ValueError, "the depth limit must be between 1 and 100"),
    "a huge depth": ({"depth_limit": 2**80}, ValueError, "the depth limit must be between 1 and 100"),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "error", "expected"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_that_cannot_hold_is_refused_at_construction(
    settings: dict[str, Any], error: type[Exception], expected: str
) -> None:
    with pytest.raises(error) as caught:
        WebhookHandler(**{"secret": "secret", **settings})
    assert (type(caught.value), str(caught.value)) == (error, expected)


class Names(list[Any]):
    """A list of an app's own."""

    def __init__(self, *secrets: Any) -> None:
        super().__init__(secrets)


@pytest.mark.parametrize("secrets", ["new", b"new", ["new"], ("old", b"new"), Names(b"new")], ids=repr)
def test_one_secret_or_several_in_a_list_or_tuple_are_accepted(secrets: Any) -> None:
    assert WebhookHandler(secrets).handle(BODY, sign("new", BODY)) == []


# What a clock gives, the timestamp, and the code of the refusal; None where it is accepted.
CLOCKS: dict[str, tuple[Any, str, str | None]] = {
    "an int": (1_700_000_000, "1700000000", None),
    "a float": (1_700_000_000.9, "1700000000", None),
    "oldest accepted": (1_700_000_300, "1700000000", None),
    "one second older": (1_700_000_301, "1700000000", "timestamp_stale"),
    "latest accepted": (1_699_999_700, "1700000000", None),
    "one second later": (1_699_999_699, "1700000000", "timestamp_future"),
    "before 1970": (-5, "0", None),
    "beyond 64 bits": (2**70, "1700000000", "timestamp_stale"),
    "19 nines": (1_700_000_000, "9" * 19, "timestamp_future"),
}


@pytest.mark.parametrize(("reading", "timestamp", "code"), CLOCKS.values(), ids=CLOCKS)
def test_freshness_is_judged_by_the_clock_that_was_given(reading: Any, timestamp: str, code: str | None) -> None:
    handler = WebhookHandler("secret", clock=lambda: reading)
    signature = sign("secret", BODY, timestamp)
    if code is None:
        handler.verify_signature(BODY, signature, timestamp)
        return
    with pytest.raises(PylonWebhookTimestampError) as caught:
        handler.verify_signature(BODY, signature, timestamp)
    error = caught.value
    assert (error.code, error.tolerance_seconds) == (code, 300)
    assert error.age_seconds == min(reading, 2**64 - 1) - int(timestamp)


def test_the_clock_is_read_for_authentic_deliveries_with_a_timestamp_alone() -> None:
    readings = iter([1_700_000_000])
    handler = WebhookHandler("secret", clock=lambda: next(readings))
    handler.verify_signature(BODY, sign("secret", BODY))
    with pytest.raises(PylonWebhookSignatureError):
        handler.verify_signature(BODY, "0" * 64, "1700000000")
    handler.verify_signature(BODY, sign("secret", BODY, "1700000000"), "1700000000")
    assert list(readings) == []


CLOCK_FAULTS: dict[str, tuple[Any, type[Exception], str]] = {
    "raises": (lambda: 1 / 0, ZeroDivisionError, "division by zero"),
    "text": (lambda: "1700000000", TypeError, "clock must return Unix seconds as int or float, found str"),
    "None": (lambda: None, TypeError, "clock must return Unix seconds as int or float, found None"),
    "NaN": (lambda: float("nan"), ValueError, "clock must return Unix seconds, found a number that is not finite"),
    "infinity": (lambda: float("inf"), ValueError, "clock must return Unix seconds, found a number that is not finite"),
    "beyond 127 bits": (lambda: 2**200, TypeError, "clock must return Unix seconds as int or float, found int"),
}


@pytest.mark.parametrize(("clock", "error", "expected"), CLOCK_FAULTS.values(), ids=CLOCK_FAULTS)
def test_a_clock_that_fails_says_so_itself_and_lets_nothing_through(
    clock: Any, error: type[Exception], expected: str
) -> None:
    handler = WebhookHandler("secret", clock=clock)
    handler.on_any(called := _Called())
    with pytest.raises(error) as caught:
        handler.handle(BODY, sign("secret", BODY, "1700000000"), "1700000000")
    assert (type(caught.value), str(caught.value)) == (error, expected)
    assert called.events == []


def test_signature_comes_before_freshness_and_freshness_before_json(secret: str, now: int) -> None:
    handler = WebhookHandler(secret, clock=lambda: now)
    stale = str(now - 301)
    assert refusal(handler, b"no JSON", "0" * 64, stale)[1] == "signature_mismatch"
    assert refusal(handler, b"no JSON", sign(secret, b"no JSON", stale), stale)[1] == "timestamp_stale"
    assert refusal(handler, b"no JSON", sign(secret, b"no JSON", str(now)), str(now))[1] == "payload"


def test_an_authentic_body_that_is_no_json_is_kept_in_the_error(handler: WebhookHandler, secret: str) -> None:
    body = b"event=issue_new&title=\xff"
    with pytest.raises(PylonWebhookPayloadError) as caught:
        handler.handle(body, sign(secret, body))
    assert caught.value.payload == body


def test_a_required_timestamp_is_missed(secret: str, now: int) -> None:
    handler = WebhookHandler(secret, require_timestamp=True, clock=lambda: now)
    assert refusal(handler, BODY, sign(secret, BODY)) == (
        PylonWebhookTimestampError,
        "timestamp_missing",
        "missing timestamp: expected Unix seconds in X-Pylon-Timestamp, found no such header",
    )
    handler.verify_signature(BODY, sign(secret, BODY, str(now)), str(now))


def test_configured_header_names_are_searched_and_named(secret: str) -> None:
    handler = WebhookHandler(secret, signature_header="X-Our-Signature", timestamp_header="X-Our-Time")
    assert handler.handle_headers(BODY, {"x-our-signature": sign(secret, BODY)}) == []
    assert refusal(handler, BODY, headers={SIGNATURE_HEADER: sign(secret, BODY)})[2] == (
        "missing signature: expected 64 hexadecimal digits in X-Our-Signature, found no such header"
    )


def test_the_tree_of_exceptions_is_as_documented() -> None:
    for cls in (PylonWebhookSignatureError, PylonWebhookTimestampError, PylonWebhookPayloadError):
        assert cls.__mro__[1:3] == (PylonWebhookError, ValueError)
    assert issubclass(PylonWebhookHandlerErrors, ExceptionGroup)
    assert not issubclass(PylonWebhookHandlerErrors, (ValueError, PylonWebhookError))


ERRORS = {
    "base": PylonWebhookError("message", "code"),
    "signature": PylonWebhookSignatureError("message", "signature_mismatch"),
    "timestamp": PylonWebhookTimestampError("message", "timestamp_stale", 301, 300),
    "payload": PylonWebhookPayloadError("message", b"\xff"),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_survive_copying_and_pickling_with_all_they_hold(error: PylonWebhookError, copied: Any) -> None:
    error.add_note("a note")
    twin = copied(error)
    assert type(twin) is type(error)
    assert (twin.args, vars(twin)) == (error.args, vars(error))
    assert str(twin) == "message"


def test_all_matching_handlers_run_and_the_failures_are_gathered_in_order(
    handler: WebhookHandler, delivery: Any
) -> None:
    handler.on_any(fails(ValueError("first")))
    handler.on(IssueNewEvent)(called := _Called())
    handler.on("issue_new")(fails(KeyError("second")))
    group = failures_of(lambda: handler.handle(*delivery(issue_id="i1")))
    assert [repr(failure) for failure in group.exceptions] == ["ValueError('first')", "KeyError('second')"]
    size = len(delivery(issue_id="i1").payload)
    shown = f"<IssueNewEvent event_type='issue_new' issue_id='i1', {size} bytes>"
    assert group.message == f"2 handlers failed for {shown}"
    assert called.events == [group.event]
    assert group.event.issue_id == "i1"


def test_one_failure_is_a_group_as_well(handler: WebhookHandler, delivery: Any) -> None:
    handler.on_any(fails(ValueError("only")))
    group = failures_of(lambda: handler.handle(*delivery("x")))
    size = len(delivery("x").payload)
    assert group.message == f"a handler failed for <UnknownEvent event_type='x', {size} bytes>"


def test_every_way_of_calling_gathers_failures(handler: WebhookHandler, delivery: Any) -> None:
    @handler.on_any
    async def fail(event: Any) -> None:
        raise LookupError(event.event_type)

    handler.on_any(called := _Called())
    event = IssueNewEvent()
    headers = {SIGNATURE_HEADER: delivery().signature}
    for call in (
        lambda: handler.ahandle(*delivery()),
        lambda: handler.ahandle_headers(delivery().payload, headers),
        lambda: handler.adispatch(event),
    ):
        group = failures_of(lambda call=call: asyncio.run(call()))
        assert [repr(failure) for failure in group.exceptions] == ["LookupError('issue_new')"]
    assert len(called.events) == 3
    handler.remove(fail)
    handler.on_any(fails(LookupError("sync")))
    assert failures_of(lambda: handler.dispatch(event)).event is event
    assert failures_of(lambda: handler.handle_headers(delivery().payload, headers)).event == event.model_validate_json(
        delivery().payload
    )


def test_a_handlers_value_error_is_not_taken_for_a_forgery_by_the_seeds_branch(
    handler: WebhookHandler, delivery: Any
) -> None:
    handler.on_any(fails(ValueError("a bug")))
    handler.on_any(fails(PylonWebhookSignatureError("raised by a handler")))
    try:
        handler.handle(*delivery())
    except ValueError:
        pytest.fail("a bug was reported as a forged signature")
    except ExceptionGroup as group:
        assert len(group.exceptions) == 2


def test_except_star_splits_the_group_and_both_parts_keep_the_event(handler: WebhookHandler, delivery: Any) -> None:
    handler.on_any(fails(KeyError("k")))
    handler.on_any(fails(OSError("o")))
    parts: list[Any] = []
    with pytest.raises(PylonWebhookHandlerErrors) as rest:
        try:
            handler.handle(*delivery(issue_id="i1"))
        except* KeyError as group:
            parts.append(group)
    (part,) = parts
    for group, kind in ((part, KeyError), (rest.value, OSError)):
        assert type(group) is PylonWebhookHandlerErrors
        assert [type(failure) for failure in group.exceptions] == [kind]
        assert group.event.issue_id == "i1"
    whole = failures_of(lambda: handler.handle(*delivery()))
    match, others = whole.split(OSError)
    assert match is not None
    assert others is not None
    assert (match.event, others.event, match.message) == (whole.event, whole.event, whole.message)
    assert whole.subgroup(ZeroDivisionError) is None


def test_a_group_survives_pickling_with_its_event(handler: WebhookHandler, delivery: Any) -> None:
    handler.on_any(fails(KeyError("k")))
    group = failures_of(lambda: handler.handle(*delivery(issue_id="i1")))
    twin = pickle.loads(pickle.dumps(group))
    assert type(twin) is PylonWebhookHandlerErrors
    assert (twin.event, twin.message, repr(twin.exceptions)) == (group.event, group.message, repr(group.exceptions))


def test_on_error_is_told_of_every_refusal_and_failure_with_the_very_exception(
    handler: WebhookHandler, delivery: Any, secret: str
) -> None:
    told: list[Exception] = []
    handler.on_error(told.append)
    handler.on("issue_new")(fails(KeyError("k")))
    handler.on("issue_reaction")(_async_handler)
    calls = {
        "signature_missing": lambda: handler.handle(b"{}", None),
        "signature_mismatch": lambda: handler.handle(b"{}", "0" * 64),
        "payload": lambda: handler.handle(b"no", sign(secret, b"no")),
        "body of another type": lambda: handler.handle({}, "0" * 64),  # type: ignore[arg-type]
        "handlers": lambda: handler.handle(*delivery()),
        "dispatched": lambda: handler.dispatch(IssueNewEvent()),
        "async handler": lambda: handler.handle(*delivery("issue_reaction")),
        "awaited refusal": lambda: asyncio.run(handler.ahandle(b"{}", None)),
        "awaited failure": lambda: asyncio.run(handler.ahandle(*delivery())),
        "awaited dispatch": lambda: asyncio.run(handler.adispatch(IssueNewEvent())),
    }
    for name, call in calls.items():
        told.clear()
        with pytest.raises(Exception, match=".") as caught:
            call()
        assert told == [caught.value], name


def test_on_error_is_told_nothing_when_all_goes_well(handler: WebhookHandler, delivery: Any) -> None:
    handler.on_error(fails(AssertionError("told of nothing")))
    handler.on_any(lambda _event: "fine")
    assert handler.handle(*delivery()) == ["fine"]
    assert asyncio.run(handler.ahandle(*delivery())) == ["fine"]


def test_a_failing_on_error_adds_a_note_is_logged_and_hides_nothing(
    handler: WebhookHandler, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Exception] = []

    @handler.on_error
    def report(_error: Exception) -> None:
        raise OSError("the tracker is down")

    handler.on_error(told.append)
    with caplog.at_level(logging.ERROR), pytest.raises(PylonWebhookSignatureError, match="^missing") as caught:
        handler.handle(b"{}", None)
    name = "test_a_failing_on_error_adds_a_note_is_logged_and_hides_nothing.<locals>.report"
    assert caught.value.__notes__ == [f"the on_error handler {name} failed: OSError: the tracker is down"]
    assert caught.value.__context__ is None
    assert told == [caught.value]
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("pylon_webhooks", "ERROR")
    assert record.getMessage() == f"the on_error handler {name} failed"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "the tracker is down"


def test_a_failing_async_on_error_hides_nothing_either(handler: WebhookHandler) -> None:
    told: list[Exception] = []

    @handler.on_error
    async def report(error: Exception) -> None:
        await asyncio.sleep(0)
        told.append(error)
        raise OSError("the tracker is down")

    with pytest.raises(PylonWebhookSignatureError, match="^missing") as caught:
        asyncio.run(handler.ahandle(b"{}", None))
    assert told == [caught.value]
    (note,) = caught.value.__notes__
    assert note.endswith("report failed: OSError: the tracker is down")


def test_an_async_on_error_cannot_be_awaited_by_handle_and_a_note_says_so(handler: WebhookHandler) -> None:
    handler.on_error(_async_handler)
    with pytest.raises(PylonWebhookSignatureError, match="^missing") as caught:
        handler.handle(b"{}", None)
    (note,) = caught.value.__notes__
    assert note == (
        "the on_error handler _async_handler failed: PylonWebhookAsyncHandlerError: cannot await it here: "
        "call `await handler.ahandle(...)` or `adispatch(...)` instead"
    )


def test_an_on_error_failure_that_cannot_be_shown_hides_nothing(handler: WebhookHandler) -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("asked for str")

    handler.on_error(fails(Unspeakable()))
    with pytest.raises(PylonWebhookSignatureError, match="^missing") as caught:
        handler.handle(b"{}", None)
    (note,) = caught.value.__notes__
    assert note.endswith(" failed: Unspeakable")


def test_an_interrupt_in_on_error_passes_straight_through(handler: WebhookHandler) -> None:
    handler.on_error(fails(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        handler.handle(b"{}", None)


def test_deep_recursion_in_the_caller_is_no_reason_to_accept(handler: WebhookHandler) -> None:
    # A caller near the recursion limit gets an error of Python's or ours, never a result.
    def deeper(levels: int) -> Any:
        return handler.handle(BODY, "0" * 64) if levels == 0 else deeper(levels - 1)

    with pytest.raises((RecursionError, PylonWebhookSignatureError)):
        deeper(sys.getrecursionlimit())


async def _async_handler(_argument: Any) -> None: ...


def fails(error: BaseException) -> Any:
    """A handler that raises this."""

    def fail(_argument: Any) -> None:
        raise error

    return fail


def failures_of(call: Any) -> PylonWebhookHandlerErrors:
    with pytest.raises(PylonWebhookHandlerErrors) as caught:
        call()
    return caught.value
