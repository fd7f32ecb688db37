"""What the package gives to other people's tests."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pylon_webhooks import (
    BaseIssueEvent,
    Endpoint,
    Outcome,
    PylonWebhookNameWarning,
    PylonWebhookPayloadError,
    ReplayGuard,
    UnknownEvent,
    WebhookEvent,
    WebhookHandler,
    names_match,
    parse_webhook_event,
)
from pylon_webhooks import testing as package
from pylon_webhooks.asgi import webhook_app
from pylon_webhooks.flask import webhook_blueprint
from pylon_webhooks.starlette import webhook_route
from pylon_webhooks.testing import (
    ABSENT,
    KINDS,
    FixedClock,
    WebhookRequest,
    sample_event,
    sample_payload,
    sign,
    signed_headers,
    strategies,
)
from pylon_webhooks.wsgi import webhook_app as wsgi_app

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester", "pylon_webhooks.testing.pytest_plugin"]

SECRET = "your-webhook-secret"
NOW = 1_700_000_000
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "signatures.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_of_its_kind_and_without_problems(kind: str) -> None:
    body = sample_payload(kind)
    event = parse_webhook_event(body)
    assert (event.kind, event.event_type, event.problems, event.extra) == (kind, kind, [], {})
    assert sample_event(kind) == event
    filled = [name for name in event.__match_args__ if getattr(event, name) not in ("", None, [])]
    assert {*event.__match_args__} - {*filled} <= {"issue_sf_type", "issue_salesforce_account_id"}
    # A test that fails should fail again.
    assert sample_payload(kind) == body


def test_the_kinds_are_all_that_are_typed() -> None:
    assert len({type(sample_event(kind)) for kind in KINDS}) == len(KINDS) == 7
    assert sample_payload() == sample_payload("issue_new")
    assert sample_event() == sample_event("issue_new")


@pytest.mark.parametrize("name", ["Issue.New", " issue new ", "ISSUE-NEW", "issue_new"])
def test_a_kind_is_found_by_any_spelling(name: str) -> None:
    assert names_match(name, "issue_new")
    assert sample_payload(name) == sample_payload("issue_new")


@pytest.mark.parametrize("name", ["ticket.created", "account.merged", "", "a\nb", "\u00e9", '"', "x" * 1000])
def test_an_unknown_kind_has_its_name_and_the_overrides(name: str) -> None:
    body = sample_payload(name, title="Printer", n=1)
    assert json.loads(body) == {"event_type": name, "title": "Printer", "n": 1}
    event = sample_event(name)
    assert (type(event), event.event_type) == (UnknownEvent, name)


@pytest.mark.parametrize("kind", [None, 1, b"issue_new", ["issue_new"]], ids=repr)
def test_a_kind_is_text(kind: Any) -> None:
    with pytest.raises(TypeError):
        sample_payload(kind)
    with pytest.raises(TypeError):
        sample_event(kind)


def test_overrides_replace_add_and_leave_out() -> None:
    event: Any = sample_event(
        "issue_new",
        issue_title='"Export" \U0001f600\n',
        issue_number=7,
        issue_status=None,
        issue_link=ABSENT,
        region="eu",
    )
    assert (event.issue_title, event.issue_number, event.issue_status) == ('"Export" \U0001f600\n', 7, "")
    assert "issue_link" not in event.payload
    assert event.extra == {"region": "eu"}
    assert list(event.payload)[:2] == ["event_type", "issue_id"]
    assert repr(ABSENT) == "ABSENT"


def test_overrides_may_bear_the_names_of_parameters() -> None:
    assert json.loads(sample_payload("x", kind="k", self="s", overrides="o", secret="t")) == {
        "event_type": "x",
        "kind": "k",
        "self": "s",
        "overrides": "o",
        "secret": "t",
    }
    assert sample_event("issue_new", kind="of hardware").extra == {"kind": "of hardware"}


def test_the_name_itself_can_be_overridden_or_left_out() -> None:
    assert type(sample_event("issue_new", event_type="ticket.created")) is UnknownEvent
    assert sample_event("issue_new", event_type=ABSENT).event_type == ""


@pytest.mark.parametrize("value", [object(), b"bytes", {1}, float("nan"), float("inf"), "\ud800"], ids=repr)
def test_an_override_that_json_has_no_form_for_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        sample_payload("issue_new", x=value)


@pytest.mark.parametrize(
    "case",
    [case for case in VECTORS if case["expect"].get("ok") and {"body", "secrets"} <= {*case}],
    ids=lambda case: case["id"],
)
def test_signed_headers_are_those_of_the_vectors(case: Any) -> None:
    timestamp = case["timestamp"]
    # Of several secrets, one signed it.
    expected = {"X-Pylon-Signature": case["signature"].strip().lower().removeprefix("sha256=")}
    if timestamp is not None:
        expected["X-Pylon-Timestamp"] = timestamp
    # In the vectors' words: there may be white space around a number, and zeros before it.
    made = [signed_headers(secret, case["body"].encode(), timestamp) for secret in case["secrets"]]
    assert expected in made


def test_signed_headers_of_literals() -> None:
    assert signed_headers("test-secret", b'{"id":"1"}') == {
        "X-Pylon-Signature": "b6ee61d26a3494ddc3437b55028299a9c39956dfdcf623629b0b1f7d0c64baf1"
    }
    assert signed_headers(b"test-secret", b'{"id":"1"}', 0)["X-Pylon-Timestamp"] == "0"
    with pytest.raises(ValueError, match=r"^a secret is empty, or only white space and quotes, so anyone could sign: "):
        signed_headers("", b"{}")
    with pytest.raises(PylonWebhookPayloadError):
        signed_headers("secret", {})  # type: ignore[arg-type]


def test_a_request_has_what_a_client_needs() -> None:
    body = sample_payload()
    request = WebhookRequest(
        body, secret=SECRET, timestamp=NOW, path="/hooks/pylon", method="PUT", headers={"X-More": "1"}
    )
    assert (request.method, request.path, request.body) == ("PUT", "/hooks/pylon", body)
    assert request.headers == {
        "Content-Type": "application/json",
        **signed_headers(SECRET, body, NOW),
        "X-More": "1",
    }
    assert repr(request) == f"<WebhookRequest PUT /hooks/pylon, {len(body)} bytes>"
    plain = WebhookRequest(body)
    assert (plain.method, plain.path, plain.headers) == ("POST", "/webhook", {"Content-Type": "application/json"})


def test_the_headers_that_are_given_go_before_those_that_are_made() -> None:
    request = WebhookRequest(
        b"{}", secret=SECRET, headers={"X-Pylon-Signature": "forged", "Content-Type": "text/plain"}
    )
    assert request.headers == {"Content-Type": "text/plain", "X-Pylon-Signature": "forged"}


def test_a_timestamp_without_a_secret_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a timestamp is signed with the body: ") as caught:
        WebhookRequest(b"{}", timestamp=NOW)
    assert str(caught.value) == (
        "a timestamp is signed with the body: pass a secret too, or put the header among `headers`"
    )


def test_a_request_of_text_is_sent_as_its_utf8() -> None:
    request, same = (WebhookRequest(body, secret=SECRET, timestamp=NOW) for body in ("Zo\u00eb", "Zo\u00eb".encode()))
    assert (request.body, request.headers) == (same.body, same.headers)
    assert signed_headers(SECRET, "Zo\u00eb") == signed_headers(SECRET, bytearray("Zo\u00eb".encode()))


def test_no_request_shows_its_secret() -> None:
    request = WebhookRequest(b"{}", secret=SECRET)
    assert SECRET not in f"{request!r} {vars(request)}"


# How requests are sent to an app under test, each with the client that its framework's users have.


def by_flask(handler: WebhookHandler) -> Any:
    app = Flask(__name__)
    app.register_blueprint(webhook_blueprint(handler))
    client = app.test_client()

    def send(request: WebhookRequest) -> tuple[int, Any]:
        answer = client.post(request.path, data=request.body, headers=request.headers)
        return answer.status_code, answer.get_json()

    return send


def by_starlette(handler: WebhookHandler) -> Any:
    client = TestClient(Starlette(routes=[webhook_route(handler)]))

    def send(request: WebhookRequest) -> tuple[int, Any]:
        answer = client.post(request.path, content=request.body, headers=request.headers)
        return answer.status_code, answer.json()

    return send


def by_httpx_asgi(handler: WebhookHandler) -> Any:
    app = webhook_app(handler)

    async def ask(request: WebhookRequest) -> tuple[int, Any]:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.request(request.method, request.path, content=request.body, headers=request.headers)
            return answer.status_code, answer.json()

    return lambda request: asyncio.run(ask(request))


def by_httpx_wsgi(handler: WebhookHandler) -> Any:
    client = httpx.Client(transport=httpx.WSGITransport(wsgi_app(handler)), base_url="http://test")

    def send(request: WebhookRequest) -> tuple[int, Any]:
        answer = client.request(request.method, request.path, content=request.body, headers=request.headers)
        return answer.status_code, answer.json()

    return send


@pytest.mark.parametrize("client", [by_flask, by_starlette, by_httpx_asgi, by_httpx_wsgi])
def test_requests_are_sent_as_they_are_by_the_clients_of_frameworks(client: Any) -> None:
    clock = FixedClock(NOW)
    handler = WebhookHandler(SECRET, clock=clock)
    seen: list[bytes] = []
    handler.on_any(lambda event: seen.append(event.raw))
    send = client(handler)
    body = sample_payload("issue_new", issue_title='"Export" \U0001f600\r\n')
    assert send(WebhookRequest(body, secret=SECRET)) == (200, {"status": "handled"})
    assert send(WebhookRequest(body, secret=SECRET, timestamp=NOW)) == (200, {"status": "handled"})
    assert seen == [body, body]
    refused = 401, {"error": "unauthorized"}
    assert send(WebhookRequest(body)) == refused
    assert send(WebhookRequest(body, secret="another")) == refused
    assert send(WebhookRequest(body, secret=SECRET, headers={"X-Pylon-Timestamp": str(NOW)})) == refused
    clock.advance(301)
    assert send(WebhookRequest(body, secret=SECRET, timestamp=NOW)) == refused
    clock.advance(-1)
    assert send(WebhookRequest(body, secret=SECRET, timestamp=NOW)) == (200, {"status": "handled"})
    assert send(WebhookRequest(b"{", secret=SECRET)) == (400, {"error": "unreadable"})
    assert len(seen) == 3


def test_a_clock_stands_still_until_it_is_moved() -> None:
    clock = FixedClock(NOW)
    assert [clock(), clock()] == [NOW, NOW]
    clock.advance(60)
    clock.advance(-1)
    assert clock() == NOW + 59
    clock.unix_seconds = 5
    assert clock() == 5


@given(strategies.payloads())
def test_every_payload_of_the_strategies_is_handled(payload: bytes) -> None:
    handler = WebhookHandler(SECRET)

    @handler.on(BaseIssueEvent)
    def read_all(event: BaseIssueEvent) -> BaseIssueEvent:
        for name in event.__match_args__:
            getattr(event, name)
        event.model_dump_json()
        return event

    (event,) = handler.handle(payload, sign(SECRET, payload))
    assert event.raw == payload
    assert event.kind in KINDS


@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), strategies.payloads(kind))))
def test_payloads_of_one_kind_are_of_that_kind(drawn: tuple[str, bytes]) -> None:
    kind, payload = drawn
    event = parse_webhook_event(payload)
    assert (event.kind, event.event_type, event.raw) == (kind, kind, payload)
    assert type(event) is type(sample_event(kind))


@given(strategies.events("issue_message_new"))
def test_events_are_of_their_kind_and_can_be_dispatched(event: WebhookEvent) -> None:
    assert event.kind == "issue_message_new"
    handler = WebhookHandler(SECRET)
    handler.on_any(lambda event: event)
    assert handler.dispatch(event) == [event]


@given(strategies.requests(SECRET))
def test_requests_of_the_strategies_are_answered_200(request: WebhookRequest) -> None:
    endpoint = Endpoint(WebhookHandler(SECRET), replay_guard=ReplayGuard.pointer("/issue_id"))
    assert endpoint.respond(request.method, request.headers, request.body) == Outcome.HANDLED


@given(strategies.kinds(), strategies.values())
def test_kinds_and_values_go_into_samples(kind: str, value: Any) -> None:
    assert sample_event(kind, issue_title=value).kind == kind


def test_other_names_are_said_to_be_unknown() -> None:
    with pytest.raises(AttributeError, match=r"^module 'pylon_webhooks\.testing' has no attribute 'strategy'$"):
        package.strategy  # noqa: B018 - the reading is what fails
    assert package.strategies is strategies
    assert {*package.__all__} <= {*dir(package)}


PLUGIN_TEST = """
def test_of_an_app(pylon_secret, pylon_clock, pylon_request, pylon_event):
    from pylon_webhooks import Endpoint, WebhookHandler
    handler = WebhookHandler(pylon_secret, clock=pylon_clock)
    endpoint = Endpoint(handler)
    request = pylon_request("issue_new", issue_title="Export fails", kind="k")
    assert endpoint.respond(request.method, request.headers, request.body).name == "handled"
    request = pylon_request(timestamp=pylon_clock())
    assert endpoint.respond(request.method, request.headers, request.body).name == "handled"
    pylon_clock.advance(301)
    assert endpoint.respond(request.method, request.headers, request.body).name == "unauthorized"
    assert pylon_event("issue_reaction").kind == "issue_reaction"
    assert (pylon_secret, pylon_clock()) == (SECRET, 1_700_000_301)
"""


@pytest.fixture
def apps(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder for an app's own tests; they run in a process of their own, and what is installed here is there."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(Path(path).absolute()) for path in sys.path))
    # What else is installed takes long to load.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester


def test_the_plugin_gives_its_fixtures_to_who_names_it(apps: pytest.Pytester) -> None:
    apps.makeconftest('pytest_plugins = ["pylon_webhooks.testing.pytest_plugin"]')
    apps.makepyfile('SECRET = "your-webhook-secret"\n' + PLUGIN_TEST)
    apps.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error").assert_outcomes(passed=1)


def test_the_plugin_signs_with_the_secret_of_the_app(apps: pytest.Pytester) -> None:
    apps.makeconftest(
        """
        import pytest
        pytest_plugins = ["pylon_webhooks.testing.pytest_plugin"]

        @pytest.fixture
        def pylon_secret():
            return "the app's own"
        """
    )
    apps.makepyfile('SECRET = "the app\'s own"\n' + PLUGIN_TEST)
    apps.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error").assert_outcomes(passed=1)


def test_the_plugin_is_not_there_unless_it_is_named(apps: pytest.Pytester) -> None:
    apps.makepyfile("def test_it(pylon_secret): ...\ndef test_other(): ...")
    result = apps.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*fixture 'pylon_secret' not found*"])


def run(code: str) -> str:
    """What a process of this code prints; it has the same packages as this one."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path)}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.strip()


def test_both_import_paths_lead_to_one_module() -> None:
    code = """
import pylon.webhooks.testing as alias
from pylon.webhooks.testing import FixedClock, strategies
from pylon.webhooks.testing.strategies import payloads
import pylon_webhooks.testing, pylon_webhooks.testing.strategies
print(
    alias is pylon_webhooks.testing,
    FixedClock is pylon_webhooks.testing.FixedClock,
    strategies is pylon_webhooks.testing.strategies,
    payloads is strategies.payloads,
    FixedClock.__module__,
)
"""
    assert run(code) == "True True True True pylon_webhooks.testing"


MISSING = "this module needs hypothesis: install hypothesis, or this package with the extra [testing]"


@pytest.mark.parametrize(
    "statement",
    [
        "import pylon_webhooks.testing.strategies",
        "from pylon_webhooks.testing import strategies",
        "from pylon_webhooks.testing.strategies import payloads",
        "import pylon_webhooks.testing; pylon_webhooks.testing.strategies",
    ],
)
def test_strategies_without_hypothesis_say_what_to_install(statement: str) -> None:
    code = f"""
import sys
sys.modules["hypothesis"] = None
import pylon_webhooks.testing
pylon_webhooks.testing.sample_payload()
try:
    {statement}
except ModuleNotFoundError as error:
    print(error.name, "|", *error.__notes__)
"""
    assert run(code) == f"hypothesis | {MISSING}"


def test_a_package_that_hypothesis_itself_lacks_is_named_as_it_is() -> None:
    code = """
import sys
sys.modules["sortedcontainers"] = None
sys.modules["attr"] = None
try:
    import pylon_webhooks.testing.strategies
except ModuleNotFoundError as error:
    print(error.name != "hypothesis", "pip install" in str(error))
else:
    print(True, False)
"""
    assert run(code) == "True False"


#: A name that is none of a kind, and what the kit says of it.
SLIPS = {
    "isue_new": "Pylon is unlikely to send an event named 'isue_new'; did you mean 'issue_new'?",
    "message_new": "Pylon is unlikely to send an event named 'message_new'; did you mean 'issue_message_new'?",
    "MessageNew": "Pylon is unlikely to send an event named 'MessageNew'; did you mean 'issue_message_new'?",
    "issue_state_changed": "Pylon is unlikely to send an event named 'issue_state_changed'; did you mean 'issue_status_changed'?",
    "issue.created": (
        "no typed event is named 'issue.created', so the payload has nothing but its event_type; for the payload of a typed event, "
        "pass its kind and the name: sample_payload(\"issue_new\", event_type='issue.created')"
    ),
    "message_deleted": (
        "no typed event is named 'message_deleted', so the payload has nothing but its event_type; for the payload of a typed "
        "event, pass its kind and the name: sample_payload(\"issue_new\", event_type='message_deleted')"
    ),
}


@pytest.mark.parametrize(("name", "told"), SLIPS.items())
def test_a_slip_in_a_kinds_name_is_warned_of_where_it_was_made(
    name: str, told: str, pylon_request: Callable[..., WebhookRequest], pylon_event: Callable[..., WebhookEvent]
) -> None:
    for make in (sample_payload, sample_event, pylon_request, pylon_event):
        with pytest.warns(PylonWebhookNameWarning) as warned:
            make(name)
        assert [str(warning.message) for warning in warned] == [told]
        assert warned[0].filename == __file__
    with pytest.warns(PylonWebhookNameWarning):
        assert sample_payload("isue_new") == b'{"event_type":"isue_new"}'


def test_an_own_name_with_an_own_payload_is_no_slip() -> None:
    # Warnings are errors here.
    assert json.loads(sample_payload("issue.created", title="Printer")) == {
        "event_type": "issue.created",
        "title": "Printer",
    }
    assert sample_payload("ticket.created") == b'{"event_type":"ticket.created"}'


@pytest.mark.parametrize("name", ["MessageNewEvent", "IssueMessageNewEvent", "issue_message_new"])
def test_a_class_or_its_kind_names_a_payload(name: str, pylon_request: Callable[..., WebhookRequest]) -> None:
    assert sample_payload(name) == pylon_request(name).body == sample_payload("issue_message_new")


@given(data=st.data())
def test_strategies_take_a_name_of_ones_own(data: st.DataObject) -> None:
    assert parse_webhook_event(data.draw(strategies.payloads("ticket.created"))).event_type == "ticket.created"
