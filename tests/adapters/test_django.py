"""What the table of requests cannot show of Django's views."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any, ClassVar

import django
import pytest
from deliveries import (
    BODY,
    BROKEN,
    FORGED,
    HEADERS,
    LENGTH_REQUIRED,
    OTHER,
    OTHER_HEADERS,
    SECRET,
    SHUTTING_DOWN,
    Failing,
    check_silent,
    guarded,
    noting,
    status_and_json,
)
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.test import AsyncClient, Client, override_settings
from django.urls import path, re_path
from django.utils.deprecation import MiddlewareMixin

from pylon_webhooks import Background, Endpoint, WebhookEvent, WebhookHandler
from pylon_webhooks.django import async_webhook_view, webhook_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from django.http import HttpRequest, HttpResponseBase

CSRF = "django.middleware.csrf.CsrfViewMiddleware"
#: What each test puts at its paths.
urlpatterns: list[Any] = []


@pytest.fixture(autouse=True)
def project() -> Iterator[None]:
    if not settings.configured:
        settings.configure(SECRET_KEY="only-signs-what-django-itself-sends")
        django.setup()
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"], MIDDLEWARE=[CSRF]):
        yield
    urlpatterns.clear()


def serve(**views: Any) -> None:
    from django.urls import clear_url_caches

    urlpatterns[:] = [path(name, view) for name, view in views.items()]
    clear_url_caches()


def post(name: str = "webhook", body: bytes = BODY, headers: Any = HEADERS) -> tuple[int, Any]:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    return status_and_json(client.post(f"/{name}", body, "application/json", headers=own(headers)))


def post_async(name: str = "webhook", body: bytes = BODY, headers: Any = HEADERS) -> tuple[int, Any]:
    client = AsyncClient(enforce_csrf_checks=True, raise_request_exception=False)
    return status_and_json(
        asyncio.run(client.post(f"/{name}", body, content_type="application/json", headers=own(headers)))
    )


def own(headers: dict[str, str]) -> dict[str, str]:
    """Without the one that Django's clients take another way."""
    return {name: value for name, value in headers.items() if name != "Content-Type"}


def test_the_csrf_check_stops_other_views_and_not_the_webhook() -> None:
    from django.http import HttpResponse

    def other(_: HttpRequest) -> HttpResponse:
        return HttpResponse("never seen")

    serve(webhook=webhook_view(noting([])), awaiting=async_webhook_view(noting([])), other=other)
    assert post() == post_async() == (200, {"status": "handled"})
    assert post("awaiting") == post_async("awaiting") == (200, {"status": "handled"})
    assert Client(enforce_csrf_checks=True).post("/other").status_code == 403


def test_two_views_have_a_handler_each() -> None:
    first, second = list[str](), list[str]()
    serve(first=webhook_view(noting(first)), second=webhook_view(noting(second)))
    assert post("first")[0] == post("second", OTHER, OTHER_HEADERS)[0] == 200
    assert (first, second) == (["issue_new"], ["issue_reaction"])


def test_a_head_request_is_answered_without_a_body() -> None:
    serve(webhook=webhook_view(noting([])))
    answer = Client().head("/webhook")
    assert (answer.status_code, answer.content, answer.headers["allow"]) == (405, b"", "POST, PUT, PATCH")


@pytest.mark.parametrize("view", [webhook_view, async_webhook_view])
def test_djangos_limit_for_bodies_in_memory_is_for_what_django_reads(view: Callable[..., Any]) -> None:
    serve(webhook=view(noting([])))
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        assert post() == post_async() == (200, {"status": "handled"})


def test_an_async_handler_in_the_sync_view_is_a_failure_that_the_log_explains(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler, seen = WebhookHandler(SECRET), list[str]()

    @handler.on_any
    async def awaiting(event: WebhookEvent) -> None:
        seen.append(event.event_type)

    serve(webhook=webhook_view(handler), awaiting=async_webhook_view(handler))
    assert post() == (500, {"error": "failed"})
    (message,) = own_messages(caplog)
    assert "awaiting here: call `await handler.ahandle(...)`" in message
    assert seen == []
    assert post_async("awaiting") == (200, {"status": "handled"})
    assert seen == ["issue_new"]


def own_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    # Django logs answers of 400 and above as well.
    return [message for name, _, message in caplog.record_tuples if name == "pylon_webhooks"]


@pytest.mark.parametrize("view", [webhook_view, async_webhook_view])
def test_what_was_read_and_kept_is_handled_and_what_is_gone_is_a_failure(view: Callable[..., Any]) -> None:
    def after(read: Callable[[HttpRequest], object], view: Any) -> Any:
        from inspect import iscoroutinefunction

        if iscoroutinefunction(view):

            async def webhook(request: HttpRequest) -> HttpResponseBase:
                read(request)
                answer: HttpResponseBase = await view(request)
                return answer
        else:

            def webhook(request: HttpRequest) -> HttpResponseBase:
                read(request)
                answer: HttpResponseBase = view(request)
                return answer

        webhook.csrf_exempt = True  # type: ignore[attr-defined]
        return webhook

    serve(
        kept=after(lambda request: request.body, view(noting([]))),
        kept_and_read=after(lambda request: (request.body, request.read()), view(noting([]))),
        gone=after(lambda request: request.read(), view(noting([]))),
        begun=after(lambda request: request.read(10), view(noting([]))),
    )
    for send in (post, post_async):
        assert send("kept") == send("kept_and_read") == (200, {"status": "handled"})
        assert send("gone") == (500, {"error": "failed"})
        assert send("begun") == (400, {"error": "unreadable"})


@pytest.mark.parametrize(("view", "send"), [(webhook_view, post), (async_webhook_view, post_async)])
def test_values_in_the_path_are_taken_and_not_looked_at(view: Callable[..., Any], send: Callable[..., Any]) -> None:
    serve(webhook=view(noting([])))
    urlpatterns.append(path("t/<slug:tenant>/<int:number>", view(noting([])), {"extra": "of the project"}))
    urlpatterns.append(re_path(r"^r/(\w+)$", view(noting([]))))
    for name in ("t/acme/7", "r/acme"):
        assert send(name) == (200, {"status": "handled"})
        assert send(name, headers=FORGED) == (401, {"error": "unauthorized"})


@pytest.mark.parametrize(("view", "send"), [(webhook_view, post), (async_webhook_view, post_async)])
def test_middleware_that_looks_at_the_body_after_the_view_finds_it(
    view: Callable[..., Any], send: Callable[..., Any]
) -> None:
    serve(webhook=view(noting([])))
    with override_settings(MIDDLEWARE=[CSRF, f"{__name__}.Looking"]):
        assert send() == (200, {"status": "handled"})
        assert send(headers=FORGED) == (401, {"error": "unauthorized"})
    assert Looking.bodies == [BODY] * 2
    Looking.bodies.clear()


class Looking(MiddlewareMixin):
    bodies: ClassVar[list[bytes]] = []

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        self.bodies.append(request.body)
        return response


@pytest.mark.parametrize("length", [None, "", "many", "-1"])
def test_where_the_server_gives_no_body_the_log_says_so(length: str | None, caplog: pytest.LogCaptureFixture) -> None:
    environ = {"REQUEST_METHOD": "POST", "wsgi.input": BytesIO(BODY), "HTTP_TRANSFER_ENCODING": "chunked"}
    if length is not None:
        environ["CONTENT_LENGTH"] = length
    answer = webhook_view(noting([]))(WSGIRequest(environ))
    assert (answer.status_code, answer.content) == (411, b'{"error":"length_required"}')
    assert caplog.messages == [LENGTH_REQUIRED]


@pytest.mark.parametrize("error", [OSError("reset"), Exception("a server's own")], ids=repr)
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_breaks_off_is_not_handled(
    error: Exception, declared: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Breaking(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise error
            return super().read(20)

    environ = {
        "REQUEST_METHOD": "POST",
        "wsgi.input": Breaking(BODY),
        "wsgi.input_terminated": True,
        "HTTP_X_PYLON_SIGNATURE": HEADERS["X-Pylon-Signature"],
    }
    if declared:
        environ["CONTENT_LENGTH"] = str(len(BODY))
    answer = webhook_view(noting([]))(WSGIRequest(environ))
    assert (answer.status_code, answer.content) == (400, b'{"error":"unreadable"}')
    assert caplog.messages == [BROKEN]


@pytest.mark.parametrize(("view", "send"), [(webhook_view, post), (async_webhook_view, post_async)])
def test_a_delivery_that_failed_is_handled_again_and_one_that_was_handled_is_not(
    view: Callable[..., Any], send: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "pylon_webhooks")
    handler, failing = WebhookHandler(SECRET), Failing()
    handler.on_any(failing)
    serve(webhook=view(guarded(handler)))
    assert [send() for _ in range(3)] == [
        (500, {"error": "failed"}),
        (200, {"status": "handled"}),
        (200, {"status": "duplicate"}),
    ]
    assert send(headers=FORGED)[0] == 401
    check_silent(caplog.messages)


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize(("view", "send"), [(webhook_view, post), (async_webhook_view, post_async)])
def test_closing_the_endpoint_waits_for_what_was_accepted_and_answers_503_from_then_on(
    view: Callable[..., Any], send: Callable[..., Any], awaits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    handler = noting(seen)
    if awaits:

        @handler.on_any
        async def note(event: WebhookEvent) -> None:
            seen.append(f"async {event.event_type}")

    with Endpoint(handler, background=Background()) as endpoint:
        serve(webhook=view(endpoint))
        assert send() == (200, {"status": "accepted"})
    # In the background, each event has an event loop of its own: the sync view runs async handlers too.
    assert seen == ["issue_new", "async issue_new"][: awaits + 1]
    assert send() == (503, {"error": "unavailable"})
    assert own_messages(caplog) == [SHUTTING_DOWN]


@pytest.mark.parametrize(("view", "send"), [(webhook_view, post), (async_webhook_view, post_async)])
def test_each_event_in_the_background_has_fresh_database_connections_around_it(
    view: Callable[..., Any], send: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, happened = WebhookHandler(SECRET), list[str]()
    failures = [RuntimeError("as a handler may fail")]

    @handler.on_any
    def note(event: WebhookEvent) -> None:
        happened.append(event.event_type)
        if failures:
            raise failures.pop()

    def close() -> None:
        happened.append("close")

    monkeypatch.setattr("pylon_webhooks.django._close_old_connections", close)
    with Endpoint(handler, background=Background(workers=1)) as endpoint:
        serve(webhook=view(endpoint))
        assert [send(), send(body=OTHER, headers=OTHER_HEADERS)] == [(200, {"status": "accepted"})] * 2
    assert happened == ["close", "issue_new", "close", "close", "issue_reaction", "close"]
    happened.clear()
    # In the event loop there are no connections to look after.
    serve(webhook=view(handler))
    assert send() == (200, {"status": "handled"})
    assert happened == (["close", "issue_new", "close"] if view is webhook_view else ["issue_new"])


ATOMIC = """
import sys
import django
from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import path
settings.configure(
    SECRET_KEY="only-signs-what-django-itself-sends",
    ALLOWED_HOSTS=["testserver"],
    ROOT_URLCONF="__main__",
    LOGGING_CONFIG=None,
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1], "ATOMIC_REQUESTS": sys.argv[2] == "atomic"}
    },
)
django.setup()
from pylon_webhooks import WebhookHandler
from pylon_webhooks.django import async_webhook_view, webhook_view
from pylon_webhooks.testing import sample_payload, signed_headers

def write(text):
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO written VALUES (%s)", [text])

def written():
    with connection.cursor() as cursor:
        return [text for text, in cursor.execute("SELECT text FROM written ORDER BY rowid").fetchall()]

handler = WebhookHandler("secret")
@handler.on_any
def note(event):
    write(event.event_type)
@handler.on("issue_reaction")
def fail(event):
    raise RuntimeError("as a handler may fail")
inner = webhook_view(handler)
def audited(request):
    write("audit")
    return inner(request)
audited.csrf_exempt = True
def other(request):
    write("other")
    return HttpResponse(status=500)
urlpatterns = [path("webhook", inner), path("audited", audited), path("other", other), path("async", async_webhook_view(WebhookHandler("secret")))]
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE written (text TEXT)")
client = Client()
def send(kind, path="/webhook", **more):
    body = sample_payload(kind)
    headers = {**signed_headers("secret", body), **more}
    answer = client.post(path, body, "application/json", headers=headers)
    print(answer.status_code, *written())
send("issue_new")
send("issue_reaction")
send("issue_new", "/audited", **{"X-Pylon-Signature": "0" * 64})
send("issue_reaction", "/audited")
send("issue_new", "/other")
send("issue_new")
# Django refuses async views whose requests are transactions.
print(client.get("/async").status_code, client.post("/async", b"{}", "application/json").status_code)
"""


@pytest.mark.parametrize("atomic", [True, False])
def test_where_requests_are_transactions_a_failed_handlers_writes_are_undone(atomic: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ATOMIC, str(tmp_path / "db.sqlite3"), "atomic" if atomic else "each"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    if atomic:
        assert done.stdout.splitlines() == [
            "200 issue_new",
            "500 issue_new",
            "401 issue_new audit",
            # What the view around it has written is that view's to undo.
            "500 issue_new audit audit",
            "500 issue_new audit audit other",
            "200 issue_new audit audit other issue_new",
            "405 401",
        ]
    else:
        assert done.stdout.splitlines()[1] == "500 issue_new issue_reaction"


@pytest.mark.parametrize("view", [webhook_view, async_webhook_view])
def test_a_declared_body_that_is_not_there_is_a_sender_that_hung_up(
    view: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "wsgi.input": BytesIO(),
        "CONTENT_LENGTH": "10",
        "HTTP_X_PYLON_SIGNATURE": HEADERS["X-Pylon-Signature"],
    }
    answer = view(noting([]))(WSGIRequest(environ))
    if view is async_webhook_view:
        answer = asyncio.run(answer)
    assert (answer.status_code, answer.content) == (400, b'{"error":"unreadable"}')
    assert [(record.levelname, record.name) for record in caplog.records if record.name != "asyncio"] == [
        ("WARNING", "pylon_webhooks")
    ]
