"""What the table of requests cannot show of the WSGI app."""

from __future__ import annotations

import logging
from io import BytesIO
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from deliveries import (
    BODY,
    BROKEN,
    HEADERS,
    LENGTH_REQUIRED,
    SECRET,
    SHUTTING_DOWN,
    TOO_LARGE,
    Failing,
    check_silent,
    guarded,
    noting,
)

from pylon_webhooks import Background, Endpoint, WebhookEvent, WebhookHandler
from pylon_webhooks.wsgi import webhook_app

if TYPE_CHECKING:
    from pylon_webhooks.wsgi import WebhookApp


def environ_of(stream: Any, headers: dict[str, str], length: str | None, **more: Any) -> dict[str, Any]:
    environ: dict[str, Any] = {"REQUEST_METHOD": "POST", "QUERY_STRING": "", "wsgi.input": stream, **more}
    setup_testing_defaults(environ)
    environ.update({f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()})
    # These two have names without a prefix.
    environ.pop("HTTP_CONTENT_TYPE", None)
    if length is not None:
        environ["CONTENT_LENGTH"] = length
    return environ


def call(app: WebhookApp, environ: dict[str, Any]) -> tuple[str, bytes]:
    """What the app answers, seen by a validator of WSGI's own rules."""
    started: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        assert ("content-type", "application/json") in headers
        started.append(status)
        return lambda _: None

    answer = validator(app)(environ, start_response)
    try:
        body = b"".join(answer)
    finally:
        answer.close()  # type: ignore[attr-defined]
    (status,) = started
    return status, body


def post(app: WebhookApp, body: bytes = BODY, headers: dict[str, str] = HEADERS) -> tuple[str, bytes]:
    return call(app, environ_of(BytesIO(body), headers, str(len(body))))


class Socket(BytesIO):
    """A stream without an end of its own, as the standard leaves it to servers: reading beyond the body waits for ever."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size <= len(self.getvalue()) - self.tell()
        return super().read(min(size, 10))


class Breaking(BytesIO):
    """A stream that fails after the first piece, as servers' streams do: each with what it likes."""

    def __init__(self, body: bytes, error: Exception) -> None:
        super().__init__(body)
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise self.error
        return super().read(20)


def test_a_stream_is_not_read_beyond_the_declared_length() -> None:
    seen: list[str] = []
    environ = environ_of(Socket(BODY), HEADERS, str(len(BODY)))
    assert call(webhook_app(noting(seen)), environ) == ("200 OK", b'{"status":"handled"}')
    assert seen == ["issue_new"]


@pytest.mark.parametrize("length", [None, "", "many", "-1"])
def test_where_nothing_says_where_the_stream_ends_it_is_not_read(
    length: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    stream, started = Socket(BODY), list[str]()
    # Without the validator, which finds fault with such a server.
    environ = environ_of(stream, HEADERS, length)
    webhook_app(noting([]))(environ, lambda status, headers, exc_info=None: started.append(status))  # type: ignore[arg-type]
    assert started == ["411 Length Required"]
    assert stream.tell() == 0
    assert caplog.messages == [LENGTH_REQUIRED]


def test_a_stream_that_ends_by_itself_is_read_to_its_end() -> None:
    environ = environ_of(BytesIO(BODY), HEADERS, None, **{"wsgi.input_terminated": True})
    assert call(webhook_app(noting([])), environ)[0] == "200 OK"


@pytest.mark.parametrize("error", [OSError("reset"), ValueError("closed"), Exception("a server's own")], ids=repr)
@pytest.mark.parametrize("terminated", [True, False])
def test_a_body_that_breaks_off_is_not_handled(
    error: Exception, terminated: bool, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    more = {"wsgi.input_terminated": True} if terminated else {}
    environ = environ_of(Breaking(BODY, error), HEADERS, str(len(BODY)), **more)
    assert call(webhook_app(noting(seen)), environ) == ("400 Bad Request", b'{"error":"unreadable"}')
    assert seen == []
    assert caplog.messages == [BROKEN]


def test_a_body_that_is_too_large_is_read_no_further_than_that_shows(caplog: pytest.LogCaptureFixture) -> None:
    stream = BytesIO(b"a" * 1000)
    environ = environ_of(stream, HEADERS, None, **{"wsgi.input_terminated": True})
    app = webhook_app(Endpoint(noting([]), body_limit=100))
    status, body = call(app, environ)
    # Python calls it by several names.
    assert (status[:4], body) == ("413 ", b'{"error":"too_large"}')
    assert stream.tell() == 101
    assert caplog.messages == [TOO_LARGE]


def test_a_head_request_is_answered_without_a_body_and_with_its_length() -> None:
    started: list[tuple[str, Any]] = []
    environ = environ_of(BytesIO(), {}, None, REQUEST_METHOD="HEAD")
    body = webhook_app(noting([]))(environ, lambda *answer: started.append(answer))  # type: ignore[arg-type, func-returns-value]
    assert [*body] == []
    ((status, headers),) = started
    assert status == "405 Method Not Allowed"
    assert ("content-length", "30") in headers


def test_an_async_handler_is_a_failure_that_the_log_explains(caplog: pytest.LogCaptureFixture) -> None:
    handler = WebhookHandler(SECRET)

    @handler.on_any
    async def awaiting(_: WebhookEvent) -> None: ...

    assert post(webhook_app(handler)) == ("500 Internal Server Error", b'{"error":"failed"}')
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.message.startswith("Pylon webhook not handled: cannot await the async handler ")
    assert "awaiting here: call `await handler.ahandle(...)`" in record.message


def test_a_delivery_that_failed_is_handled_again_and_one_that_was_handled_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    handler, failing = WebhookHandler(SECRET), Failing()
    handler.on_any(failing)
    app = webhook_app(guarded(handler))
    assert [post(app)[1] for _ in range(3)] == [
        b'{"error":"failed"}',
        b'{"status":"handled"}',
        b'{"status":"duplicate"}',
    ]
    assert failing.seen == ["issue_new"] * 2
    check_silent(caplog.messages)


def test_closing_the_endpoint_waits_for_what_was_accepted_and_answers_503_from_then_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []
    with Endpoint(noting(seen), background=Background()) as endpoint:
        app = webhook_app(endpoint)
        assert post(app) == ("200 OK", b'{"status":"accepted"}')
    assert seen == ["issue_new"]
    assert post(app) == ("503 Service Unavailable", b'{"error":"unavailable"}')
    assert caplog.messages == [SHUTTING_DOWN]


def test_the_log_says_how_async_handlers_are_run(caplog: pytest.LogCaptureFixture) -> None:
    handler, seen = WebhookHandler(SECRET), list[str]()

    @handler.on_any
    async def awaiting(event: WebhookEvent) -> None:
        seen.append(event.event_type)

    assert post(webhook_app(handler))[0] == "500 Internal Server Error"
    (message,) = caplog.messages
    assert message.endswith(
        "; in a web framework, use an async adapter (ASGI, Django's `async_webhook_view`), an endpoint with a background, "
        "or a plain handler"
    )
    # The second of them:
    with Endpoint(handler, background=Background()) as endpoint:
        assert post(webhook_app(endpoint)) == ("200 OK", b'{"status":"accepted"}')
    assert seen == ["issue_new"]


def test_a_declared_body_that_is_not_there_is_a_sender_that_hung_up(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    environ = environ_of(BytesIO(), HEADERS, "10")
    assert call(webhook_app(noting(seen)), environ) == ("400 Bad Request", b'{"error":"unreadable"}')
    assert seen == []
    assert caplog.record_tuples == [
        (
            "pylon_webhooks",
            logging.WARNING,
            (
                "Pylon webhook refused: incomplete body: expected 10 bytes, as the headers declare, found none; the sender disconnected, or something else read the body first"
            ),
        )
    ]
