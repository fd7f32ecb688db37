"""Cases that a hostile reader of the code thought of."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref
from typing import Any
from unittest import mock

import pytest
from pydantic import TypeAdapter

from pylon_webhooks import (
    IssueNewEvent,
    MessageNewEvent,
    PylonWebhookAsyncHandlerError,
    PylonWebhookHandlerErrors,
    PylonWebhookNameWarning,
    UnknownEvent,
    WebhookHandler,
    parse_webhook_event,
    sign,
)

EVENT = parse_webhook_event(b'{"event_type": "issue_new", "issue_id": "iss_1"}')


@pytest.mark.parametrize("falsy", [None, 0, "", [], "False"])
def test_only_false_itself_switches_verification_off(falsy: Any) -> None:
    with pytest.raises(TypeError, match="^verify_signature must be True or False$"):
        WebhookHandler("secret", verify_signature=falsy)


def test_signature_and_timestamp_in_one_header_are_refused_at_construction() -> None:
    with pytest.raises(ValueError, match="^the signature header and the timestamp header must have different names$"):
        WebhookHandler("secret", signature_header="X-Sig", timestamp_header="x-sig")


def test_a_handler_whose_clock_is_a_method_of_its_owner_can_be_freed() -> None:
    class App:
        def __init__(self) -> None:
            self.handler = WebhookHandler("secret", clock=self.now)

        def now(self) -> float:
            return 0.0

    app = App()
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None


def test_a_failed_delivery_leaves_no_cycle_behind() -> None:
    class Failure(Exception):
        pass

    handler = WebhookHandler("secret")

    @handler.on_any()
    def fail(_event: object) -> None:
        raise Failure

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(PylonWebhookHandlerErrors) as caught:
            handler.dispatch(EVENT)
        gone = weakref.ref(caught.value.exceptions[0])
        caught.value.__traceback__ = None
        del caught
        assert gone() is None
    finally:
        gc.enable()


def test_an_attribute_name_beyond_utf_8_is_no_attribute() -> None:
    assert not hasattr(EVENT, "\ud800")
    assert EVENT.text("\ud800") == ""
    assert not EVENT.is_named("\ud800")


def test_an_event_leaves_equality_with_strangers_to_them() -> None:
    assert EVENT == mock.ANY
    assert EVENT != object()


def test_a_group_made_by_hand_can_be_split() -> None:
    matching, rest = PylonWebhookHandlerErrors("by hand", [ValueError(), KeyError()]).split(ValueError)
    assert matching is not None
    assert rest is not None
    assert len(matching.exceptions) == len(rest.exceptions) == 1


def test_a_class_is_registered_under_one_name() -> None:
    handler = WebhookHandler("secret")
    handler.register("a", Own := type("Own", (), {}))
    handler.register("a", Own)
    with pytest.raises(ValueError, match="^this class is already registered under another name"):
        handler.register("b", Own)


def test_a_slip_in_a_fixed_kind_warns() -> None:
    with pytest.warns(PylonWebhookNameWarning, match="did you mean 'issue_new'"):
        WebhookHandler("secret", event_name="isue_new")


def test_whatever_is_to_be_awaited_is_a_failure_in_handle() -> None:
    class Promise:
        def __await__(self) -> Any:
            yield

    handler = WebhookHandler("secret")
    handler.on_any(lambda _event: Promise())
    with pytest.raises(PylonWebhookHandlerErrors) as caught:
        handler.dispatch(EVENT)
    assert isinstance(caught.value.exceptions[0], PylonWebhookAsyncHandlerError)


def test_a_problem_can_be_copied_and_pickled() -> None:
    (problem, *_) = EVENT.problems
    for twin in (copy.deepcopy(problem), pickle.loads(pickle.dumps(problem))):
        assert (twin, str(twin), hash(twin)) == (problem, "issue_number: absent", hash(problem))


def test_of_several_classes_pydantic_takes_the_one_that_is_meant() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(IssueNewEvent | MessageNewEvent | UnknownEvent)
    for name, expected in [("issue_message_new", MessageNewEvent), ("zz", UnknownEvent), ("issue.new", IssueNewEvent)]:
        assert type(adapter.validate_python({"event_type": name})) is expected
    with pytest.raises(ValueError, match="IssueNewEvent cannot be made: event_type names no typed event"):
        TypeAdapter(IssueNewEvent).validate_python({"event_type": "ticket.closed"})


def test_the_dump_of_an_event_with_a_mapped_name_is_an_event_again() -> None:
    handler = WebhookHandler("secret", names={"ticket.created": IssueNewEvent})
    body = b'{"event_type": "ticket.created", "issue_title": "x"}'
    handler.on(IssueNewEvent)(lambda event: event)
    (event,) = handler.handle(body, sign("secret", body))
    assert type(event) is IssueNewEvent
    for again in (
        IssueNewEvent.model_validate(event.model_dump(mode="json")),
        IssueNewEvent.model_validate_json(event.raw),
        IssueNewEvent.model_validate_json(event.model_dump_json()),
    ):
        assert (type(again), again.issue_title, again.event_type) == (IssueNewEvent, "x", "ticket.created")


def test_of_keys_that_come_twice_in_a_nested_object_extra_has_the_last() -> None:
    body = b'{"event_type": "issue_new", "issue": {"id": "1", "id": "2", "foo": 1, "foo": 2, "custom_fields": {}, "custom_fields": {"a": 1}}}'
    event = parse_webhook_event(body)
    assert (event.issue_id, event.extra, event.custom_fields) == ("2", {"issue": {"foo": 2}}, {"a": 1})


def test_a_name_that_a_pointer_found_is_not_in_extra() -> None:
    handler = WebhookHandler("secret", event_name_pointer="/meta/event")
    handler.on_any(lambda event: event.extra)
    body = b'{"meta": {"event": "issue_new", "v": 1}}'
    assert handler.handle(body, sign("secret", body)) == [{"meta": {"v": 1}}]


def test_a_body_of_a_bytes_subclass_is_kept_as_bytes() -> None:
    class Body(bytes):
        pass

    assert type(parse_webhook_event(Body(b"{}")).raw) is bytes


def test_a_handler_that_registers_while_it_is_compared_does_not_block() -> None:
    handler = WebhookHandler("secret")

    class Odd:
        def __call__(self, _event: object) -> None: ...

        def __eq__(self, other: object) -> bool:
            handler.on_any(print)
            return self is other

        __hash__ = object.__hash__

    handler.on_any(odd := Odd())
    assert handler.remove(odd)


def test_a_large_body_of_custom_fields_is_read_in_one_pass() -> None:
    members = ",".join(f'"k{index}": 0, "custom_field_{index}": 1' for index in range(40_000))
    event = parse_webhook_event(f'{{"event_type": "issue_new", "issue": {{{members}}}}}'.encode())
    assert len(event.extra["issue"]) == len(event.custom_fields) == 40_000


def test_fields_that_nest_too_deep_are_a_value_error() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="^an event's fields nest too deep$"):
        IssueNewEvent.model_validate(deep)


@pytest.mark.parametrize("key", ["data", "\\u0064ata", "\\ud800", "a", "issue", "issue_custom_field_a"])
def test_a_large_body_of_one_key_is_read_in_one_pass(key: str) -> None:
    # With a pass for each key this would take minutes.
    members = f'"{key}":1,' * (1_000_000 // (len(key) + 5))
    event = parse_webhook_event(f'{{"event_type":"issue_new",{members}"issue_id":"iss_1"}}'.encode())
    assert event.model_dump()["issue_id"] == "iss_1"
    assert event.problems


def test_a_dump_keeps_everything_that_was_sent() -> None:
    body = {"event_type": "issue_new", "issue": {"id": "iss_1", "priority": "urgent"}, "id": "delivery_9"}
    dump = parse_webhook_event(json.dumps(body).encode()).model_dump()
    assert (dump["issue_id"], dump["issue"], dump["id"]) == ("iss_1", {"priority": "urgent"}, "delivery_9")
