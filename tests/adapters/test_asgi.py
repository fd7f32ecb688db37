"""What the table of requests cannot show of the ASGI app."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from deliveries import (
    BODY,
    BROKEN,
    DUPLICATE,
    FORGED,
    HEADERS,
    NO_JSON,
    NO_JSON_HEADERS,
    OTHER,
    OTHER_HEADERS,
    SECRET,
    SHUTTING_DOWN,
    TOO_LARGE,
    Failing,
    check_silent,
    guarded,
    noting,
)
from starlette.testclient import TestClient

from pylon_webhooks import Background, Endpoint, WebhookEvent, WebhookHandler
from pylon_webhooks.asgi import webhook_app

if TYPE_CHECKING:
    from pylon_webhooks.asgi import WebhookApp

    Message = dict[str, Any]


async def call(
    app: WebhookApp, headers: dict[str, str], *messages: Message, method: str = "POST", kind: str = "http"
) -> list[Any]:
    """What the app sends of a request that comes in these messages; it must ask for no more."""
    left, sent = [*messages], []
    scope: dict[str, Any] = {
        "type": kind,
        "method": method,
        "path": "/webhook",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> Any:
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def post(app: WebhookApp, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
    start, end = await call(app, headers, part(body))
    return start["status"], end["body"]


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_handlers_run_in_order_of_registration_whether_async_or_not() -> None:
    handler, seen = WebhookHandler(SECRET), list[str]()

    @handler.on_any
    def plain(_: WebhookEvent) -> None:
        seen.append("plain")

    @handler.on_any
    async def awaiting(_: WebhookEvent) -> None:
        await asyncio.sleep(0)
        seen.append("async")

    handler.on_any(plain)
    assert asyncio.run(post(webhook_app(handler), HEADERS, BODY)) == (200, b'{"status":"handled"}')
    assert seen == ["plain", "async", "plain"]


def test_a_sender_that_hangs_up_in_mid_body_is_not_handled(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    messages = (part(BODY[:20], more=True), {"type": "http.disconnect"})
    # Nobody reads the answer, but Starlette's middleware takes an app that answers nothing for a broken one.
    start, _ = asyncio.run(call(webhook_app(noting(seen)), HEADERS, *messages))
    assert start["status"] == 400
    assert seen == []
    assert caplog.record_tuples == [("pylon_webhooks", logging.WARNING, BROKEN)]


def test_a_sender_that_hangs_up_at_once_is_not_handled(caplog: pytest.LogCaptureFixture) -> None:
    start, _ = asyncio.run(call(webhook_app(noting([])), HEADERS, {"type": "http.disconnect"}))
    assert start["status"] == 400
    assert caplog.messages == [BROKEN]


def test_a_server_that_refuses_answers_to_a_sender_that_is_gone_has_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        raise OSError("as ASGI lets servers do")

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/webhook", "headers": []}
    asyncio.run(webhook_app(noting([]))(scope, receive, send))
    assert caplog.messages == [BROKEN]


def test_a_body_that_is_too_large_is_read_no_further_than_that_shows(caplog: pytest.LogCaptureFixture) -> None:
    app = webhook_app(Endpoint(noting([]), body_limit=100))
    # There is no third message to ask for.
    start, end = asyncio.run(call(app, HEADERS, part(b"a" * 60, more=True), part(b"a" * 60, more=True)))
    assert (start["status"], end["body"]) == (413, b'{"error":"too_large"}')
    assert caplog.messages == [TOO_LARGE]


def test_a_head_request_is_answered_without_a_body_and_with_its_length() -> None:
    start, end = asyncio.run(call(webhook_app(noting([])), {}, method="HEAD"))
    assert (start["status"], end["body"]) == (405, b"")
    assert (b"content-length", b"30") in start["headers"]


def test_a_websocket_is_refused() -> None:
    sent = asyncio.run(call(webhook_app(noting([])), {}, kind="websocket"))
    assert sent == [{"type": "websocket.close", "code": 1000}]


def test_when_the_server_shuts_down_what_was_accepted_is_handled_and_nothing_more_is_accepted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler, seen = WebhookHandler(SECRET), list[str]()

    @handler.on_any
    async def note(event: WebhookEvent) -> None:
        await asyncio.sleep(0)
        seen.append(event.event_type)

    app = webhook_app(Endpoint(handler, background=Background()))

    async def live() -> None:
        messages: asyncio.Queue[Any] = asyncio.Queue()
        sent: asyncio.Queue[Any] = asyncio.Queue()
        task = asyncio.create_task(app({"type": "lifespan"}, messages.get, sent.put))
        await messages.put({"type": "lifespan.startup"})
        assert await sent.get() == {"type": "lifespan.startup.complete"}
        assert await post(app, HEADERS, BODY) == (200, b'{"status":"accepted"}')
        assert seen == []
        await messages.put({"type": "lifespan.shutdown"})
        assert await sent.get() == {"type": "lifespan.shutdown.complete"}
        await task
        assert seen == ["issue_new"]
        start, end = await call(app, HEADERS)
        assert (start["status"], end["body"]) == (503, b'{"error":"unavailable"}')

    asyncio.run(live())
    assert caplog.messages == [SHUTTING_DOWN]


def test_a_delivery_that_failed_is_handled_again_and_one_that_was_handled_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    handler, failing = WebhookHandler(SECRET), Failing()
    handler.on_any(failing)
    app = webhook_app(guarded(handler))
    answers = [asyncio.run(post(app, HEADERS, BODY)) for _ in range(3)]
    handled = [(500, b'{"error":"failed"}'), (200, b'{"status":"handled"}'), (200, b'{"status":"duplicate"}')]
    assert answers == handled
    assert failing.seen == ["issue_new"] * 2
    failed, duplicate = caplog.records
    assert failed.levelname == "ERROR"
    assert failed.message.startswith("Pylon webhook not handled: a handler failed for ")
    assert failed.exc_info is not None
    assert (duplicate.levelname, duplicate.message[: len(DUPLICATE)]) == ("INFO", DUPLICATE)
    check_silent(caplog.messages)


def test_the_log_says_why_and_nothing_that_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    app = webhook_app(noting([]))

    async def send_all() -> list[int]:
        answers = [
            await post(app, {**HEADERS, **FORGED}, BODY),
            await post(app, {}, BODY),
            await post(app, {**HEADERS, "X-Pylon-Timestamp": "1"}, BODY),
            await post(app, NO_JSON_HEADERS, NO_JSON),
            await post(app, {**OTHER_HEADERS, "Content-Length": str(len(OTHER) + 1)}, OTHER),
            await post(app, {**OTHER_HEADERS, "Content-Length": str(len(OTHER))}, b""),
        ]
        (start, _) = await call(app, HEADERS, method="DELETE")
        return [*(status for status, _ in answers), start["status"]]

    assert asyncio.run(send_all()) == [401, 401, 401, 400, 400, 400, 405]
    assert [(record.levelname, record.message) for record in caplog.records] == [
        (
            "WARNING",
            (
                "Pylon webhook refused (signature_mismatch): signature mismatch: the signature matches none of the configured secrets; "
                "check the secret of this webhook destination, and pass the raw bytes of the request body"
            ),
        ),
        (
            "WARNING",
            (
                "Pylon webhook refused (signature_missing): missing signature: expected 64 hexadecimal digits in "
                "X-Pylon-Signature, found no such header"
            ),
        ),
        (
            "WARNING",
            (
                "Pylon webhook refused (signature_mismatch): signature mismatch: the signature matches none of the configured secrets; "
                "check the secret of this webhook destination, pass the raw bytes of the request body, and check that the sender signs `{timestamp}.{body}`: the request has a timestamp"
            ),
        ),
        (
            "WARNING",
            "Pylon webhook refused (payload): unreadable payload: expected JSON, found a form body",
        ),
        (
            "WARNING",
            f"Pylon webhook refused: incomplete body: expected {len(OTHER) + 1} bytes, as the headers declare, found {len(OTHER)}",
        ),
        (
            "WARNING",
            (
                f"Pylon webhook refused: incomplete body: expected {len(OTHER)} bytes, as the headers declare, found none; the sender disconnected, or something else read the body first"
            ),
        ),
        (
            "WARNING",
            "Pylon webhook refused: wrong method: expected POST, PUT or PATCH, found another; choose POST as the method of the webhook in Pylon",
        ),
    ]
    check_silent(caplog.messages)


def test_an_app_that_starts_again_opens_its_endpoint_again() -> None:
    seen: list[str] = []
    app = webhook_app(Endpoint(noting(seen), background=Background()))
    for _ in range(2):
        with TestClient(app) as client:
            answer = client.post("/webhook", content=BODY, headers=HEADERS)
            assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    assert seen == ["issue_new"] * 2
    assert asyncio.run(call(app, HEADERS))[0]["status"] == 503


def test_a_transfer_encoding_makes_a_declared_length_meaningless() -> None:
    # As HTTP says: which of the two counts must not be for the sender to choose.
    seen: list[str] = []
    headers = {**HEADERS, "Content-Length": "10000", "Transfer-Encoding": "chunked"}
    assert asyncio.run(post(webhook_app(noting(seen)), headers, BODY)) == (200, b'{"status":"handled"}')
    headers["Content-Length"] = "10000000"
    assert asyncio.run(post(webhook_app(noting(seen)), headers, BODY)) == (200, b'{"status":"handled"}')
    assert asyncio.run(post(webhook_app(noting(seen)), headers, b"")) == (401, b'{"error":"unauthorized"}')
    assert seen == ["issue_new"] * 2
