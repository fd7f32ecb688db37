"""No text that ends in a log ever holds a secret, an expected signature, or what a body or header said."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import traceback
import warnings
from io import StringIO
from typing import Any

import pytest

from pylon_webhooks import (
    Background,
    Endpoint,
    IssueNewEvent,
    Outcome,
    PylonWebhookHandlerErrors,
    PylonWebhookPayloadError,
    ReplayGuard,
    WebhookHandler,
    parse_webhook_event,
    sign,
)
from pylon_webhooks.testing import WebhookRequest

SECRET = "whisper-9f3c"
OLD_SECRET = "murmur-51aa"
TITLE = "customer-title-77"
BODY = b'{"event_type": "issue_new", "issue_id": "i1", "issue_title": "customer-title-77", "issue_body": "customer-body-78"}'
NO_JSON = b'{"issue_title": "customer-title-77" "issue_body": "customer-body-78"}'
HIDDEN = [SECRET, OLD_SECRET, TITLE, "customer-body-78"]
NOW = 1_700_000_000


def make(**options: Any) -> WebhookHandler:
    return WebhookHandler([SECRET, OLD_SECRET], clock=lambda: NOW, **options)


def assert_silent(text: str, *more: str) -> None:
    """That the text shows none of what is hidden, signatures of these bodies included."""
    signatures = [
        sign(secret, body, timestamp)
        for secret in (SECRET, OLD_SECRET)
        for body in (BODY, NO_JSON)
        for timestamp in (None, str(NOW), str(NOW - 301), str(NOW + 301))
    ]
    found = [hidden for hidden in [*HIDDEN, *signatures, *more] if hidden.lower() in text.lower()]
    assert found == []


# Arguments that are refused; what the headers said is hidden too.
REFUSED: dict[str, tuple[Any, ...]] = {
    "nothing": (BODY, None),
    "forged": (BODY, "ab" * 32),
    "forged with a timestamp": (BODY, "ab" * 32, str(NOW)),
    "uppercase prefix": (BODY, "SHA256=" + "ab" * 32),
    "text in place of a signature": (BODY, "header-says-this"),
    "text in place of a timestamp": (BODY, "ab" * 32, "header-says-this"),
    "stale": (BODY, sign(SECRET, BODY, str(NOW - 301)), str(NOW - 301)),
    "future": (BODY, sign(OLD_SECRET, BODY, str(NOW + 301)), str(NOW + 301)),
    "no JSON": (NO_JSON, sign(SECRET, NO_JSON)),
    "text for a body": (BODY.decode(), sign(SECRET, NO_JSON)),
    "text with a lone surrogate for a body": (f"{BODY.decode()}\ud800", sign(SECRET, BODY)),
    "a parsed body": ({"issue_title": TITLE}, sign(SECRET, BODY)),
    "headers of text": (BODY, {"X-Pylon-Signature": "header-says-this"}),
    "headers of another type": (BODY, {"X-Pylon-Signature": {"a": "header-says-this"}}),
}


def check_error(error: BaseException) -> None:
    shown = "".join(traceback.format_exception(error))
    # A traceback shows lines of this file and of the package, and those hold no values.
    assert_silent(f"{error} {error!r} {shown}", "header-says-this", "ab" * 32)


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_no_refusal_shows_what_it_was_about(arguments: tuple[Any, ...], caplog: pytest.LogCaptureFixture) -> None:
    handler = make()
    with caplog.at_level(logging.DEBUG):
        for call in (
            lambda: handler.handle(*arguments),
            lambda: asyncio.run(handler.ahandle(*arguments)),
        ):
            with pytest.raises(ValueError, match=".") as caught:
                call()
            check_error(caught.value)
            assert_silent(str({key: value for key, value in vars(caught.value).items() if key != "payload"}))
    assert_silent(caplog.text)


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_a_pickled_refusal_holds_no_secret_and_no_signature(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=".") as caught:
        make().handle(*arguments)
    error = caught.value
    if isinstance(error, PylonWebhookPayloadError):
        # The authentic body is the one thing that it is meant to keep.
        assert error.payload in (None, NO_JSON)
        error = copy.copy(error)
        error.payload = None  # type: ignore[attr-defined]
    assert_silent(pickle.dumps(error, 0).decode("latin-1"), "header-says-this", "ab" * 32)


def test_a_handler_shows_no_secret_and_cannot_be_pickled_with_one() -> None:
    handler = make()
    handler.on_any(print)
    assert repr(handler) == str(handler) == "<WebhookHandler secret=[redacted], 1 handlers>"
    assert_silent(f"{vars(handler)} {handler._intake!r} {dir(handler)}")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(handler._intake, protocol)
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError)):
        pickle.dumps(handler)


def test_no_object_that_a_handler_holds_is_the_secret() -> None:
    secret = f"{SECRET}, an object of its own"
    handler = WebhookHandler(secret)
    seen: set[int] = set()
    reached: list[Any] = [handler]
    while reached:
        found = reached.pop()
        if id(found) in seen or isinstance(found, type) or type(found).__name__ in ("module", "function"):
            continue
        seen.add(id(found))
        assert not (isinstance(found, (str, bytes)) and found in (secret, secret.encode()))
        reached += gc.get_referents(found)
    assert len(seen) > 5


def test_an_event_shows_nothing_of_its_body() -> None:
    event = parse_webhook_event(BODY)
    assert_silent(f"{event} {event!r} {event.problems} {[event]}")
    with pytest.raises(AttributeError) as caught:
        event.customer  # noqa: B018 - the reading is what fails
    check_error(caught.value)
    with pytest.raises(ValueError, match=".") as caught_value:
        IssueNewEvent.model_validate_json(BODY.replace(b"issue_new", b"issue_assigned"))
    check_error(caught_value.value)


@pytest.mark.parametrize(
    "value", [TITLE, f"{{{{ {TITLE}", {"x": TITLE}, [{"x": TITLE}]], ids=["text", "brace", "object", "list"]
)
@pytest.mark.parametrize("field", ["issue_number", "issue_last_message_sent_at", "issue_tags", "issue_title"])
def test_problems_show_no_value(field: str, value: Any) -> None:
    problems = IssueNewEvent(**{field: value}).problems
    assert_silent(f"{problems} {[str(problem) for problem in problems]} {[problem.reason for problem in problems]}")


def test_failures_of_handlers_show_nothing_of_the_body(caplog: pytest.LogCaptureFixture) -> None:
    handler = make()

    @handler.on_any
    def fail(_event: Any) -> None:
        raise LookupError("a bug")

    @handler.on_error
    def fail_too(_error: Exception) -> None:
        raise OSError("the tracker is down")

    with caplog.at_level(logging.DEBUG), pytest.raises(PylonWebhookHandlerErrors) as caught:
        handler.handle(BODY, sign(SECRET, BODY))
    check_error(caught.value)
    assert "the tracker is down" in caplog.text
    assert_silent(caplog.text)


# Settings that are refused, each with a secret in it.
SETTINGS: dict[str, dict[str, Any]] = {
    "a list with an empty secret": {"secret": [SECRET, ""]},
    "a list with another type": {"secret": [SECRET, 1]},
    "text that UTF-8 cannot encode": {"secret": f"{SECRET}\ud800"},
    "a bytearray": {"secret": bytearray(SECRET.encode())},
    "a dict with a secret for a key": {"secret": {(SECRET,): SECRET}},
    "a tolerance in place of a secret": {"secret": SECRET, "timestamp_tolerance": SECRET},
    "a header name in place of a secret": {"secret": SECRET, "signature_header": f"{SECRET} "},
    "a clock in place of a secret": {"secret": SECRET, "clock": SECRET},
    "a mapping of a secret": {"secret": SECRET, "names": {"x": SECRET}},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_refused_setting_is_not_shown(settings: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        WebhookHandler(**settings)
    check_error(caught.value)


# Settings that are refused, or warned of where warnings are errors, beside a secret.
BESIDE_A_SECRET: dict[str, dict[str, Any]] = {
    **{name: settings for name, settings in SETTINGS.items() if [*settings] == ["secret"]},
    "a mapping": {"secret": {"secret": SECRET}},
    "an open file": {"secret": StringIO(SECRET)},
    "another signature header": {"secret": SECRET, "signature_header": "no name"},
    "another clock": {"secret": SECRET, "clock": 5},
    "another tolerance": {"secret": [SECRET], "timestamp_tolerance": -1},
    "another name": {"secret": SECRET, "names": {"x": "y"}},
    "no verification": {"secret": SECRET, "verify_signature": None},
    "verification switched off": {"secret": SECRET, "verify_signature": False},
    "a misspelled name": {"secret": SECRET, "event_name": "issue_neww"},
}


@pytest.mark.parametrize("settings", BESIDE_A_SECRET.values(), ids=BESIDE_A_SECRET)
def test_a_traceback_with_local_variables_shows_no_secret_of_a_constructor_that_failed(
    settings: dict[str, Any],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((TypeError, ValueError, UserWarning)) as caught:
            WebhookHandler(**settings)
    # The first frame is the app's own, and so are its variables.
    _, *frames = traceback.walk_tb(caught.value.__traceback__)
    shown = "".join(traceback.StackSummary.extract(iter(frames), capture_locals=True).format())
    assert "self = <WebhookHandler secret=[redacted], 0 handlers>" in shown
    assert_silent(shown)


@pytest.mark.parametrize(
    "make_one",
    [
        lambda: Endpoint("no handler"),  # type: ignore[arg-type]
        lambda: ReplayGuard.exact_request(store="no store"),  # type: ignore[arg-type]
        lambda: Background(capacity=0),
        lambda: WebhookRequest(b"", timestamp=1),
    ],
    ids=["Endpoint", "ReplayGuard", "Background", "WebhookRequest"],
)
def test_what_was_not_made_has_a_representation(make_one: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        make_one()
    halves = [
        frame.f_locals["self"] for frame, _ in traceback.walk_tb(caught.value.__traceback__) if "self" in frame.f_locals
    ]
    assert [repr(half) for half in halves] == [f"<{type(half).__name__}>" for half in halves] != []


def test_signing_errors_show_no_secret() -> None:
    for arguments in (
        (f"{SECRET}\ud800", BODY),
        ([SECRET], BODY),
        (SECRET, f"{BODY.decode()}\ud800"),
        (SECRET, BODY, 1.5),
    ):
        with pytest.raises((TypeError, ValueError)) as caught:
            sign(*arguments)  # type: ignore[arg-type]
        check_error(caught.value)


def test_the_warning_of_verification_switched_off_shows_no_secret() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(verify_signature=False)
    (warning,) = caught
    assert_silent(str(warning.message))


# Headers of requests that an endpoint refuses or fails on, with the body; what the headers say is hidden too.
ANSWERED: dict[str, tuple[Any, bytes]] = {
    "nothing": ({}, BODY),
    "forged": ({"X-Pylon-Signature": "ab" * 32}, BODY),
    "malformed": ({"X-Pylon-Signature": "header-says-this"}, BODY),
    "timestamp malformed": ({"X-Pylon-Signature": "ab" * 32, "X-Pylon-Timestamp": "header-says-this"}, BODY),
    "stale": (
        {"X-Pylon-Signature": sign(SECRET, BODY, str(NOW - 301)), "X-Pylon-Timestamp": str(NOW - 301)},
        BODY,
    ),
    "no JSON": ({"X-Pylon-Signature": sign(SECRET, NO_JSON)}, NO_JSON),
    "too large": ({"X-Pylon-Signature": sign(SECRET, BODY), "Content-Length": "99999"}, BODY),
    "incomplete": ({"X-Pylon-Signature": sign(SECRET, BODY), "Content-Length": "999"}, BODY),
    "consumed": ({"X-Pylon-Signature": sign(SECRET, BODY), "Content-Length": "9"}, b""),
    "no headers": ("header-says-this", BODY),
    "a handler that fails": ({"X-Pylon-Signature": sign(SECRET, BODY), "Cookie": "header-says-this"}, BODY),
    "an old secret": ({"X-Pylon-Signature": sign(OLD_SECRET, BODY)}, BODY),
}


@pytest.mark.parametrize(("headers", "body"), ANSWERED.values(), ids=ANSWERED)
@pytest.mark.parametrize("background", [None, Background()], ids=["before", "after"])
def test_neither_an_answer_nor_the_log_of_an_endpoint_shows_anything(
    headers: Any, body: bytes, background: Background | None, caplog: pytest.LogCaptureFixture
) -> None:
    handler = make()

    @handler.on_any
    def fail(_event: Any) -> None:
        raise LookupError("a bug")

    with caplog.at_level(logging.DEBUG):
        endpoint = Endpoint(handler, body_limit=1000, replay_guard=ReplayGuard.exact_request(), background=background)
        with endpoint:
            outcome = endpoint.respond("POST", headers, body)
        asyncio.run(endpoint.arespond("POST", headers, body))
    shown = f"{outcome!r} {outcome.body!r} {outcome.headers} {endpoint!r}"
    assert_silent(f"{shown} {caplog.text}", "header-says-this", "ab" * 32)
    assert outcome in (Outcome.ACCEPTED, Outcome.UNAUTHORIZED, Outcome.UNREADABLE, Outcome.TOO_LARGE, Outcome.FAILED)


def test_the_log_of_a_duplicate_shows_nothing_of_its_body(caplog: pytest.LogCaptureFixture) -> None:
    endpoint = Endpoint(make(), replay_guard=ReplayGuard.pointer("/issue_title"))
    headers = {"X-Pylon-Signature": sign(SECRET, BODY)}
    with caplog.at_level(logging.DEBUG):
        outcomes = [endpoint.respond("POST", headers, BODY) for _ in range(2)]
    assert outcomes == [Outcome.HANDLED, Outcome.DUPLICATE]
    assert_silent(caplog.text)


def test_a_store_is_told_nothing_of_a_delivery() -> None:
    told: list[Any] = []

    class Store:
        def first_seen(self, *arguments: Any) -> bool:
            told.append(arguments)
            return True

        def forget(self, *arguments: Any) -> None:
            told.append(arguments)

    for guard in (
        ReplayGuard.exact_request(store=Store()),
        ReplayGuard.pointer("/issue_title", store=Store()),
        ReplayGuard.body_hash(window=60, store=Store()),
    ):
        handler = make()
        handler.on_any(lambda _event: 1 / 0)
        headers = {"X-Pylon-Signature": sign(SECRET, BODY)}
        assert Endpoint(handler, replay_guard=guard).respond("POST", headers, BODY) == Outcome.FAILED
    assert len(told) == 6
    assert_silent(str(told))
