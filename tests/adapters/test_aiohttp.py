"""What the table of requests cannot show of the aiohttp handler."""

from __future__ import annotations

import asyncio
import gzip
import logging
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from deliveries import (
    BODY,
    BROKEN,
    FORGED,
    HEADERS,
    OTHER,
    OTHER_HEADERS,
    SECRET,
    TOO_LARGE,
    Failing,
    check_silent,
    guarded,
    noting,
)

from pylon_webhooks import Background, Endpoint, Outcome, WebhookEvent, WebhookHandler
from pylon_webhooks.aiohttp import add_webhook, webhook_handler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Client = TestClient[Any, Any]


def ask(app: web.Application, use: Callable[[Client], Awaitable[Any]]) -> Any:
    """What comes of using a client of the app, in aiohttp's own server."""

    async def run() -> Any:
        async with TestClient(TestServer(app)) as client:
            return await use(client)

    return asyncio.run(run())


async def post(client: Client, path: str = "/webhook", body: Any = BODY, headers: Any = HEADERS) -> tuple[int, Any]:
    async with client.post(path, data=body, headers=headers) as answer:
        return answer.status, await answer.json()


def app_of(handler: Any, path: str = "/webhook", **options: Any) -> web.Application:
    app = web.Application(**options)
    add_webhook(app, handler, path)
    return app


def test_two_webhooks_at_two_paths_have_a_handler_each() -> None:
    first, second = list[str](), list[str]()
    app = app_of(noting(first), "/first")
    add_webhook(app, noting(second), "/second")

    async def use(client: Client) -> None:
        assert (await post(client, "/first"))[0] == 200
        assert (await post(client, "/second", OTHER, OTHER_HEADERS))[0] == 200
        async with client.post("/webhook", data=BODY, headers=HEADERS) as answer:
            assert answer.status == 404

    ask(app, use)
    assert (first, second) == (["issue_new"], ["issue_reaction"])


def test_a_head_request_is_answered_without_a_body() -> None:
    async def use(client: Client) -> tuple[int, bytes, str]:
        async with client.head("/webhook") as answer:
            return answer.status, await answer.read(), answer.headers["allow"]

    assert ask(app_of(noting([])), use) == (405, b"", "POST, PUT, PATCH")


def test_a_websocket_is_refused() -> None:
    from aiohttp import WSServerHandshakeError

    async def use(client: Client) -> int:
        with pytest.raises(WSServerHandshakeError) as caught:
            await client.ws_connect("/webhook")
        return caught.value.status

    assert ask(app_of(noting([])), use) == 405


def test_sync_and_async_handlers_both_run() -> None:
    seen: list[str] = []
    handler = noting(seen)

    @handler.on_any
    async def note(event: WebhookEvent) -> None:
        seen.append(f"async {event.event_type}")

    assert ask(app_of(handler), post) == (200, {"status": "handled"})
    assert seen == ["issue_new", "async issue_new"]


def test_the_endpoints_limit_holds_and_not_the_apps_own(caplog: pytest.LogCaptureFixture) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"a" * 60

    # That of the app is for what aiohttp reads itself.
    assert ask(app_of(noting([]), client_max_size=10), post) == (200, {"status": "handled"})
    small = app_of(Endpoint(noting([]), body_limit=100))
    assert ask(small, lambda client: post(client, body=pieces())) == (413, {"error": "too_large"})
    assert caplog.messages == [TOO_LARGE]


def test_middleware_that_looks_at_the_body_after_the_handler_finds_it() -> None:
    bodies: list[bytes] = []

    @web.middleware
    async def look(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        bodies.append(await request.read())
        return response

    app = app_of(noting([]), middlewares=[look])
    assert ask(app, post) == (200, {"status": "handled"})
    assert ask(app_of(noting([]), middlewares=[look]), lambda client: post(client, headers=FORGED))[0] == 401
    assert bodies == [BODY] * 2


def test_a_body_that_was_parsed_in_parts_is_gone_and_one_that_was_parsed_as_a_form_is_kept() -> None:
    @web.middleware
    async def parse(request: web.Request, handler: Any) -> web.StreamResponse:
        await request.post()
        answer: web.StreamResponse = await handler(request)
        return answer

    async def use(client: Client) -> list[tuple[int, Any]]:
        form = {**HEADERS, "Content-Type": "application/x-www-form-urlencoded"}
        parts = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
        in_parts = {"Content-Type": "multipart/form-data; boundary=x"}
        return [await post(client, headers=form), await post(client, body=parts, headers=in_parts)]

    app = app_of(noting([]), middlewares=[parse])
    assert ask(app, use) == [(200, {"status": "handled"}), (500, {"error": "failed"})]


def test_a_sender_that_hangs_up_in_mid_body_is_not_handled(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    begun, told = asyncio.Event(), asyncio.Event()

    @web.middleware
    async def tell(request: web.Request, handler: Any) -> web.StreamResponse:
        begun.set()
        answer: web.StreamResponse = await handler(request)
        return answer

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.set()

    async def hang_up(app: web.Application) -> None:
        # Not in aiohttp's test server, which cancels what is under way: the one that `run_app` runs does not.
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _, writer = await asyncio.open_connection(*runner.addresses[0])
        head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        writer.write(f"POST /webhook HTTP/1.1\r\nHost: a\r\n{head}Content-Length: {len(BODY)}\r\n\r\n".encode())
        writer.write(BODY[:20])
        await writer.drain()
        # Of a sender that is gone before that, aiohttp tells nobody.
        await asyncio.wait_for(begun.wait(), 30)
        writer.close()
        await writer.wait_closed()
        await asyncio.wait_for(told.wait(), 30)
        await runner.cleanup()

    logger, handler = logging.getLogger("pylon_webhooks"), Told()
    logger.addHandler(handler)
    try:
        asyncio.run(hang_up(app_of(noting(seen), middlewares=[tell])))
    finally:
        logger.removeHandler(handler)
    assert seen == []
    assert caplog.messages == [BROKEN]


def test_a_delivery_that_failed_is_handled_again_and_one_that_was_handled_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pylon_webhooks")
    handler, failing = WebhookHandler(SECRET), Failing()
    handler.on_any(failing)

    async def use(client: Client) -> list[tuple[int, Any]]:
        return [*[await post(client) for _ in range(3)], await post(client, headers=FORGED)]

    assert ask(app_of(guarded(handler)), use) == [
        (500, {"error": "failed"}),
        (200, {"status": "handled"}),
        (200, {"status": "duplicate"}),
        (401, {"error": "unauthorized"}),
    ]
    check_silent(caplog.messages)


def test_when_the_app_shuts_down_what_was_accepted_is_handled_and_nothing_more_is_accepted() -> None:
    handler, seen, released = WebhookHandler(SECRET), list[str](), asyncio.Event()

    @handler.on_any
    async def note(event: WebhookEvent) -> None:
        await released.wait()
        seen.append(event.event_type)

    endpoint = Endpoint(handler, background=Background())
    app = app_of(endpoint)

    async def use(client: Client) -> None:
        assert await post(client) == (200, {"status": "accepted"})
        assert seen == []
        closing = asyncio.create_task(app.shutdown())
        released.set()
        await closing
        assert seen == ["issue_new"]
        assert await post(client) == (503, {"error": "unavailable"})

    ask(app, use)
    assert endpoint.respond("POST", {}, b"") == Outcome.UNAVAILABLE


def test_whoever_adds_the_handler_alone_closes_the_endpoint() -> None:
    endpoint = Endpoint(noting([]))
    app = web.Application()
    app.router.add_route("*", "/hooks/pylon", webhook_handler(endpoint))
    assert ask(app, lambda client: post(client, "/hooks/pylon")) == (200, {"status": "handled"})
    assert endpoint.respond("POST", {}, b"") == Outcome.UNAUTHORIZED


def test_an_endpoint_that_an_app_closed_is_opened_by_the_next_that_starts() -> None:
    seen: list[str] = []
    endpoint = Endpoint(noting(seen), background=Background())
    for _ in range(2):
        assert ask(app_of(endpoint), post) == (200, {"status": "accepted"})
        assert endpoint.respond("POST", {}, b"") == Outcome.UNAVAILABLE
    assert seen == ["issue_new"] * 2


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_packed_body_that_holds_nothing_is_no_fault_of_the_apps(
    encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    # A stranger can send it: it must not be told as a failure.
    packed = gzip.compress(b"") if encoding == "gzip" else zlib.compress(b"")
    app = app_of(WebhookHandler(SECRET))
    headers = {"Content-Encoding": encoding}
    status, answer = ask(app, lambda client: post(client, body=packed, headers=headers))
    assert (status, answer) in [(400, {"error": "unreadable"}), (401, {"error": "unauthorized"})]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
