"""What the table of requests cannot show of the Starlette route."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
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
    status_and_json,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from pylon_webhooks import Endpoint, WebhookEvent, WebhookHandler
from pylon_webhooks.asgi import webhook_app
from pylon_webhooks.starlette import respond, webhook_route

if TYPE_CHECKING:
    from collections.abc import Iterator


def client_of(*routes: Any) -> TestClient:
    return TestClient(Starlette(routes=[*routes]))


def test_the_route_is_at_the_path_that_it_is_given_and_nowhere_else() -> None:
    client = client_of(webhook_route(noting([]), "/hooks/pylon"))
    assert client.post("/hooks/pylon", content=BODY, headers=HEADERS).status_code == 200
    assert client.post("/webhook", content=BODY, headers=HEADERS).status_code == 404


def test_two_routes_have_a_handler_each() -> None:
    first, second = list[str](), list[str]()
    client = client_of(webhook_route(noting(first), "/first"), webhook_route(noting(second), "/second"))
    assert client.post("/first", content=BODY, headers=HEADERS).status_code == 200
    assert client.post("/second", content=OTHER, headers=OTHER_HEADERS).status_code == 200
    assert (first, second) == (["issue_new"], ["issue_reaction"])


def test_sync_and_async_handlers_both_run() -> None:
    seen: list[str] = []
    handler = noting(seen)

    @handler.on_any
    async def note(event: WebhookEvent) -> None:
        seen.append(f"async {event.event_type}")

    answer = client_of(webhook_route(handler)).post("/webhook", content=BODY, headers=HEADERS)
    assert status_and_json(answer) == (200, {"status": "handled"})
    assert seen == ["issue_new", "async issue_new"]


def test_what_reads_the_body_after_the_route_finds_it() -> None:
    endpoint = Endpoint(noting([]))

    async def webhook(request: Request) -> Any:
        first, second = await respond(endpoint, request), await respond(endpoint, request)
        assert (first.status_code, await request.body(), (await request.json())["event_type"]) == (
            200,
            BODY,
            "issue_new",
        )
        return second

    client = client_of(Route("/webhook", webhook, methods=["POST"]))
    assert client.post("/webhook", content=BODY, headers=HEADERS).json() == {"status": "handled"}


def test_a_head_request_is_answered_without_a_body() -> None:
    answer = client_of(webhook_route(noting([]))).head("/webhook")
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (405, b"", "POST, PUT, PATCH")


def test_a_websocket_is_refused() -> None:
    client = client_of(webhook_route(noting([])))
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/webhook"):
        pass


def test_a_body_that_is_too_large_is_not_read_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    def body() -> Iterator[bytes]:
        yield from [b"a" * 60] * 3

    client = client_of(webhook_route(Endpoint(noting([]), body_limit=100)))
    assert status_and_json(client.post("/webhook", content=body(), headers=HEADERS)) == (413, {"error": "too_large"})
    assert caplog.messages == [TOO_LARGE]


def test_a_sender_that_hangs_up_in_mid_body_is_not_handled(caplog: pytest.LogCaptureFixture) -> None:
    import asyncio

    seen: list[str] = []
    messages = [{"type": "http.request", "body": BODY[:20], "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(_: Any) -> None: ...

    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    scope = {"type": "http", "method": "POST", "path": "/webhook", "query_string": b"", "headers": headers}
    asyncio.run(Starlette(routes=[webhook_route(noting(seen))])(scope, receive, send))
    assert seen == []
    assert caplog.messages == [BROKEN]


def test_a_delivery_that_failed_is_handled_again_and_one_that_was_handled_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pylon_webhooks")
    handler, failing = WebhookHandler(SECRET), Failing()
    handler.on_any(failing)
    client = client_of(webhook_route(guarded(handler)))
    answers = [status_and_json(client.post("/webhook", content=BODY, headers=HEADERS)) for _ in range(3)]
    assert answers == [(500, {"error": "failed"}), (200, {"status": "handled"}), (200, {"status": "duplicate"})]
    assert client.post("/webhook", content=BODY, headers={**HEADERS, **FORGED}).status_code == 401
    check_silent(message for name, _, message in caplog.record_tuples if name == "pylon_webhooks")


def test_a_mount_redirects_where_a_route_answers() -> None:
    # Why the guide mounts the ASGI app as a route: Pylon may not follow.
    from starlette.routing import Mount, Route

    app = webhook_app(noting([]))
    mounted = client_of(Mount("/webhook", app)).post("/webhook", content=BODY, headers=HEADERS, follow_redirects=False)
    assert (mounted.status_code, mounted.headers["location"]) == (307, "http://testserver/webhook/")
    assert client_of(Route("/webhook", app)).post("/webhook", content=BODY, headers=HEADERS).status_code == 200
