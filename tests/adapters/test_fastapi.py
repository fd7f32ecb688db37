"""What the table of requests cannot show of FastAPI's router and dependency."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import pytest
from deliveries import (
    BODY,
    FORGED,
    HEADERS,
    OTHER,
    OTHER_HEADERS,
    SECRET,
    SHUTTING_DOWN,
    check_silent,
    guarded,
    noting,
    status_and_json,
)
from fastapi import Body, Depends, FastAPI, Header, HTTPException, Request
from fastapi.testclient import TestClient

from pylon_webhooks import Background, Endpoint, IssueNewEvent, WebhookEvent, WebhookHandler
from pylon_webhooks.fastapi import verified_event, webhook_router

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def client_of(*routers: Any, **options: Any) -> TestClient:
    app = FastAPI(**options)
    for router in routers:
        app.include_router(router)
    return TestClient(app, raise_server_exceptions=False)


def post(client: TestClient, path: str = "/webhook", body: bytes = BODY, headers: Any = HEADERS) -> tuple[int, Any]:
    return status_and_json(client.post(path, content=body, headers=headers))


def test_the_router_is_at_the_path_that_it_is_given_and_below_the_prefix_that_it_is_included_with() -> None:
    app = FastAPI()
    app.include_router(webhook_router(noting([]), "/pylon"), prefix="/hooks")
    client = TestClient(app)
    assert post(client, "/hooks/pylon") == (200, {"status": "handled"})
    assert status_and_json(client.get("/hooks/pylon")) == (405, {"error": "method_not_allowed"})
    assert client.post("/webhook").status_code == 404


def test_two_routers_have_a_handler_each() -> None:
    first, second = list[str](), list[str]()
    client = client_of(webhook_router(noting(first), "/first"), webhook_router(noting(second), "/second"))
    assert post(client, "/first")[0] == post(client, "/second", OTHER, OTHER_HEADERS)[0] == 200
    assert (first, second) == (["issue_new"], ["issue_reaction"])


def test_the_documentation_has_the_post_and_only_that() -> None:
    schema = client_of(webhook_router(noting([]), tags=["hooks"])).get("/openapi.json").json()
    assert [*schema["paths"]] == ["/webhook"]
    assert [*schema["paths"]["/webhook"]] == ["post"]
    operation = schema["paths"]["/webhook"]["post"]
    assert (operation["summary"], operation["tags"]) == ("Receive a Pylon webhook", ["hooks"])
    assert sorted(operation["responses"]) == ["200", "400", "401", "405", "413", "500", "503"]
    assert "parameters" not in operation
    assert "requestBody" not in operation


def test_a_head_request_is_answered_without_a_body() -> None:
    answer = client_of(webhook_router(noting([]))).head("/webhook")
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (405, b"", "POST, PUT, PATCH")


def test_when_the_app_shuts_down_what_was_accepted_is_handled_and_nothing_more_is_accepted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler, happened = WebhookHandler(SECRET), list[str]()

    @handler.on_any
    async def note(event: WebhookEvent) -> None:
        await asyncio.sleep(0)
        happened.append(event.event_type)

    @asynccontextmanager
    async def own(_: FastAPI) -> AsyncGenerator[None]:
        happened.append("started")
        yield
        happened.append("ended")

    client = client_of(webhook_router(Endpoint(handler, background=Background())), lifespan=own)
    with client:
        assert post(client) == (200, {"status": "accepted"})
    # The app's own lifespan is around the router's.
    assert happened == ["started", "issue_new", "ended"]
    assert post(client) == (503, {"error": "unavailable"})
    assert caplog.messages == [SHUTTING_DOWN]


def test_a_body_that_a_dependency_consumed_is_a_failure_and_one_that_it_read_is_none() -> None:
    async def read(request: Request) -> None:
        await request.body()

    async def consume(request: Request) -> None:
        async for _ in request.stream():
            pass

    client = client_of(
        webhook_router(noting([]), "/read", dependencies=[Depends(read)]),
        webhook_router(noting([]), "/consumed", dependencies=[Depends(consume)]),
    )
    assert post(client, "/read") == (200, {"status": "handled"})
    assert post(client, "/consumed") == (500, {"error": "failed"})


def test_where_a_background_would_run_nothing_the_dependency_refuses_it() -> None:
    endpoint = Endpoint(WebhookHandler(SECRET), background=Background())
    with pytest.raises(TypeError) as caught:
        verified_event(endpoint)
    assert str(caught.value) == (
        "a background runs registered handlers, not a function that takes the event: use one of the two"
    )


def test_a_class_that_is_no_event_class_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(TypeError):
        verified_event(WebhookHandler(SECRET), str)


def test_an_event_of_another_class_is_answered_and_the_function_does_not_run() -> None:
    client, seen = client_with_function(WebhookHandler(SECRET), [])
    assert post(client, body=OTHER, headers=OTHER_HEADERS) == (200, {"detail": "ignored"})
    assert seen == []
    assert post(client) == (200, {"id": "issue_new"})
    assert seen == ["issue_new"]


@pytest.mark.parametrize(
    ("failure", "answer"),
    [(RuntimeError("as a function may fail"), 500), (HTTPException(418, "as the app says"), 418)],
    ids=["error", "answer"],
)
def test_a_function_that_fails_gets_the_delivery_again_and_one_that_ran_does_not(
    failure: Exception, answer: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pylon_webhooks")
    client, seen = client_with_function(guarded(WebhookHandler(SECRET)), [failure])
    assert client.post("/webhook", content=BODY, headers=HEADERS).status_code == answer
    assert post(client) == (200, {"id": "issue_new"})
    assert post(client) == (200, {"detail": "duplicate"})
    assert post(client, headers=FORGED) == (401, {"detail": "unauthorized"})
    assert seen == ["issue_new"] * 2
    check_silent(message for name, _, message in caplog.record_tuples if name == "pylon_webhooks")


def client_with_function(handler: Any, failures: list[Exception]) -> tuple[TestClient, list[str]]:
    """An app whose function takes new issues, and fails as long as there are failures left."""
    app, seen = FastAPI(), list[str]()

    # Not in the annotation: names in there are looked up among the module's own.
    verified = Depends(verified_event(handler, IssueNewEvent))

    async def webhook(event: Any = verified) -> dict[str, str]:
        seen.append(event.event_type)
        if failures:
            raise failures.pop()
        return {"id": event.event_type}

    app.post("/webhook")(webhook)
    return TestClient(app, raise_server_exceptions=False), seen


def test_the_dependency_goes_with_parameters_of_the_apps_own() -> None:
    app = FastAPI()

    def tenant_and_event(
        tenant: str, event: Annotated[WebhookEvent, Depends(verified_event(WebhookHandler(SECRET)))]
    ) -> list[str]:
        return [tenant, event.event_type]

    app.post("/webhook/{tenant}")(tenant_and_event)
    assert post(TestClient(app), "/webhook/a") == (200, ["a", "issue_new"])


def test_several_dependencies_of_one_request_have_one_delivery() -> None:
    app, guard = FastAPI(), guarded(WebhookHandler(SECRET))

    # Not in the annotations: names in there are looked up among the module's own.
    every, issues = Depends(verified_event(guard)), Depends(verified_event(guard, IssueNewEvent))
    # Of another endpoint, which reads the body too.
    others = Depends(verified_event(WebhookHandler(SECRET)))

    async def webhook(request: Request, first: Any = every, second: Any = issues, third: Any = others) -> list[Any]:
        assert first is second
        payload = await request.json()
        if failures:
            raise failures.pop()
        return [first == third, payload["event_type"], await request.body() == first.raw]

    failures = [HTTPException(418)]
    app.post("/webhook")(webhook)
    client = TestClient(app)
    assert post(client)[0] == 418
    assert post(client) == (200, [True, "issue_new", True])
    assert post(client) == (200, {"detail": "duplicate"})
    assert post(client, body=OTHER, headers=OTHER_HEADERS) == (200, {"detail": "ignored"})
    assert post(client, headers=FORGED) == (401, {"detail": "unauthorized"})


def test_a_body_of_the_apps_own_model_goes_with_the_dependency() -> None:
    app = FastAPI()

    async def webhook(
        payload: Annotated[dict[str, Any], Body()],
        event: Annotated[WebhookEvent, Depends(verified_event(WebhookHandler(SECRET)))],
    ) -> list[str]:
        return [payload["event_type"], event.event_type]

    app.post("/webhook")(webhook)
    assert post(TestClient(app)) == (200, ["issue_new", "issue_new"])


@pytest.mark.parametrize("prefix", ["/hooks", "/t/{tenant}"])
def test_a_path_may_be_empty_below_a_prefix(prefix: str) -> None:
    own, given = FastAPI(), FastAPI()
    own.include_router(webhook_router(noting([]), "", prefix=prefix))
    given.include_router(webhook_router(noting([]), ""), prefix=prefix)
    path = prefix.format(tenant="acme")
    for client in (TestClient(own), TestClient(given)):
        assert post(client, path) == (200, {"status": "handled"})
        assert status_and_json(client.get(path)) == (405, {"error": "method_not_allowed"})
        assert client.put(path, content=BODY, headers=FORGED).status_code == 401
        assert client.post("/", content=BODY, headers=HEADERS).status_code == 404
        assert [*client.get("/openapi.json").json()["paths"]] == [prefix]


def test_the_routers_own_prefix_and_dependencies_are_for_the_post() -> None:
    def check(x_key: Annotated[str, Header()] = "") -> None:
        asked.append(x_key)
        if x_key != "mine":
            raise HTTPException(403)

    seen, asked = list[str](), list[str]()
    router = webhook_router(noting(seen), "/pylon", prefix="/hooks", dependencies=[Depends(check)])
    client = client_of(router)
    assert client.post("/hooks/pylon", content=BODY, headers=HEADERS).status_code == 403
    assert seen == []
    assert post(client, "/hooks/pylon", headers={**HEADERS, "X-Key": "mine"}) == (200, {"status": "handled"})
    for method in (client.put, client.patch):
        assert method("/hooks/pylon", content=BODY, headers=HEADERS).status_code == 403
        assert method("/hooks/pylon", content=BODY, headers={**HEADERS, "X-Key": "mine"}).status_code == 200
    assert (seen, asked) == (["issue_new"] * 3, ["", "mine"] * 3)
    assert status_and_json(client.get("/hooks/pylon")) == (405, {"error": "method_not_allowed"})
    assert client.get("/hooks/pylon").headers["allow"] == "POST, PUT, PATCH"
    for path in ("/pylon", "/webhook", "/hooks", "/hooks/hooks/pylon"):
        assert client.post(path, content=BODY, headers={**HEADERS, "X-Key": "mine"}).status_code == 404
        assert client.get(path).status_code == 404
    assert {path: [*methods] for path, methods in client.get("/openapi.json").json()["paths"].items()} == {
        "/hooks/pylon": ["post"]
    }
    # No way around the dependencies by another method.
    assert seen == ["issue_new"] * 3
    below = FastAPI()
    below.include_router(router, prefix="/api")
    assert post(TestClient(below), "/api/hooks/pylon", headers={**HEADERS, "X-Key": "mine"})[0] == 200
    assert TestClient(below).get("/api/hooks/pylon").status_code == 405


def test_a_lifespan_that_the_router_is_given_runs_too_and_its_state_arrives() -> None:
    happened, states = list[str](), list[Any]()

    @asynccontextmanager
    async def own(_: Any) -> AsyncGenerator[dict[str, str]]:
        happened.append("started")
        yield {"pool": "the app's own"}
        happened.append("ended")

    def look(request: Request) -> None:
        states.append(request.state.pool)

    endpoint = Endpoint(noting(happened), background=Background())
    client = client_of(webhook_router(endpoint, lifespan=own, dependencies=[Depends(look)]))
    for _ in range(2):
        with client:
            assert post(client) == (200, {"status": "accepted"})
        # The router's resources are there until the last handler has ended.
        assert sorted(happened) == ["ended", "issue_new", "started"]
        assert happened[0] == "started"
        happened.clear()
    assert states == ["the app's own"] * 2


def test_an_app_that_starts_again_opens_its_endpoint_again() -> None:
    seen: list[str] = []
    client = client_of(webhook_router(Endpoint(noting(seen), background=Background())))
    for _ in range(2):
        with client:
            assert post(client) == (200, {"status": "accepted"})
        assert post(client) == (503, {"error": "unavailable"})
    assert seen == ["issue_new"] * 2


def test_a_copy_that_comes_while_the_function_runs_is_turned_away() -> None:
    async def scenario() -> list[Any]:
        app, begun, gate = FastAPI(), asyncio.Event(), asyncio.Event()
        verified = Depends(verified_event(guarded(WebhookHandler(SECRET))))

        async def webhook(event: Any = verified) -> dict[str, str]:
            begun.set()
            await gate.wait()
            return {"id": event.event_type}

        app.post("/webhook")(webhook)

        async def send() -> tuple[int, Any]:
            return status_and_json(await client.post("/webhook", content=BODY, headers=HEADERS))

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            first = asyncio.create_task(send())
            await begun.wait()
            copy = await send()
            gate.set()
            return [copy, await first, await send()]

    copy, first, later = asyncio.run(scenario())
    assert copy == (503, {"detail": "unavailable"})
    assert first == (200, {"id": "issue_new"})
    assert later == (200, {"detail": "duplicate"})
