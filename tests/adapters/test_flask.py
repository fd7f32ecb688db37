"""What the table of requests cannot show of Flask's blueprint and decorator."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from functools import wraps
from io import BytesIO
from typing import Any

import pytest
from deliveries import (
    BODY,
    BROKEN,
    FORGED,
    HEADERS,
    IN_FLIGHT,
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
from flask import Flask, Response, current_app, g, has_request_context, make_response, request
from flask.views import MethodView

from pylon_webhooks import Background, Endpoint, IssueNewEvent, WebhookEvent, WebhookHandler
from pylon_webhooks.flask import verified_event, webhook_blueprint


def app_of(*blueprints: Any) -> Flask:
    app = Flask(__name__)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app


def post(
    app: Flask, path: str = "/webhook", body: bytes = BODY, headers: Any = HEADERS, **options: Any
) -> tuple[int, Any]:
    return status_and_json(app.test_client().post(path, data=body, headers=headers, **options))


def test_the_blueprint_is_at_the_path_that_it_is_given_and_below_the_prefix_that_it_is_registered_with() -> None:
    app = Flask(__name__)
    app.register_blueprint(webhook_blueprint(noting([]), "/pylon"), url_prefix="/hooks")
    assert post(app, "/hooks/pylon") == (200, {"status": "handled"})
    assert app.test_client().post("/webhook").status_code == 404


def test_two_blueprints_of_two_names_have_a_handler_each() -> None:
    first, second = list[str](), list[str]()
    app = app_of(webhook_blueprint(noting(first), "/a"), webhook_blueprint(noting(second), "/b", name="second"))
    assert post(app, "/a")[0] == post(app, "/b", OTHER, OTHER_HEADERS)[0] == 200
    assert (first, second) == (["issue_new"], ["issue_reaction"])


def test_a_head_request_is_answered_without_a_body() -> None:
    answer = app_of(webhook_blueprint(noting([]))).test_client().head("/webhook")
    assert (answer.status_code, answer.data, answer.headers["allow"]) == (405, b"", "POST, PUT, PATCH")


def test_an_async_handler_is_a_failure_that_the_log_explains(caplog: pytest.LogCaptureFixture) -> None:
    handler = WebhookHandler(SECRET)

    @handler.on_any
    async def awaiting(_: WebhookEvent) -> None: ...

    assert post(app_of(webhook_blueprint(handler))) == (500, {"error": "failed"})
    (message,) = caplog.messages
    assert "awaiting here: call `await handler.ahandle(...)`" in message


@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize(
    ("limit", "answer"),
    [
        (len(BODY) - 1, (413, {"error": "too_large"})),
        (len(BODY), (200, {"status": "handled"})),
        (len(BODY) + 1, (200, {"status": "handled"})),
    ],
)
def test_the_apps_own_limit_holds_too(
    limit: int, answer: tuple[int, Any], terminated: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_of(webhook_blueprint(noting([])))
    app.config["MAX_CONTENT_LENGTH"] = limit
    # As gunicorn has it: then Werkzeug counts up to the limit, and not up to the declared length.
    more = {"wsgi.input_terminated": True} if terminated else {}
    assert post(app, environ_overrides=more) == answer
    expected = "Pylon webhook refused: body too large: expected at most 1048576 bytes, found more"
    assert caplog.messages == ([expected] if answer[0] == 413 else [])


def test_the_apps_own_limit_holds_for_a_body_without_a_declared_length() -> None:
    app = app_of(webhook_blueprint(noting([])))
    for limit, status in [(len(BODY) - 1, 413), (len(BODY) + 1, 200)]:
        app.config["MAX_CONTENT_LENGTH"] = limit
        more = {"wsgi.input": BytesIO(BODY), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        more["CONTENT_LENGTH"] = ""
        answer = app.test_client().post("/webhook", headers=HEADERS, environ_overrides=more)
        assert answer.status_code == status


@pytest.mark.parametrize("limit", [None, len(BODY), 10_000])
@pytest.mark.parametrize("terminated", [False, True])
def test_what_was_read_and_kept_is_handled_and_what_is_gone_is_a_failure(limit: int | None, terminated: bool) -> None:
    app = app_of(*(webhook_blueprint(noting([]), f"/{name}", name=name) for name in ("read", "gone", "form", "parts")))
    app.config["MAX_CONTENT_LENGTH"] = limit

    @app.before_request
    def read() -> None:
        if request.path == "/read":
            request.get_data()
        elif request.path == "/gone":
            request.get_data(cache=False)
        else:
            _ = request.form

    more = {"environ_overrides": {"wsgi.input_terminated": True} if terminated else {}}
    form = {**HEADERS, "Content-Type": "application/x-www-form-urlencoded"}
    assert post(app, "/read", **more) == (200, {"status": "handled"})
    assert post(app, "/gone", **more) == (500, {"error": "failed"})
    assert post(app, "/form", headers=form, **more) == (500, {"error": "failed"})
    # No form, so it is not read as one.
    assert post(app, "/parts", **more) == (200, {"status": "handled"})


@pytest.mark.parametrize("error", [OSError("reset"), Exception("a server's own")], ids=repr)
def test_a_body_that_breaks_off_is_not_handled(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    class Breaking(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise error
            return super().read(20)

        def readinto(self, buffer: Any, /) -> int:
            piece = self.read()
            buffer[: len(piece)] = piece
            return len(piece)

    seen: list[str] = []
    app = app_of(webhook_blueprint(noting(seen)))
    for more in ({}, {"wsgi.input_terminated": True}):
        overrides = {"wsgi.input": Breaking(BODY), "CONTENT_LENGTH": str(len(BODY)), **more}
        answer = app.test_client().post("/webhook", headers=HEADERS, environ_overrides=overrides)
        assert status_and_json(answer) == (400, {"error": "unreadable"})
    assert seen == []
    assert caplog.messages == [BROKEN] * 2


def test_a_delivery_that_failed_is_handled_again_and_one_that_was_handled_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    handler, failing = WebhookHandler(SECRET), Failing()
    handler.on_any(failing)
    app = app_of(webhook_blueprint(guarded(handler)))
    assert [post(app) for _ in range(3)] == [
        (500, {"error": "failed"}),
        (200, {"status": "handled"}),
        (200, {"status": "duplicate"}),
    ]
    assert post(app, headers=FORGED)[0] == 401
    check_silent(caplog.messages)


def test_closing_the_endpoint_waits_for_what_was_accepted_and_answers_503_from_then_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []
    with Endpoint(noting(seen), background=Background()) as endpoint:
        app = app_of(webhook_blueprint(endpoint))
        assert post(app) == (200, {"status": "accepted"})
    assert seen == ["issue_new"]
    assert post(app) == (503, {"error": "unavailable"})
    assert caplog.messages == [SHUTTING_DOWN]


def app_with_view(handler: Any, failures: list[Exception]) -> tuple[Flask, list[str]]:
    """An app whose view takes new issues, and fails as long as there are failures left."""
    app, seen = Flask(__name__), list[str]()

    @app.post("/webhook/<tenant>")
    @verified_event(handler, IssueNewEvent)
    def webhook(event: IssueNewEvent, tenant: str) -> dict[str, str]:
        seen.append(event.event_type)
        if failures:
            raise failures.pop()
        return {"tenant": tenant}

    return app, seen


def test_an_event_of_another_class_is_answered_and_the_view_does_not_run() -> None:
    app, seen = app_with_view(WebhookHandler(SECRET), [])
    assert post(app, "/webhook/a", OTHER, OTHER_HEADERS) == (200, {"status": "ignored"})
    assert seen == []
    assert post(app, "/webhook/a") == (200, {"tenant": "a"})
    assert seen == ["issue_new"]


def test_a_view_that_fails_gets_the_delivery_again_and_one_that_ran_does_not() -> None:
    app, seen = app_with_view(guarded(WebhookHandler(SECRET)), [RuntimeError("as a view may fail")])
    assert app.test_client().post("/webhook/a", data=BODY, headers=HEADERS).status_code == 500
    assert post(app, "/webhook/a") == (200, {"tenant": "a"})
    assert post(app, "/webhook/a") == (200, {"status": "duplicate"})
    assert seen == ["issue_new"] * 2


class Taking(MethodView):
    """A view of a class, with the event as one of the keywords."""

    def post(self, **values: Any) -> dict[str, str]:
        assert isinstance(self, Taking)
        return {name: getattr(value, "event_type", value) for name, value in values.items()}


def counted(function: Any) -> Any:
    """A decorator of the app's own."""

    @wraps(function)
    def view(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return view


@pytest.mark.parametrize("around", [[], [counted]], ids=["alone", "around another"])
@pytest.mark.parametrize("within", [[], [counted]], ids=["alone", "within another"])
@pytest.mark.parametrize("init_every_request", [True, False])
def test_among_the_decorators_of_a_class_it_gives_the_event_as_a_keyword(
    around: list[Any], within: list[Any], init_every_request: bool
) -> None:
    app, guard = Flask(__name__), guarded(WebhookHandler(SECRET))
    decorators = [*around, verified_event(guard, IssueNewEvent), *within]
    view = type("View", (Taking,), {"decorators": decorators, "init_every_request": init_every_request})
    app.add_url_rule("/webhook/<tenant>", view_func=view.as_view("view"))
    assert post(app, "/webhook/a", headers=FORGED) == (401, {"error": "unauthorized"})
    assert post(app, "/webhook/a", OTHER, OTHER_HEADERS) == (200, {"status": "ignored"})
    assert post(app, "/webhook/a") == (200, {"tenant": "a", "event": "issue_new"})
    assert post(app, "/webhook/a") == (200, {"status": "duplicate"})


def test_a_method_takes_the_event_after_self() -> None:
    app, handler = Flask(__name__), WebhookHandler(SECRET)

    class Hook(MethodView):
        greeting = "from"

        @verified_event(handler)
        def post(self, event: WebhookEvent, tenant: str) -> str:
            return f"{event.event_type} {self.greeting} {tenant}"

        @classmethod
        @verified_event(handler)
        def put(cls, event: WebhookEvent, tenant: str) -> str:
            return f"{event.event_type} {cls.__name__} {tenant}"

        @staticmethod
        @verified_event(handler)
        def patch(event: WebhookEvent, tenant: str) -> str:
            return f"{event.event_type} {tenant}"

    app.add_url_rule("/<tenant>", view_func=Hook.as_view("hook"))
    # A bound method is a view like any function.
    app.add_url_rule("/bound/<tenant>", "bound", Hook().post, methods=["POST"])
    answers = [
        app.test_client().open(path, method=method, data=BODY, headers=HEADERS).text
        for path, method in [("/a", "POST"), ("/a", "PUT"), ("/a", "PATCH"), ("/bound/b", "POST")]
    ]
    assert answers == ["issue_new from a", "issue_new Hook a", "issue_new a", "issue_new from b"]


@pytest.mark.parametrize("more", [{}, {"wsgi.input_terminated": True}], ids=["declared", "terminated"])
@pytest.mark.parametrize("limit", [None, len(BODY)])
def test_the_body_is_there_for_the_view_and_for_another_decorator(limit: int | None, more: dict[str, Any]) -> None:
    app, handler = Flask(__name__), WebhookHandler(SECRET)
    app.config["MAX_CONTENT_LENGTH"] = limit

    @app.post("/webhook")
    @verified_event(handler)
    @verified_event(WebhookHandler(SECRET), IssueNewEvent)
    def webhook(issue: IssueNewEvent, event: WebhookEvent) -> list[Any]:
        assert issue == event
        return [request.get_json()["event_type"], len(request.get_data()), len(issue.raw)]

    app.register_blueprint(webhook_blueprint(handler, "/routed"))
    after: list[bytes] = []

    @app.teardown_request
    def look(_: Any) -> None:
        after.append(request.get_data())

    assert post(app, environ_overrides=more) == (200, ["issue_new", len(BODY), len(BODY)])
    assert post(app, "/routed", environ_overrides=more) == (200, {"status": "handled"})
    assert after == [BODY] * 2


@pytest.mark.parametrize("limit", [None, len(BODY), len(BODY) - 1])
def test_a_chunked_body_that_nginx_has_buffered_for_uwsgi_is_read(limit: int | None) -> None:
    # nginx hands on both headers, and Werkzeug gives no body then.
    app = app_of(webhook_blueprint(noting([])))
    app.config["MAX_CONTENT_LENGTH"] = limit
    more = {"wsgi.input": BytesIO(BODY), "CONTENT_LENGTH": str(len(BODY)), "HTTP_TRANSFER_ENCODING": "chunked"}
    answer = app.test_client().post("/webhook", headers=HEADERS, environ_overrides=more)
    assert answer.status_code == (413 if limit == len(BODY) - 1 else 200)


def test_where_a_background_would_run_nothing_the_decorator_refuses_it() -> None:
    endpoint = Endpoint(WebhookHandler(SECRET), background=Background())
    with pytest.raises(TypeError, match="a background runs registered handlers, not a function"):
        verified_event(endpoint)


def test_the_view_keeps_its_name_so_that_two_of_them_are_two_endpoints() -> None:
    app, handler = Flask(__name__), WebhookHandler(SECRET)

    def first(event: WebhookEvent) -> str:
        return f"first {event.event_type}"

    def second(event: WebhookEvent) -> str:
        return f"second {event.event_type}"

    app.post("/first")(verified_event(handler)(first))
    app.post("/second")(verified_event(handler)(second))
    assert app.test_client().post("/second", data=BODY, headers=HEADERS).text == "second issue_new"


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (("x", 503), True),
        (("x", "500 Oh no"), True),
        (lambda: make_response("x", 500), True),
        (lambda: Response("x", 599), True),
        (("x", 499), False),
        (("x", 302, {"Location": "/"}), False),
        ({"status": 500}, False),
        ("", False),
    ],
    ids=str,
)
def test_a_view_that_answers_500_or_more_gets_the_delivery_again(answer: Any, again: bool) -> None:
    app, seen = Flask(__name__), list[str]()

    @app.post("/webhook")
    @verified_event(guarded(WebhookHandler(SECRET)))
    def webhook(event: WebhookEvent) -> Any:
        seen.append(event.event_type)
        return answer() if callable(answer) else answer

    client = app.test_client()
    first = client.post("/webhook", data=BODY, headers=HEADERS)
    second = client.post("/webhook", data=BODY, headers=HEADERS)
    assert len(seen) == 1 + again
    if again:
        assert (second.status_code, second.data) == (first.status_code, first.data)
    else:
        assert status_and_json(second) == (200, {"status": "duplicate"})


def test_a_view_may_be_async_where_flask_runs_such_views() -> None:
    app = Flask(__name__)

    def ensure_sync(function: Any) -> Any:
        # As Flask does where its extra of that name is installed.
        return (lambda *args: asyncio.run(function(*args))) if inspect.iscoroutinefunction(function) else function

    app.ensure_sync = ensure_sync  # type: ignore[method-assign]

    @app.post("/webhook")
    @verified_event(WebhookHandler(SECRET))
    async def webhook(event: WebhookEvent) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"id": event.event_type}

    assert post(app) == (200, {"id": "issue_new"})


def test_a_copy_that_comes_while_the_view_runs_is_turned_away(caplog: pytest.LogCaptureFixture) -> None:
    app, answers = Flask(__name__), list[tuple[int, Any]]()

    @app.post("/webhook")
    @verified_event(guarded(WebhookHandler(SECRET)))
    def webhook(event: WebhookEvent) -> tuple[dict[str, str], int]:
        answers.append(post(app))
        return {"id": event.event_type}, 201

    assert post(app) == (201, {"id": "issue_new"})
    assert post(app) == (200, {"status": "duplicate"})
    assert answers == [(503, {"error": "unavailable"})]
    assert caplog.messages == [IN_FLIGHT]


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_in_the_background_handlers_have_the_app_and_no_request(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    handler, happened = WebhookHandler(SECRET), list[str]()

    def use(event: WebhookEvent) -> None:
        happened.append(f"{current_app.name} {event.event_type} {has_request_context()} {g.get('of_request')}")
        g.of_request = "set by a handler"

    async def use_async(event: WebhookEvent) -> None:
        use(event)

    handler.on_any(use_async if is_async else use)

    endpoint = Endpoint(handler, background=Background(workers=1))
    app = app_of(webhook_blueprint(endpoint))
    requests = 0

    @app.before_request
    def note() -> None:
        nonlocal requests
        requests += 1
        g.of_request = "set by a request"

    @app.teardown_appcontext
    def end(_: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            happened.append("teardown")

    with endpoint:
        assert post(app) == post(app, "/webhook", OTHER, OTHER_HEADERS) == (200, {"status": "accepted"})
    assert requests == 2
    name = app.name
    assert happened == [
        f"{name} issue_new False None",
        "teardown",
        f"{name} issue_reaction False None",
        "teardown",
    ]
    assert caplog.messages == []
