"""The function for AWS Lambda answers events of every kind of gateway as the table says."""

from __future__ import annotations

import base64
import gc
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from wire import CASES, TABLE, body_of

from pylon_webhooks import Background, Endpoint, ReplayGuard, WebhookEvent, WebhookHandler
from pylon_webhooks.aws_lambda import webhook_function

if TYPE_CHECKING:
    from collections.abc import Callable

    Case = dict[str, Any]
    Event = dict[str, Any]

#: A body that is declared and not sent never becomes an event; how it is cut on the way, no event shows.
SENT = {name: case for name, case in CASES.items() if not isinstance(case.get("transfer"), dict)}
NO_EVENT = "expected an event of API Gateway (1.0 or 2.0), a function URL or a load balancer, found another object"


def joined(case: Case, *, lower: bool = False) -> dict[str, str]:
    """One text a name, as format 2.0 has it."""
    headers: dict[str, str] = {}
    for name, value in case["headers"]:
        key = name.lower() if lower else name
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    return headers


def last(case: Case) -> dict[str, str]:
    """The last value of each name, as the formats without several values have it."""
    return {name: value for name, value in case["headers"]}


def several(case: Case) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in case["headers"]:
        headers.setdefault(name, []).append(value)
    return headers


def version_1(case: Case, body: Event) -> Event:
    return {
        "version": "1.0",
        "resource": "/webhook",
        "path": "/webhook",
        "httpMethod": case["method"],
        "headers": last(case) or None,
        "multiValueHeaders": several(case) or None,
        "queryStringParameters": None,
        "requestContext": {"httpMethod": case["method"], "path": "/prod/webhook", "stage": "prod"},
        **body,
    }


def version_2(case: Case, body: Event) -> Event:
    # There, and at function URLs, an absent body has no key.
    body = {key: value for key, value in body.items() if value is not None}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/webhook",
        "rawQueryString": "",
        "headers": joined(case, lower=True),
        "requestContext": {"http": {"method": case["method"], "path": "/webhook", "protocol": "HTTP/1.1"}},
        **body,
    }


def function_url(case: Case, body: Event) -> Event:
    event = version_2(case, body)
    event["requestContext"]["domainName"] = "abc.lambda-url.eu-west-1.on.aws"
    return event


def balancer(case: Case, body: Event) -> Event:
    elb = {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/a/b"}}
    # A load balancer gives a text in any case.
    body = {**body, "body": body["body"] or ""}
    return {"requestContext": elb, "httpMethod": case["method"], "path": "/webhook", "headers": last(case), **body}


def balancer_several(case: Case, body: Event) -> Event:
    event = balancer(case, body)
    del event["headers"]
    return {**event, "multiValueHeaders": several(case)}


EVENTS: list[Callable[[Case, Event], Event]] = [version_1, version_2, function_url, balancer, balancer_several]


def as_base64(case: Case) -> Event:
    body = body_of(case)
    return {"body": None if body is None else base64.b64encode(body).decode(), "isBase64Encoded": body is not None}


def as_text(case: Case) -> Event | None:
    body = body_of(case)
    try:
        return {"body": None if body is None else body.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return None


def new_handler(seen: list[str], *, awaits: bool = False) -> WebhookHandler:
    handler = WebhookHandler(TABLE["secret"], clock=lambda: TABLE["now"])

    async def note(event: WebhookEvent) -> None:
        seen.append(event.event_type)

    handler.on_any(note if awaits else lambda event: seen.append(event.event_type))

    @handler.on("raise_value_error")
    def fail_by_value(_: WebhookEvent) -> None:
        raise ValueError

    @handler.on("raise_error")
    def fail(_: WebhookEvent) -> None:
        raise RuntimeError

    return handler


@pytest.mark.parametrize("awaits", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("encode", [as_base64, as_text])
@pytest.mark.parametrize("event_of", EVENTS)
@pytest.mark.parametrize("name", SENT)
def test_every_request_is_answered_as_the_table_says(
    name: str, event_of: Callable[[Case, Event], Event], encode: Callable[[Case], Event | None], awaits: bool
) -> None:
    case, expect, seen = SENT[name], SENT[name]["expect"], list[str]()
    body = encode(case)
    if body is None:
        # AWS gives no text for what is none.
        assert "body_base64" in case
        return
    if name == "signature_repeated" and event_of is balancer:
        # A load balancer drops all but the last of a name, and nobody can know.
        expect = CASES["valid"]["expect"]
    if name == "signature_repeated_forged_first" and event_of is balancer:
        expect = CASES["valid"]["expect"]
    event = event_of(case, body)
    before = json.dumps(event)
    answer = webhook_function(new_handler(seen, awaits=awaits))(event, None)
    assert json.dumps(event) == before
    headers = {"content-type": "application/json"}
    if "allow" in expect:
        headers["allow"] = expect["allow"]
    names = {"headers": headers}
    if event_of is balancer_several:
        names = {"multiValueHeaders": {name: [value] for name, value in headers.items()}}
    said = json.loads(answer.pop("body")) if expect["answer"] is not None else answer.pop("body") or None
    assert said == expect["answer"]
    assert answer == {"statusCode": expect["status"], **names, "isBase64Encoded": False}
    assert seen == expect["handled"]


def test_a_length_that_was_true_before_aws_made_the_body_text_is_not_compared() -> None:
    # What is declared is the compressed body's, or that of the request to the gateway.
    seen: list[str] = []
    event = version_2(CASES["valid"], as_base64(CASES["valid"]))
    event["headers"]["content-length"] = "7"
    assert webhook_function(new_handler(seen))(event, None)["statusCode"] == 200
    assert seen == ["issue_new"]


@pytest.mark.parametrize("text", ["not base64!", "e30", "é"])
def test_what_is_no_base64_is_a_body_that_did_not_arrive(text: str, caplog: pytest.LogCaptureFixture) -> None:
    event = version_2(CASES["valid"], {"body": text, "isBase64Encoded": True})
    answer = webhook_function(new_handler([]))(event, None)
    assert (answer["statusCode"], answer["body"]) == (400, '{"error":"unreadable"}')
    assert caplog.messages == [
        "Pylon webhook refused: incomplete body: the connection closed before the end of the body"
    ]


@pytest.mark.parametrize(
    "event",
    [
        {},
        None,
        [],
        "POST",
        {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
        {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}},
        {"requestContext": {"http": {}}},
        {"requestContext": None},
        {"requestContext": {"http": None}},
        {"httpMethod": "POST", "headers": ["X-Pylon-Signature"]},
        {"httpMethod": "POST", "headers": {1: "a"}},
        {"httpMethod": ["POST"], "headers": {}},
        {"requestContext": {"http": {"method": 1}}, "headers": {}},
    ],
    ids=repr,
)
def test_an_event_of_another_service_is_a_mistake_that_is_told(event: Any) -> None:
    with pytest.raises(TypeError) as caught:
        webhook_function(new_handler([]))(event, None)
    assert str(caught.value) == NO_EVENT
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("body", [5, {"event_type": "issue_new"}, ["{}"], b"{}"], ids=repr)
@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_that_is_no_text_is_of_no_such_event(body: Any, encoded: bool) -> None:
    event = version_2(CASES["valid"], {"body": body, "isBase64Encoded": encoded})
    with pytest.raises(TypeError) as caught:
        webhook_function(new_handler([]))(event, None)
    assert str(caught.value) == NO_EVENT


def test_a_background_is_refused_where_the_process_is_frozen_after_the_answer() -> None:
    endpoint = Endpoint(new_handler([]), background=Background())
    with pytest.raises(TypeError) as caught:
        webhook_function(endpoint)
    assert str(caught.value) == (
        "Lambda freezes the process after the answer, and the background with it: send the event to a queue "
        "in a handler instead"
    )


def test_async_handlers_run_in_one_event_loop_from_call_to_call() -> None:
    import asyncio

    handler, loops = new_handler([]), Counter[int]()

    @handler.on_any
    async def count(_: WebhookEvent) -> None:
        loops[id(asyncio.get_running_loop())] += 1

    function = webhook_function(handler)
    for _ in range(3):
        assert function(version_2(CASES["valid"], as_text(CASES["valid"]) or {}), None)["statusCode"] == 200
    assert [*loops.values()] == [3]


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_function_that_is_dropped_leaves_no_event_loop_behind() -> None:
    function = webhook_function(new_handler([], awaits=True))
    function(version_2(CASES["valid"], as_text(CASES["valid"]) or {}), None)
    del function
    gc.collect()


def test_a_store_that_is_async_works_with_plain_handlers() -> None:
    import asyncio

    class Store:
        """As clients of databases are: of one event loop."""

        def __init__(self) -> None:
            self.keys: set[str] = set()
            self.loops: set[object] = set()

        async def first_seen(self, key: str, expires: int | None) -> bool:
            self.loops.add(asyncio.get_running_loop())
            is_new = key not in self.keys
            self.keys.add(key)
            return is_new

        async def forget(self, key: str) -> None:
            self.loops.add(asyncio.get_running_loop())
            self.keys.remove(key)

    store, seen = Store(), list[str]()
    failures = [RuntimeError("as a handler may fail")]
    handler = new_handler(seen)

    @handler.on_any
    def fail(_: WebhookEvent) -> None:
        if failures:
            raise failures.pop()

    endpoint = Endpoint(handler, replay_guard=ReplayGuard.exact_request(store=store))
    assert endpoint.is_async
    assert not handler.is_async
    assert not Endpoint(handler, replay_guard=ReplayGuard.exact_request()).is_async
    function = webhook_function(endpoint)
    event = version_2(CASES["valid"], as_text(CASES["valid"]) or {})
    answers = [json.loads(function(event, None)["body"]) for _ in range(3)]
    assert answers == [{"error": "failed"}, {"status": "handled"}, {"status": "duplicate"}]
    assert seen == ["issue_new"] * 2
    assert len(store.loops) == 1
