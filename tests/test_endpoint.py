"""What an endpoint answers, what its log says of it, and that neither tells more than it should."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from starlette.datastructures import Headers as StarletteHeaders
from werkzeug.datastructures import EnvironHeaders

from pylon_webhooks import (
    Background,
    BaseIssueEvent,
    Endpoint,
    IssueNewEvent,
    MemoryReplayStore,
    MessageNewEvent,
    Outcome,
    PylonWebhookHandlerErrors,
    PylonWebhookPayloadError,
    PylonWebhookSignatureError,
    PylonWebhookTimestampError,
    PylonWebhookUnverifiedWarning,
    ReplayGuard,
    UnknownEvent,
    WebhookEvent,
    WebhookHandler,
    parse_webhook_event,
    sign,
)
from pylon_webhooks._native import RequestFault

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_700_000_000
BODY = b'{"event_type": "issue_new", "issue_title": "Export fails"}'


def signed(secret: str, body: bytes = BODY, timestamp: object = None) -> dict[str, str]:
    """Headers of an authentic delivery; the timestamp goes in as it is."""
    text = None if timestamp is None else str(timestamp)
    return {"X-Pylon-Signature": sign(secret, body, text)} | ({} if text is None else {"X-Pylon-Timestamp": text})


Respond = Any


@pytest.fixture(params=["respond", "arespond"])
def respond(request: pytest.FixtureRequest) -> Respond:
    """`respond`, and `arespond` in an event loop of its own."""
    if request.param == "respond":
        return lambda endpoint, *arguments: endpoint.respond(*arguments)
    return lambda endpoint, *arguments: asyncio.run(endpoint.arespond(*arguments))


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text of what was logged."""
    assert {record.name for record in caplog.records} <= {"pylon_webhooks", "asyncio"}
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "pylon_webhooks"]


# Settings that are refused, and the sentence that says so.
HANDLER_TEXT = "an endpoint needs a WebhookHandler, not {}"
WHOLE = "body_limit must be a whole number of bytes"
SIZE = "body_limit must be at least 1 byte, and less than 2**63"
SETTINGS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no handler": ({"handler": None}, TypeError, HANDLER_TEXT.format("NoneType")),
    "a secret for a handler": ({"handler": "secret"}, TypeError, HANDLER_TEXT.format("str")),
    "a class for a handler": ({"handler": WebhookHandler}, TypeError, HANDLER_TEXT.format("type")),
    "a function for a handler": ({"handler": print}, TypeError, HANDLER_TEXT.format("builtin_function_or_method")),
    "no limit": ({"body_limit": None}, TypeError, WHOLE),
    "a limit that is text": ({"body_limit": "1000"}, TypeError, WHOLE),
    "a limit that is a float": ({"body_limit": 1000.0}, TypeError, WHOLE),
    "a limit that is a boolean": ({"body_limit": True}, TypeError, WHOLE),
    "a limit of nothing": ({"body_limit": 0}, ValueError, SIZE),
    "a negative limit": ({"body_limit": -1}, ValueError, SIZE),
    "a limit beyond 63 bits": ({"body_limit": 2**63}, ValueError, SIZE),
    "a limit beyond all": ({"body_limit": 2**200}, ValueError, SIZE),
    "a store for a guard": (
        {"replay_guard": MemoryReplayStore()},
        TypeError,
        "replay_guard must be a ReplayGuard, not MemoryReplayStore",
    ),
    "a class for a guard": ({"replay_guard": ReplayGuard}, TypeError, "replay_guard must be a ReplayGuard, not type"),
    "True for a guard": ({"replay_guard": True}, TypeError, "replay_guard must be a ReplayGuard, not bool"),
    "True for a background": ({"background": True}, TypeError, "background must be a Background, not bool"),
    "False for a background": ({"background": False}, TypeError, "background must be a Background, not bool"),
    "a class for a background": ({"background": Background}, TypeError, "background must be a Background, not type"),
}


@pytest.mark.parametrize(("settings", "error", "message"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_of_another_type_or_size_is_refused(
    settings: dict[str, Any], error: type[Exception], message: str, handler: WebhookHandler
) -> None:
    with pytest.raises(error) as caught:
        Endpoint(**{"handler": handler, **settings})
    assert (type(caught.value), str(caught.value)) == (error, message)


def test_settings_can_be_read_and_not_be_changed(handler: WebhookHandler) -> None:
    background = Background()
    endpoint = Endpoint(handler, body_limit=2**63 - 1, background=background)
    assert (endpoint.handler, endpoint.body_limit, endpoint.background) == (handler, 2**63 - 1, background)
    assert (Endpoint(handler).body_limit, Endpoint(handler).background) == (1_048_576, None)
    for name in ("handler", "body_limit", "background"):
        with pytest.raises(AttributeError):
            setattr(endpoint, name, None)


def test_of_takes_an_endpoint_as_it_is_and_makes_one_of_a_handler(handler: WebhookHandler) -> None:
    endpoint = Endpoint(handler, body_limit=7)
    assert Endpoint.of(endpoint) is endpoint
    made = Endpoint.of(handler)
    assert (made.handler, made.body_limit) == (handler, 1_048_576)
    for value in (None, "secret", WebhookHandler, Endpoint):
        with pytest.raises(TypeError, match=r"^an endpoint needs a WebhookHandler, not \w+$"):
            Endpoint.of(value)  # type: ignore[arg-type]


def test_repr_shows_no_secret(secret: str, handler: WebhookHandler) -> None:
    endpoint = Endpoint(handler, body_limit=7, replay_guard=ReplayGuard.exact_request(), background=Background())
    assert repr(endpoint) == "<Endpoint of <WebhookHandler secret=[redacted], 0 handlers>, at most 7 bytes>"
    assert secret not in f"{endpoint} {vars(endpoint)}"


# Each outcome's name, status, body and further headers: what adapters send, and so an interface.
OUTCOMES = {
    "HANDLED": ("handled", 200, b'{"status":"handled"}', []),
    "ACCEPTED": ("accepted", 200, b'{"status":"accepted"}', []),
    "DUPLICATE": ("duplicate", 200, b'{"status":"duplicate"}', []),
    "IGNORED": ("ignored", 200, b'{"status":"ignored"}', []),
    "UNREADABLE": ("unreadable", 400, b'{"error":"unreadable"}', []),
    "UNAUTHORIZED": ("unauthorized", 401, b'{"error":"unauthorized"}', []),
    "METHOD_NOT_ALLOWED": (
        "method_not_allowed",
        405,
        b'{"error":"method_not_allowed"}',
        [("allow", "POST, PUT, PATCH")],
    ),
    "TOO_LARGE": ("too_large", 413, b'{"error":"too_large"}', []),
    "FAILED": ("failed", 500, b'{"error":"failed"}', []),
    "UNAVAILABLE": ("unavailable", 503, b'{"error":"unavailable"}', []),
}


@pytest.mark.parametrize(("attribute", "expected"), OUTCOMES.items(), ids=OUTCOMES)
def test_outcomes_are_what_is_sent(attribute: str, expected: tuple[str, int, bytes, list[tuple[str, str]]]) -> None:
    outcome = getattr(Outcome, attribute)
    name, status, body, more = expected
    assert (outcome.name, outcome.status, outcome.body) == (name, status, body)
    assert outcome.headers == [("content-type", "application/json"), *more]
    assert repr(outcome) == f"<Outcome {status} {name}>"


def test_outcomes_are_equal_to_themselves_alone_and_cannot_be_changed() -> None:
    outcomes = [getattr(Outcome, name) for name in OUTCOMES]
    assert len({*outcomes}) == len(outcomes) == 10
    assert [[one == other for other in outcomes].count(True) for one in outcomes] == [1] * 10
    assert Outcome.HANDLED != 200
    assert Outcome.HANDLED != "handled"
    assert Outcome.of_code("signature_mismatch") == Outcome.UNAUTHORIZED != Outcome.of_code("anything else")
    with pytest.raises(AttributeError):
        Outcome.HANDLED.status = 500  # type: ignore[misc]
    with pytest.raises(TypeError):
        Outcome()


# Requests, what is answered, and the one line that the log has of it.
MISSING = "missing signature: expected 64 hexadecimal digits in X-Pylon-Signature, found no such header"
EMPTY = "incomplete body: expected 58 bytes, as the headers declare, found none; the sender disconnected, or something else read the body first"
REQUESTS: dict[str, tuple[str, Any, bytes, Outcome, tuple[str, str] | None]] = {
    "authentic": ("POST", signed, BODY, Outcome.HANDLED, None),
    "authentic with a timestamp": ("POST", lambda s: signed(s, BODY, NOW), BODY, Outcome.HANDLED, None),
    "PUT": ("PUT", signed, BODY, Outcome.HANDLED, None),
    "PATCH": ("PATCH", signed, BODY, Outcome.HANDLED, None),
    "of no handler": ("POST", lambda s: signed(s, b"[]"), b"[]", Outcome.HANDLED, None),
    "GET": (
        "GET",
        signed,
        BODY,
        Outcome.METHOD_NOT_ALLOWED,
        (
            "WARNING",
            "Pylon webhook refused: wrong method: expected POST, PUT or PATCH, found another; choose POST as the method of the webhook in Pylon",
        ),
    ),
    "post in lower case": (
        "post",
        signed,
        BODY,
        Outcome.METHOD_NOT_ALLOWED,
        (
            "WARNING",
            "Pylon webhook refused: wrong method: expected POST, PUT or PATCH, found another; choose POST as the method of the webhook in Pylon",
        ),
    ),
    "an empty method": (
        "",
        signed,
        BODY,
        Outcome.METHOD_NOT_ALLOWED,
        (
            "WARNING",
            "Pylon webhook refused: wrong method: expected POST, PUT or PATCH, found another; choose POST as the method of the webhook in Pylon",
        ),
    ),
    "unsigned": (
        "POST",
        {},
        BODY,
        Outcome.UNAUTHORIZED,
        ("WARNING", f"Pylon webhook refused (signature_missing): {MISSING}"),
    ),
    "too large, as declared": (
        "POST",
        lambda s: {**signed(s), "Content-Length": "1001"},
        BODY,
        Outcome.TOO_LARGE,
        ("WARNING", "Pylon webhook refused: body too large: expected at most 1000 bytes, found more"),
    ),
    "too large, as it comes": (
        "POST",
        lambda s: signed(s, b" " * 1001),
        b" " * 1001,
        Outcome.TOO_LARGE,
        ("WARNING", "Pylon webhook refused: body too large: expected at most 1000 bytes, found more"),
    ),
    "incomplete": (
        "POST",
        lambda s: {**signed(s), "content-length": "58"},
        BODY[:-1],
        Outcome.UNREADABLE,
        (
            "WARNING",
            "Pylon webhook refused: incomplete body: expected 58 bytes, as the headers declare, found 57",
        ),
    ),
    "consumed": (
        "POST",
        lambda s: {**signed(s), "CONTENT-LENGTH": "58"},
        b"",
        Outcome.UNREADABLE,
        ("WARNING", f"Pylon webhook refused: {EMPTY}"),
    ),
    "no JSON": (
        "POST",
        lambda s: signed(s, b"{"),
        b"{",
        Outcome.UNREADABLE,
        None,
    ),
}


@pytest.mark.parametrize(("method", "headers", "body", "outcome", "line"), REQUESTS.values(), ids=REQUESTS)
def test_requests_are_answered_by_their_class_and_the_log_says_why(
    method: str,
    headers: Any,
    body: bytes,
    outcome: Outcome,
    line: tuple[str, str] | None,
    respond: Respond,
    handler: WebhookHandler,
    secret: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    called: list[Any] = []
    handler.on_any(called.append)
    endpoint = Endpoint(handler, body_limit=1000)
    given = headers(secret) if callable(headers) else headers
    with caplog.at_level(logging.DEBUG):
        assert respond(endpoint, method, given, body) == outcome
    assert len(called) == (outcome == Outcome.HANDLED)
    if line is not None:
        assert lines(caplog) == [line]
    elif outcome == Outcome.HANDLED:
        assert lines(caplog) == []


# What is wrong with a delivery, from what is looked at first to what is looked at last.
FLAWS = ["method", "declared size", "size", "signature", "JSON", "handler"]
ANSWERS = [405, 413, 400, 401, 400, 500]


@pytest.mark.parametrize("first", range(len(FLAWS)), ids=FLAWS)
def test_the_first_flaw_decides_whatever_else_is_wrong(
    first: int, respond: Respond, handler: WebhookHandler, secret: str
) -> None:
    @handler.on_any
    def fail(_event: Any) -> None:
        raise LookupError("a bug")

    flaws = FLAWS[first:]
    body = b"{" if "JSON" in flaws else BODY
    headers = {"X-Pylon-Signature": "ab" * 32 if "signature" in flaws else sign(secret, body)}
    if "declared size" in flaws:
        headers["Content-Length"] = "1001"
    elif "size" in flaws:
        headers["Content-Length"] = "1000"
    outcome = respond(Endpoint(handler, body_limit=1000), "GET" if "method" in flaws else "POST", headers, body)
    assert outcome.status == ANSWERS[first]


@pytest.fixture
def respond_reading(request: pytest.FixtureRequest, respond: Respond) -> Respond:
    """As `respond`; the body is what a function reads, which is called with the limit."""
    if request.node.callspec.params["respond"] == "respond":
        return respond

    def respond_reading(endpoint: Endpoint, method: str, headers: Any, read: Callable[[int], Any]) -> Outcome:
        async def aread(limit: int) -> Any:
            await asyncio.sleep(0)
            return read(limit)

        return respond(endpoint, method, headers, aread)

    return respond_reading


def test_a_body_is_read_only_if_method_and_declared_size_are_right(
    respond_reading: Respond, handler: WebhookHandler
) -> None:
    endpoint = Endpoint(handler, body_limit=1000)
    limits: list[int] = []

    def read(limit: int) -> bytes:
        limits.append(limit)
        return BODY

    def ask(method: str, length: str) -> Any:
        return respond_reading(endpoint, method, {"Content-Length": length}, read)

    assert ask("POST", "1001") == Outcome.TOO_LARGE
    assert ask("HEAD", "1001") == ask("GET", "1") == ask("post", "1") == Outcome.METHOD_NOT_ALLOWED
    assert limits == []
    assert ask("POST", "1000") == Outcome.UNREADABLE
    assert ask("POST", str(len(BODY))) == Outcome.UNAUTHORIZED
    endpoint.close()
    assert ask("POST", "1") == Outcome.UNAVAILABLE
    assert limits == [1000, 1000]


BROKEN = "Pylon webhook refused: incomplete body: the connection closed before the end of the body"
CONSUMED = (
    "Pylon webhook not read: body already read: something else in the app read the body first; keep middleware and form parsing "
    "away from this path"
)
# What a function that reads the body returns or raises; what is answered, and the log's last line.
READ: dict[str, tuple[Any, Outcome, tuple[str, str] | None]] = {
    "the body": (BODY, Outcome.HANDLED, None),
    "the body as text": (BODY.decode(), Outcome.HANDLED, None),
    "a connection that broke": (ConnectionError("who: secret"), Outcome.UNREADABLE, ("WARNING", BROKEN)),
    "an error of the server's own": (RuntimeError("who: secret"), Outcome.UNREADABLE, ("WARNING", BROKEN)),
    "that it broke": (RequestFault.BROKEN, Outcome.UNREADABLE, ("WARNING", BROKEN)),
    "that it was read before": (RequestFault.CONSUMED, Outcome.FAILED, ("ERROR", CONSUMED)),
    "that it is too large": (
        RequestFault.too_large(7),
        Outcome.TOO_LARGE,
        ("WARNING", "Pylon webhook refused: body too large: expected at most 7 bytes, found more"),
    ),
    "one byte too many": (
        b" " * 1001,
        Outcome.TOO_LARGE,
        ("WARNING", "Pylon webhook refused: body too large: expected at most 1000 bytes, found more"),
    ),
    "a parsed body": ({}, Outcome.UNREADABLE, None),
    "nothing": (None, Outcome.UNREADABLE, None),
}


@pytest.mark.parametrize(("found", "outcome", "line"), READ.values(), ids=READ)
def test_what_a_function_reads_is_answered(
    found: Any,
    outcome: Outcome,
    line: tuple[str, str] | None,
    respond_reading: Respond,
    handler: WebhookHandler,
    secret: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def read(_limit: int) -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    endpoint = Endpoint(handler, body_limit=1000)
    assert respond_reading(endpoint, "POST", signed(secret), read) == outcome
    if line is not None:
        assert lines(caplog)[-1] == line
    assert "secret" not in caplog.text


def test_the_operator_can_see_why_reading_failed(
    handler: WebhookHandler, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    def read(_limit: int) -> bytes:
        raise ConnectionError("reset by peer")

    caplog.set_level("DEBUG", "pylon_webhooks")
    Endpoint(handler).respond("POST", signed(secret), read)
    assert lines(caplog) == [("DEBUG", "reading the body of a Pylon webhook failed"), ("WARNING", BROKEN)]
    assert "ConnectionError: reset by peer" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_process_while_reading_is_not_answered(
    error: type[BaseException], respond_reading: Respond, handler: WebhookHandler, secret: str
) -> None:
    def read(_limit: int) -> bytes:
        raise error

    with pytest.raises(error):
        respond_reading(Endpoint(handler), "POST", signed(secret), read)


@pytest.mark.parametrize("guard", [None, ReplayGuard.exact_request()], ids=["no guard", "guard"])
def test_headers_are_gone_through_once(
    guard: ReplayGuard | None, respond: Respond, handler: WebhookHandler, secret: str
) -> None:
    walks: list[str] = []

    class Headers:
        def items(self) -> Any:
            walks.append("items")
            return signed(secret, BODY, NOW).items()

    assert respond(Endpoint(handler, replay_guard=guard), "POST", Headers(), BODY) == Outcome.HANDLED
    assert walks == ["items"]


# Lengths that no sender should declare; none of them is taken for a number.
@pytest.mark.parametrize(
    "length",
    ["", " ", "-1", "+58", " 58", "58 ", "5_8", "58.0", "5e1", "0x3a", "58, 58", "\u0665\u0668", "\ud800", "9" * 400,
     b"\xff", 58, None, 1.5, [], {}, object()],
    ids=repr,
)  # fmt: skip
def test_a_malformed_length_is_no_length(length: Any, respond: Respond, handler: WebhookHandler, secret: str) -> None:
    endpoint = Endpoint(handler, body_limit=1000)
    assert respond(endpoint, "POST", {**signed(secret), "Content-Length": length}, BODY) == Outcome.HANDLED


def test_of_several_lengths_the_last_counts(respond: Respond, handler: WebhookHandler, secret: str) -> None:
    endpoint = Endpoint(handler, body_limit=1000)
    pairs = [*signed(secret).items()]
    assert (
        respond(endpoint, "POST", [*pairs, ("content-length", "1"), ("content-length", "1001")], BODY)
        == Outcome.TOO_LARGE
    )
    assert (
        respond(endpoint, "POST", [*pairs, ("content-length", "1001"), ("content-length", "58")], BODY)
        == Outcome.HANDLED
    )


def environ(headers: dict[str, str]) -> dict[str, str]:
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}


# Headers as frameworks give them.
SHAPES: dict[str, Callable[[dict[str, str]], Any]] = {
    "a dict": dict,
    "a dict in upper case": lambda headers: {name.upper(): value for name, value in headers.items()},
    "a dict of bytes": lambda headers: {name.encode(): value.encode() for name, value in headers.items()},
    "a dict of lists": lambda headers: {name: [value] for name, value in headers.items()},
    "pairs": lambda headers: [*headers.items()],
    "a tuple of pairs": lambda headers: (*headers.items(),),
    "pairs of bytes": lambda headers: [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    "lists of two": lambda headers: [[name, value] for name, value in headers.items()],
    "lists of two bytes": lambda headers: [[name.encode(), value.encode()] for name, value in headers.items()],
    "an iterator": lambda headers: iter([*headers.items()]),
    "a generator": lambda headers: (pair for pair in headers.items()),
    "a view": lambda headers: headers.items(),
    "Starlette's": lambda headers: StarletteHeaders(headers),
    "Starlette's, raw": lambda headers: StarletteHeaders(headers).raw,
    "Werkzeug's": lambda headers: EnvironHeaders(environ(headers)),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_headers_are_read_as_frameworks_give_them(
    shape: Callable[[dict[str, str]], Any], respond: Respond, handler: WebhookHandler, secret: str
) -> None:
    # The guard reads the timestamp once more, after the gate and the verifier have read the headers.
    endpoint = Endpoint(handler, replay_guard=ReplayGuard.exact_request())
    headers = signed(secret, BODY, NOW)
    assert respond(endpoint, "POST", shape(headers), BODY) == Outcome.HANDLED
    assert respond(endpoint, "POST", shape(headers), BODY) == Outcome.DUPLICATE
    assert respond(endpoint, "POST", shape(signed(secret, BODY, NOW - 301)), BODY) == Outcome.UNAUTHORIZED
    assert respond(endpoint, "POST", shape({"X-Pylon-Timestamp": str(NOW)}), BODY) == Outcome.UNAUTHORIZED


class Raising:
    """Headers that fail when they are asked."""

    def items(self) -> Any:
        raise LookupError("no headers here")


@pytest.mark.parametrize(
    "headers",
    [None, 0, 1.5, "X-Pylon-Signature", b"x", object(), Raising(), [1], [()], [("a",)], [("a", "b", "c")],
     [("X-Pylon-Signature", None)], [(None, "x")], {None: "x"}, {"X-Pylon-Signature": object()}, [["a"]]],
    ids=repr,
)  # fmt: skip
def test_what_is_no_headers_is_no_signature(
    headers: Any, respond: Respond, handler: WebhookHandler, caplog: pytest.LogCaptureFixture
) -> None:
    handler.on_any(lambda _event: pytest.fail("an unsigned delivery was handled"))
    assert respond(Endpoint(handler), "POST", headers, BODY) == Outcome.UNAUTHORIZED
    ((level, text),) = lines(caplog)
    assert level == "WARNING"
    assert text.startswith("Pylon webhook refused (signature_m")


@pytest.mark.parametrize("body", ["\ud800", [BODY], {}], ids=["lone surrogate", "list", "dict"])
def test_a_body_that_is_neither_bytes_nor_text_is_refused(
    body: Any, respond: Respond, handler: WebhookHandler, secret: str
) -> None:
    assert respond(Endpoint(handler), "POST", signed(secret), body) == Outcome.UNREADABLE


def test_a_bytearray_a_memoryview_and_text_are_bodies(respond: Respond, handler: WebhookHandler, secret: str) -> None:
    for body in (bytearray(BODY), memoryview(BODY), BODY.decode()):
        assert respond(Endpoint(handler), "POST", signed(secret), body) == Outcome.HANDLED


# Refusals by the verifier: the error that on_error is told of, and the log's line.
REFUSALS: dict[str, tuple[Any, bytes, type[Exception], str]] = {
    "forged": (lambda _: {"X-Pylon-Signature": "ab" * 32}, BODY, PylonWebhookSignatureError, "signature_mismatch"),
    "malformed": (lambda _: {"X-Pylon-Signature": "x"}, BODY, PylonWebhookSignatureError, "signature_malformed"),
    "stale": (lambda s: signed(s, BODY, NOW - 301), BODY, PylonWebhookTimestampError, "timestamp_stale"),
    "future": (lambda s: signed(s, BODY, NOW + 301), BODY, PylonWebhookTimestampError, "timestamp_future"),
    "no number": (lambda s: signed(s, BODY, "x"), BODY, PylonWebhookTimestampError, "timestamp_malformed"),
    "no JSON": (lambda s: signed(s, b"{"), b"{", PylonWebhookPayloadError, "payload"),
}


@pytest.mark.parametrize(("headers", "body", "error", "code"), REFUSALS.values(), ids=REFUSALS)
def test_on_error_is_told_once_of_a_refusal_and_the_log_once(
    headers: Any,
    body: bytes,
    error: type[Exception],
    code: str,
    respond: Respond,
    handler: WebhookHandler,
    secret: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Any] = []
    handler.on_error(told.append)
    expected = {"payload": Outcome.UNREADABLE}.get(code, Outcome.UNAUTHORIZED)
    assert respond(Endpoint(handler), "POST", headers(secret), body) == expected
    assert [(type(one), one.code) for one in told] == [(error, code)]
    assert lines(caplog) == [("WARNING", f"Pylon webhook refused ({code}): {told[0]}")]


def test_an_async_on_error_is_awaited_under_arespond(handler: WebhookHandler, secret: str) -> None:
    told: list[Exception] = []

    @handler.on_error
    async def tell(error: Exception) -> None:
        await asyncio.sleep(0)
        told.append(error)

    @handler.on("issue_new")
    def fail(_event: Any) -> None:
        raise LookupError("a bug")

    endpoint = Endpoint(handler)
    assert asyncio.run(endpoint.arespond("POST", {}, BODY)) == Outcome.UNAUTHORIZED
    assert asyncio.run(endpoint.arespond("POST", signed(secret), BODY)) == Outcome.FAILED
    assert [type(error) for error in told] == [PylonWebhookSignatureError, PylonWebhookHandlerErrors]


def test_an_async_on_error_under_respond_is_noted_and_the_answer_is_the_same(
    handler: WebhookHandler, caplog: pytest.LogCaptureFixture
) -> None:
    @handler.on_error
    async def tell(_error: Exception) -> None: ...

    assert Endpoint(handler).respond("POST", {}, BODY) == Outcome.UNAUTHORIZED
    (first, second) = lines(caplog)
    assert first[0] == "ERROR"
    assert first[1].startswith("the on_error handler ")
    assert second == ("WARNING", f"Pylon webhook refused (signature_missing): {MISSING}")


def test_an_on_error_that_fails_changes_no_answer(respond: Respond, handler: WebhookHandler) -> None:
    @handler.on_error
    def fail(_error: Exception) -> None:
        raise LookupError("the tracker is down")

    assert respond(Endpoint(handler), "POST", {}, BODY) == Outcome.UNAUTHORIZED


def bug(error: BaseException) -> Callable[[Any], None]:
    def fail(_event: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        RuntimeError("a bug"),
        PylonWebhookSignatureError("not of a delivery", "signature_mismatch"),
        PylonWebhookPayloadError("not of a body"),
        ExceptionGroup("bugs", [ValueError("a bug")]),
        TimeoutError(),
        StopIteration(),
        AssertionError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_handler_raises_is_a_500_and_no_refusal(
    error: Exception, respond: Respond, handler: WebhookHandler, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    ran: list[str] = []
    handler.on_any(bug(error))
    handler.on_any(lambda event: ran.append(event.event_type))
    handler.on_error(told.append)
    assert respond(Endpoint(handler), "POST", signed(secret), BODY) == Outcome.FAILED
    assert ran == ["issue_new"]
    assert [type(one) for one in told] == [PylonWebhookHandlerErrors]
    assert told[0].exceptions == (error,)
    assert lines(caplog) == [
        (
            "ERROR",
            (
                "Pylon webhook not handled: a handler failed for <IssueNewEvent event_type='issue_new' issue_id='', 58 bytes>"
                " (1 sub-exception)"
            ),
        )
    ]
    # The operator gets the traceback.
    assert caplog.records[-1].exc_info is not None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_process_is_not_answered(
    error: type[BaseException], respond: Respond, handler: WebhookHandler, secret: str
) -> None:
    failing = handler.on_any(bug(error()))
    guard = ReplayGuard.exact_request(store=MemoryReplayStore())
    with pytest.raises(error):
        respond(Endpoint(handler, replay_guard=guard), "POST", signed(secret), BODY)
    # It was not handled, so it may come again.
    assert handler.remove(failing)
    assert respond(Endpoint(handler, replay_guard=guard), "POST", signed(secret), BODY) == Outcome.HANDLED


def test_an_async_handler_under_respond_is_a_500_that_says_what_to_do(
    handler: WebhookHandler, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[Any] = []
    handler.on_any(ran.append)

    @handler.on_any
    async def later(_event: Any) -> None: ...

    assert Endpoint(handler).respond("POST", signed(secret), BODY) == Outcome.FAILED
    assert ran == []
    ((level, text),) = lines(caplog)
    assert level == "ERROR"
    assert text == (
        f"Pylon webhook not handled: cannot await the async handler {later.__qualname__} here: "
        "call `await handler.ahandle(...)` or `adispatch(...)` instead; in a web framework, use an async adapter (ASGI, "
        "Django's `async_webhook_view`), an endpoint with a background, or a plain handler"
    )


def test_async_handlers_are_awaited_under_arespond_in_order(handler: WebhookHandler, secret: str) -> None:
    order: list[str] = []

    @handler.on("issue_new")
    async def first(event: Any) -> None:
        await asyncio.sleep(0)
        order.append(event.issue_title)

    handler.on_any(lambda _event: order.append("second"))
    assert asyncio.run(Endpoint(handler).arespond("POST", signed(secret), BODY)) == Outcome.HANDLED
    assert order == ["Export fails", "second"]


def raising_clock() -> float:
    raise OSError("no time")


# Clocks, and what the log has of them.
CLOCKS: dict[str, tuple[Callable[[], Any], str]] = {
    "raises": (raising_clock, "OSError: no time"),
    "None": (lambda: None, "TypeError: clock must return Unix seconds as int or float, found None"),
    "text": (lambda: "1700000000", "TypeError: clock must return Unix seconds as int or float, found str"),
    "NaN": (
        lambda: float("nan"),
        "ValueError: clock must return Unix seconds, found a number that is not finite",
    ),
    "infinity": (
        lambda: float("inf"),
        "ValueError: clock must return Unix seconds, found a number that is not finite",
    ),
}


@pytest.mark.parametrize(("clock", "text"), CLOCKS.values(), ids=CLOCKS)
@pytest.mark.parametrize("guarded", [False, True], ids=["timestamped", "guarded"])
def test_a_broken_clock_is_a_500_and_no_handler_runs(
    clock: Callable[[], Any],
    text: str,
    guarded: bool,
    respond: Respond,
    secret: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler = WebhookHandler(secret, clock=clock)
    handler.on_any(lambda _event: pytest.fail("handled at no time"))
    endpoint = Endpoint(handler, replay_guard=ReplayGuard.body_hash(window=60) if guarded else None)
    assert respond(endpoint, "POST", signed(secret, BODY, None if guarded else NOW), BODY) == Outcome.FAILED
    assert lines(caplog) == [("ERROR", "Pylon webhook not handled: something failed before its handlers ran")]
    assert caplog.text.rstrip().endswith(text)


def test_a_clock_far_off_refuses_what_bears_a_timestamp(respond: Respond, secret: str) -> None:
    for now in (-(2**100), -1, 0, 2**63, 2**100, 1e300, -1e300):
        endpoint = Endpoint(WebhookHandler(secret, clock=lambda now=now: now))  # type: ignore[misc]
        assert respond(endpoint, "POST", signed(secret, BODY, NOW), BODY) == Outcome.UNAUTHORIZED


def test_without_verification_whatever_is_readable_is_handled(respond: Respond) -> None:
    with pytest.warns(PylonWebhookUnverifiedWarning):
        handler = WebhookHandler("secret", verify_signature=False)
    called: list[Any] = []
    handler.on_any(called.append)
    endpoint = Endpoint(handler, body_limit=100)
    for headers in ({}, {"X-Pylon-Signature": "nonsense"}, {"X-Pylon-Timestamp": "nonsense"}):
        assert respond(endpoint, "POST", headers, BODY) == Outcome.HANDLED
    assert respond(endpoint, "GET", {}, BODY) == Outcome.METHOD_NOT_ALLOWED
    assert respond(endpoint, "POST", {}, b" " * 101) == Outcome.TOO_LARGE
    assert respond(endpoint, "POST", {}, b"{") == Outcome.UNREADABLE
    assert len(called) == 3


CLOSED = ("WARNING", "Pylon webhook turned away: the app is shutting down")


@pytest.mark.parametrize("background", [None, Background()], ids=["before", "after"])
def test_a_closed_endpoint_answers_503(
    background: Background | None,
    respond: Respond,
    handler: WebhookHandler,
    secret: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler.on_any(lambda _event: pytest.fail("handled after the end"))
    endpoint = Endpoint(handler, background=background)
    endpoint.close()
    endpoint.close()
    assert respond(endpoint, "POST", signed(secret), BODY) == Outcome.UNAVAILABLE
    assert respond(endpoint, "POST", {}, BODY) == Outcome.UNAVAILABLE
    # What is wrong in any case is told first.
    assert respond(endpoint, "GET", {}, BODY) == Outcome.METHOD_NOT_ALLOWED
    assert lines(caplog)[:2] == [CLOSED, CLOSED]


def test_the_context_managers_close_at_the_end_and_open_again(
    respond: Respond, handler: WebhookHandler, secret: str
) -> None:
    endpoint = Endpoint(handler)

    async def live() -> Outcome:
        async with endpoint as entered:
            assert entered is endpoint
            return await endpoint.arespond("POST", signed(secret), BODY)

    # An app's lifespan comes again with each test client.
    for _ in range(2):
        with endpoint as entered:
            assert entered is endpoint
            assert respond(endpoint, "POST", signed(secret), BODY) == Outcome.HANDLED
        assert respond(endpoint, "POST", signed(secret), BODY) == Outcome.UNAVAILABLE
        assert asyncio.run(live()) == Outcome.HANDLED
        assert respond(endpoint, "POST", signed(secret), BODY) == Outcome.UNAVAILABLE


def test_the_context_managers_close_where_the_app_fails(handler: WebhookHandler) -> None:
    endpoint = Endpoint(handler)
    with pytest.raises(LookupError), endpoint:
        raise LookupError
    assert endpoint.respond("POST", {}, BODY) == Outcome.UNAVAILABLE


# Event names that want to be lines of their own, or colours, in a log.
HOSTILE_NAMES = [
    "issue\nERROR forged line",
    "issue\r\nERROR forged line",
    "issue\x1b[31mred",
    "issue\u2028ERROR forged line",
    "issue\x85ERROR forged line",
    "issue\u202egnirts",
    "issue\x00",
    "%s %d %(name)s {0} {name}",
    "x" * 100_000,
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:30])
def test_no_event_name_makes_a_line_of_the_log(
    name: str, respond: Respond, handler: WebhookHandler, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    @handler.on_any
    def fail(_event: Any) -> None:
        if not failed:
            failed.append(True)
            raise LookupError("a bug")

    failed: list[bool] = []
    event = parse_webhook_event({"event_type": name, "issue_id": name})
    endpoint = Endpoint(handler, replay_guard=ReplayGuard.exact_request())
    with caplog.at_level(logging.DEBUG):
        outcomes = [respond(endpoint, "POST", signed(secret, event.raw), event.raw) for _ in range(3)]
    assert outcomes == [Outcome.FAILED, Outcome.HANDLED, Outcome.DUPLICATE]
    texts = [text for _, text in lines(caplog)]
    assert len(texts) == 2
    for text in texts:
        assert text.isprintable()
        assert len(text) < 400


# Header values that want to be seen.
@pytest.mark.parametrize("value", ["see me\nERROR forged line", "\x1b[31msee me", "see me %s", "see me" * 10_000])
@pytest.mark.parametrize("name", ["X-Pylon-Signature", "X-Pylon-Timestamp", "Content-Length", "Cookie"])
def test_no_header_is_shown_in_the_log(
    name: str, value: str, respond: Respond, handler: WebhookHandler, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = Endpoint(handler)
    with caplog.at_level(logging.DEBUG):
        for headers in ({name: value}, {**signed(secret, b"{", NOW), name: value}):
            respond(endpoint, "POST", headers, b"{")
    assert len(lines(caplog)) == 2
    for _, text in lines(caplog):
        assert text.isprintable()
        assert "see me" not in text
        assert secret not in text


def test_a_hundred_threads_at_once_are_each_answered(handler: WebhookHandler, secret: str) -> None:
    called: list[Any] = []
    handler.on_any(called.append)
    endpoint = Endpoint(handler, replay_guard=ReplayGuard.pointer("/n"))
    bodies = [b'{"event_type": "issue_new", "n": %d}' % n for n in range(100)]
    outcomes: list[Outcome] = []
    barrier = threading.Barrier(100)

    def send(body: bytes) -> None:
        barrier.wait(timeout=60)
        outcomes.append(endpoint.respond("POST", signed(secret, body), body))

    threads = [threading.Thread(target=send, args=[body]) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert outcomes == [Outcome.HANDLED] * 100
    assert sorted(event.raw for event in called) == sorted(bodies)


class Ticket:
    """A class of an app's own."""

    def __init__(self, event_type: str, title: str = "") -> None:
        self.event_type = event_type
        self.title = title


# What a function takes, and which of three events it gets.
VIEWS: dict[str, tuple[type[Any], list[bool]]] = {
    "IssueNewEvent": (IssueNewEvent, [True, False, False]),
    "MessageNewEvent": (MessageNewEvent, [False, True, False]),
    "BaseIssueEvent": (BaseIssueEvent, [True, True, False]),
    "WebhookEvent": (WebhookEvent, [True, True, True]),
    "UnknownEvent": (UnknownEvent, [False, False, True]),
    "Ticket": (Ticket, [False, False, True]),
}


@pytest.mark.parametrize(("event_class", "expected"), VIEWS.values(), ids=VIEWS)
def test_a_view_gives_the_events_of_its_class_and_none_of_others(
    event_class: type[Any], expected: list[bool], handler: WebhookHandler
) -> None:
    handler.register("ticket.created", Ticket)
    bodies = [
        b'{"event_type": "issue_new"}',
        b'{"event_type": "issue_message_new"}',
        b'{"event_type": "Ticket-Created", "title": "Printer", "other": 1}',
    ]
    events = [parse_webhook_event(body) for body in bodies]
    view = Endpoint(handler).view(event_class)
    seen = [view(event) for event in events]
    assert [isinstance(one, event_class) for one in seen] == expected
    assert [one is None for one in seen] == [not one for one in expected]
    if event_class is Ticket:
        assert seen[2].title == "Printer"


@pytest.mark.parametrize("name", ["issue_new", "Issue.New"])
def test_a_view_by_name_is_of_the_class_that_the_name_means(name: Any, handler: WebhookHandler) -> None:
    view = Endpoint(handler).view(name)
    assert view(parse_webhook_event(b'{"event_type": "issue_new"}')) is not None
    assert view(parse_webhook_event(b'{"event_type": "issue_assigned"}')) is None


# What no view can be of.
NO_VIEWS: dict[str, tuple[Any, type[Exception], str]] = {
    "dict": (dict, TypeError, "dict is no event class: call handler.register(name, dict) first"),
    "an unregistered class": (Ticket, TypeError, "Ticket is no event class: call handler.register(name, Ticket) first"),
    "None": (
        None,
        TypeError,
        "on() takes event classes and names: write @handler.on(IssueNewEvent) above the handler",
    ),
    "a function": (
        print,
        TypeError,
        "on() takes event classes and names: write @handler.on(IssueNewEvent) above the handler",
    ),
    "an empty name": (" ", ValueError, "an event name is empty: pass the name that the trigger's template sends"),
}


@pytest.mark.parametrize(("event_class", "error", "message"), NO_VIEWS.values(), ids=NO_VIEWS)
def test_what_is_no_event_class_has_no_view(
    event_class: Any, error: type[Exception], message: str, handler: WebhookHandler
) -> None:
    with pytest.raises(error) as caught:
        Endpoint(handler).view(event_class)
    assert (type(caught.value), str(caught.value)) == (error, message)


def test_a_background_and_a_view_are_one_too_many(handler: WebhookHandler) -> None:
    with pytest.raises(TypeError) as caught:
        Endpoint(handler, background=Background()).view(IssueNewEvent)
    assert str(caught.value) == (
        "a background runs registered handlers, not a function that takes the event: use one of the two"
    )


def test_an_own_class_that_cannot_be_made_fails_in_its_view(handler: WebhookHandler) -> None:
    handler.register("ticket.created", Ticket)
    view = Endpoint(handler).view(Ticket)
    with pytest.raises(TypeError, match=r"^Ticket is made of a JSON object, and the body is another value$"):
        view(WebhookHandler("s", event_name="ticket.created").receive(b"[]", sign("s", b"[]")))


def test_receive_gives_the_event_and_calls_no_handler(handler: WebhookHandler, secret: str) -> None:
    handler.on_any(lambda _event: pytest.fail("receive called a handler"))
    event = handler.receive(BODY, sign(secret, BODY))
    assert (type(event), event.raw) == (IssueNewEvent, BODY)
    assert handler.receive(BODY, headers=signed(secret)) == event
    assert handler.receive(BODY, signed(secret, BODY, NOW)) == event
    assert asyncio.run(handler.areceive(BODY, headers=signed(secret))) == event


def test_receive_tells_on_error_once_and_raises(handler: WebhookHandler) -> None:
    told: list[Exception] = []
    handler.on_error(told.append)
    with pytest.raises(PylonWebhookSignatureError) as caught:
        handler.receive(BODY)
    assert told == [caught.value]

    @handler.on_error
    async def tell(error: Exception) -> None:
        told.append(error)

    with pytest.raises(PylonWebhookSignatureError) as caught:
        asyncio.run(handler.areceive(BODY))
    assert told[1:] == [caught.value, caught.value]


def test_an_endpoint_receives_for_functions_of_the_apps_own(handler: WebhookHandler, secret: str) -> None:
    handler.on_any(lambda _event: pytest.fail("receive called a handler"))
    endpoint = Endpoint(handler, replay_guard=ReplayGuard.exact_request())

    def receive() -> Any:
        return endpoint.receive("POST", signed(secret), BODY)

    def areceive() -> Any:
        return asyncio.run(endpoint.areceive("POST", signed(secret), BODY))

    for ask in (receive, areceive):
        arrival = ask()
        assert arrival.event.raw == BODY
        # Until whoever takes it says how it ended.
        assert receive() == areceive() == Outcome.UNAVAILABLE
        arrival.settle()
        assert receive() == areceive() == Outcome.DUPLICATE
        arrival.give_back()
    arrival = areceive()
    asyncio.run(arrival.agive_back())
    assert not isinstance(receive(), Outcome)
    assert endpoint.receive("GET", signed(secret), BODY) == Outcome.METHOD_NOT_ALLOWED
    assert endpoint.receive("POST", {}, BODY) == Outcome.UNAUTHORIZED
