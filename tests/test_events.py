"""The event classes: how they nest, are made, compared, copied, shown and taken apart; and classes of the user's own."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pydantic
import pytest

import pylon_webhooks
from pylon_webhooks import (
    BaseIssueEvent,
    IssueAssignedEvent,
    IssueMessageNewEvent,
    IssueNewEvent,
    IssueSnapshotEvent,
    IssueStateChangedEvent,
    IssueStatusChangedEvent,
    MessageNewEvent,
    Problem,
    PylonWebhookEvent,
    PylonWebhookHandlerErrors,
    PylonWebhookPayloadError,
    UnknownEvent,
    WebhookEvent,
    WebhookHandler,
    names_match,
    parse_webhook_event,
    sign,
    template,
)

CLASSES = {
    "issue_new": "IssueNewEvent",
    "issue_assigned": "IssueAssignedEvent",
    "issue_status_changed": "IssueStateChangedEvent",
    "issue_field_changed": "IssueFieldChangedEvent",
    "issue_tags_changed": "IssueTagsChangedEvent",
    "issue_reaction": "IssueReactionEvent",
    "issue_message_new": "MessageNewEvent",
}
BASE_FIELDS = {
    "issue_id": "i1",
    "issue_number": 1042,
    "issue_title": "Export fails",
    "issue_team_name": "Support",
    "issue_account_id": "acc_1",
    "issue_account_name": "Example Co",
    "issue_requester_email": "sam@example.com",
    "issue_requesteer_id": "usr_1",
    "issue_assignee_email": "kim@example.org",
    "issue_assignee_id": "agent_7",
    "issue_salesforce_account_id": "sf_1",
}
SNAPSHOT_FIELDS = {
    **BASE_FIELDS,
    "issue_body": "<p>Hi</p>",
    "issue_status": "waiting_on_you",
    "issue_sf_type": "bug",
    "issue_last_message_sent_at": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    "issue_link": "https://app.usepylon.com/issues?issueNumber=1042",
    "issue_tags": ["billing", "vip"],
    "issue_account_domains": ["example.com"],
    "issue_attachment_urls": ["https://example.com/a.png"],
}
MESSAGE_FIELDS = {
    **BASE_FIELDS,
    "message_id": "m1",
    "message_author_id": "usr_1",
    "message_author_name": "Sam Doe",
    "message_body_html": "<p>Still failing</p>",
    "message_ccs": ["kim@example.org"],
    "message_is_private": False,
    "message_sent_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
}
EMPTY = {int: None, bool: None, datetime: None, str: "", list: []}


def fields_of(name: str) -> dict[str, Any]:
    return MESSAGE_FIELDS if name == "issue_message_new" else SNAPSHOT_FIELDS


def parsed(value: Any) -> WebhookEvent:
    return parse_webhook_event(value if isinstance(value, bytes) else json.dumps(value).encode())


@pytest.fixture(params=CLASSES)
def name(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def cls(name: str) -> type[WebhookEvent]:
    found: type[WebhookEvent] = getattr(pylon_webhooks, CLASSES[name])
    return found


def test_each_class_stands_on_the_bases_of_its_kind(name: str, cls: type[WebhookEvent]) -> None:
    bases = [BaseIssueEvent] if name == "issue_message_new" else [IssueSnapshotEvent, BaseIssueEvent]
    assert cls.__mro__ == (cls, *bases, WebhookEvent, object)
    others = [getattr(pylon_webhooks, other) for other in CLASSES.values() if other != cls.__name__]
    event = cls()
    assert isinstance(event, (cls, *bases))
    assert not isinstance(event, (*others, UnknownEvent))
    assert UnknownEvent.__mro__ == (UnknownEvent, WebhookEvent, object)


def test_the_other_names_are_the_same_classes() -> None:
    assert IssueStatusChangedEvent is IssueStateChangedEvent
    assert IssueMessageNewEvent is MessageNewEvent
    assert PylonWebhookEvent is WebhookEvent


def test_every_field_reads_as_its_type_under_both_names(name: str) -> None:
    fields = fields_of(name)
    event = parsed({"event_type": name, **fields, **dates_as_text(fields)})
    for field, value in fields.items():
        assert (getattr(event, field), type(getattr(event, field))) == (value, type(value)), field
        if field.startswith("issue_"):
            assert getattr(event, field.removeprefix("issue_")) == value, field
    assert (event.issue_requester_id, event.requester_id, event.requesteer_id) == ("usr_1",) * 3
    assert event.problems == []
    assert event.extra == {}
    assert (event.event_type, event.kind) == (name, name)


def test_every_absent_field_reads_as_nothing_of_its_type(name: str) -> None:
    event = parsed({"event_type": name})
    fields = fields_of(name)
    for field, value in fields.items():
        assert getattr(event, field) == EMPTY[type(value)], field
    needed = [field for field, value in fields.items() if EMPTY[type(value)] is None]
    assert [(problem.field, problem.reason) for problem in event.problems] == [(field, "absent") for field in needed]


def test_messages_have_no_snapshot_fields_and_snapshots_no_message_fields() -> None:
    event = parsed({"event_type": "issue_message_new", "issue_status": "new"})
    assert not hasattr(event, "issue_status")
    assert not hasattr(event, "new_state")
    assert event.extra == {"issue_status": "new"}
    assert not hasattr(IssueNewEvent(), "message_id")
    assert not hasattr(parsed({"event_type": "x", "issue_id": "i"}), "issue_id")


# A body of a state change, and its new state.
STATES = {
    "status alone": ({"issue_status": "closed"}, "closed"),
    "state alone": ({"issue_state": "closed"}, "closed"),
    "new_state beside the old": ({"issue_status": "new", "new_state": "closed"}, "closed"),
    "new_status beside the old": ({"issue_status": "new", "issue_new_status": "closed"}, "closed"),
    "nothing": ({}, ""),
}


@pytest.mark.parametrize(("fields", "state"), STATES.values(), ids=STATES)
def test_a_state_change_has_a_new_state_and_no_other_event_has(fields: dict[str, str], state: str) -> None:
    event = parsed({"event_type": "issue_status_changed", **fields})
    assert isinstance(event, IssueStateChangedEvent)
    assert event.new_state == state
    assert not hasattr(parsed({"event_type": "issue_new", **fields}), "new_state")


def test_events_are_frozen(name: str, cls: type[WebhookEvent]) -> None:
    event = cls(**fields_of(name))
    for attribute in ("issue_title", "title", "event_type", "raw", "payload", "custom_fields", "of_my_own"):
        with pytest.raises(AttributeError):
            setattr(event, attribute, "x")
        with pytest.raises(AttributeError):
            delattr(event, attribute)
    with pytest.raises(AttributeError, match="^events are frozen: build another one with the values that you want$"):
        event.issue_title = "x"  # type: ignore[misc]
    assert event.issue_title == "Export fails"


def test_lists_and_dicts_of_an_event_are_fresh_each_time() -> None:
    event = parsed({"event_type": "issue_new", "issue_tags": ["a"], "x": 1, "issue_custom_field_y": 1})
    for attribute in ("issue_tags", "extra", "custom_fields", "problems"):
        getattr(event, attribute).clear()
        assert getattr(event, attribute), attribute


def test_events_are_equal_when_class_bytes_name_and_kind_are() -> None:
    body = b'{"event_type": "issue_new", "issue_id": "i1"}'
    one, twin = parse_webhook_event(body), parse_webhook_event(bytearray(body))
    assert one == twin
    assert hash(one) == hash(twin)
    assert len({one, twin}) == 1
    mapped = WebhookHandler("s", event_name="issue_assigned")
    mapped.on_any(lambda event: event)
    for other in (
        parse_webhook_event(body + b" "),
        mapped.handle(body, sign("s", body))[0],
        WebhookEvent(event_type="issue_new", issue_id="i1"),
        body,
        None,
    ):
        assert one != other
        assert not (one == other)  # noqa: SIM201 - `==` and `!=` are two functions of the class


def test_events_have_no_order() -> None:
    with pytest.raises(TypeError):
        assert IssueNewEvent() < IssueNewEvent()  # type: ignore[operator]


# A body and how its event shows itself.
SHOWN = {
    "an issue": (b'{"event_type": "issue_new", "issue_id": "i1"}', "<IssueNewEvent event_type='issue_new' issue_id='i1', 45 bytes>"),
    "a name in another spelling": (b'{"event": "Issue.New"}', "<IssueNewEvent event_type='Issue.New' issue_id='', 22 bytes>"),
    "unknown": (b'{"type": "it\'s", "issue_id": "i1"}', '<UnknownEvent event_type="it\'s", 34 bytes>'),
    "no name": (b"[]", "<UnknownEvent event_type='', 2 bytes>"),
    "a long name": (b'{"type": "' + b"n" * 81 + b'"}', f"<UnknownEvent event_type='{'n' * 80}…', 93 bytes>"),
    "a name just short enough": (b'{"type": "' + b"n" * 80 + b'"}', f"<UnknownEvent event_type='{'n' * 80}', 92 bytes>"),
    "a line feed in an identifier": (b'{"event_type": "issue_new", "issue_id": "a\\nb"}', "<IssueNewEvent event_type='issue_new' issue_id='a\\nb', 47 bytes>"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "shown"), SHOWN.values(), ids=SHOWN)
def test_repr_tells_name_identifier_and_size_and_nothing_else(body: bytes, shown: str) -> None:
    event = parse_webhook_event(body)
    assert repr(event) == str(event) == f"{event}" == shown


BODIES = {
    "an issue": b'{"event_type": "issue_new", "issue_id": "i1", "x": [1.5, null], "issue_custom_field_t": "gold"}',
    "a message": b'{"event_type": "issue_message_new", "message_id": "m1"}',
    "unknown": b'{"event": "ticket.created"}',
    "an array": b"[1, 2]",
    "mended": b'{"event_type": "issue_new", "issue_title": "a\nb", "issue_number": , "x": "\\ud800"}',
    "BOM": b"\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_copies_are_the_event_itself_and_pickles_its_twin(body: bytes) -> None:
    event = parse_webhook_event(body)
    assert copy.copy(event) is copy.deepcopy(event) is event
    assert copy.deepcopy([event])[0] is event
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        check_twin(pickle.loads(pickle.dumps(event, protocol)), event)


def check_twin(twin: WebhookEvent, event: WebhookEvent) -> None:
    assert twin == event
    assert type(twin) is type(event)
    for attribute in ("raw", "event_type", "kind", "payload", "problems", "extra", "custom_fields"):
        assert getattr(twin, attribute) == getattr(event, attribute), attribute


class Mine(IssueNewEvent):
    """An event class of the user's own."""


@pytest.mark.parametrize("cls", [WebhookEvent, BaseIssueEvent, IssueSnapshotEvent, IssueNewEvent, Mine])
def test_events_made_of_keywords_pickle_as_their_class(cls: type[WebhookEvent]) -> None:
    event = cls(event_type="issue_new", issue_id="i1", nested={"a": [1, None]})
    check_twin(pickle.loads(pickle.dumps(event)), event)
    check_twin(pickle.loads(pickle.dumps(UnknownEvent(event_type="x"))), UnknownEvent(event_type="x"))


# Options by which a name is found or means something else, and the body.
CONFIGURED: dict[str, tuple[dict[str, Any], bytes]] = {
    "a mapped name": ({"names": {"ticket.created": IssueNewEvent}}, b'{"event": "ticket.created", "issue_id": "i1"}'),
    "a fixed kind": ({"event_name": "issue_new"}, b'{"event": "ticket.created", "issue_id": "i1"}'),
    "a pointer": ({"event_name_pointer": "/meta/name"}, b'{"meta": {"name": "issue_new"}, "issue_id": "i1"}'),
}


@pytest.mark.parametrize(("options", "body"), CONFIGURED.values(), ids=CONFIGURED)
def test_pickles_keep_the_name_and_kind_that_a_handler_gave(options: dict[str, Any], body: bytes) -> None:
    handler = WebhookHandler("s", **options)
    handler.on_any(lambda event: event)
    (event,) = handler.handle(body, sign("s", body))
    twin = pickle.loads(pickle.dumps(event))
    assert twin == event
    assert type(twin) is IssueNewEvent
    assert (twin.event_type, twin.kind, twin.issue_id) == (event.event_type, "issue_new", "i1")


def described(event: WebhookEvent) -> str:
    match event:
        case IssueNewEvent(issue_number=number, title=title) if number:
            return f"#{number} {title}"
        case MessageNewEvent(message_author_name="Sam Doe"):
            return "from Sam"
        case MessageNewEvent("issue_message_new", issue_id):
            return f"on {issue_id}"
        case IssueSnapshotEvent(issue_status="closed"):
            return "closed"
        case BaseIssueEvent():
            return "an issue"
        case UnknownEvent(""):
            return "nameless"
        case UnknownEvent(event_type):
            return event_type
        case _:
            return "impossible"


MATCHES = {
    b'{"event_type": "issue_new", "issue_number": 7, "issue_title": "T"}': "#7 T",
    b'{"event_type": "issue_new"}': "an issue",
    b'{"event_type": "issue_message_new", "message_author_name": "Sam Doe"}': "from Sam",
    b'{"event_type": "issue_message_new", "issue_id": "i1"}': "on i1",
    b'{"event_type": "issue_reaction", "issue_status": "closed"}': "closed",
    b'{"event_type": "x"}': "x",
    b"3": "nameless",
}


@pytest.mark.parametrize(("body", "expected"), MATCHES.items())
def test_events_are_taken_apart_by_match(body: bytes, expected: str) -> None:
    assert described(parse_webhook_event(body)) == expected


def test_match_by_place_follows_the_order_of_the_documentation(name: str, cls: type[WebhookEvent]) -> None:
    assert cls.__match_args__ == ("event_type", *fields_of(name))
    assert WebhookEvent.__match_args__ == UnknownEvent.__match_args__ == ("event_type",)
    assert BaseIssueEvent.__match_args__ == ("event_type", *BASE_FIELDS)


def test_a_constructor_makes_the_event_whose_body_holds_its_keywords(name: str, cls: type[WebhookEvent]) -> None:
    event = cls(**fields_of(name), issue_custom_field_tier="gold", region="eu")
    assert type(event) is cls
    assert (event.event_type, event.kind) == (name, name)
    for field, value in fields_of(name).items():
        assert getattr(event, field) == value
    assert (event.custom_fields, event.extra) == ({"tier": "gold"}, {"region": "eu"})
    assert json.loads(event.raw) == event.payload
    assert event == cls(**fields_of(name), issue_custom_field_tier="gold", region="eu")
    assert parse_webhook_event(event.raw) == event


def test_a_constructor_takes_dates_of_every_kind() -> None:
    local = datetime(2026, 1, 2, 4, 4, 5, tzinfo=timezone(timedelta(hours=1)))
    assert IssueNewEvent(issue_last_message_sent_at=local).issue_last_message_sent_at == local
    assert UnknownEvent(day=date(2026, 1, 2)).payload == {"day": "2026-01-02"}


def test_a_constructor_keeps_a_name_that_is_of_no_kind_elsewhere() -> None:
    event = IssueNewEvent(event_type="issue.created", issue_id="i1")
    assert (event.event_type, event.kind, event.issue_id) == ("issue.created", "issue_new", "i1")


# A class, keywords that it cannot be made of, and what is raised.
UNMADE: dict[str, tuple[type[WebhookEvent], dict[str, Any], type[Exception], str]] = {
    "another kind": (IssueNewEvent, {"event_type": "issue_assigned"}, ValueError, "IssueNewEvent cannot be made: event_type names issue_assigned"),
    "a message as a snapshot": (IssueSnapshotEvent, {"event_type": "issue_message_new"}, ValueError, "IssueSnapshotEvent cannot be made: event_type names issue_message_new"),
    "a base without a name": (BaseIssueEvent, {}, ValueError, "BaseIssueEvent cannot be made: event_type names no typed event"),
    "a known kind as unknown": (UnknownEvent, {"event_type": "issue_new"}, ValueError, "UnknownEvent cannot be made: event_type names issue_new"),
    "a value without JSON": (IssueNewEvent, {"issue_title": {1}}, TypeError, "an event's field must be JSON or a date, not set"),
    "bytes": (IssueNewEvent, {"issue_title": b"x"}, TypeError, "an event's field must be JSON or a date, not bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("cls", "fields", "error", "message"), UNMADE.values(), ids=UNMADE)
def test_a_constructor_refuses_what_its_class_cannot_be(
    cls: type[WebhookEvent], fields: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        cls(**fields)
    assert (type(caught.value), str(caught.value)) == (error, message)


@pytest.mark.parametrize("number", [float("nan"), float("inf")], ids=str)
def test_a_constructor_refuses_numbers_that_json_lacks(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        UnknownEvent(x=number)


def test_a_constructor_takes_keywords_alone() -> None:
    with pytest.raises(TypeError):
        IssueNewEvent("i1")  # type: ignore[call-arg]


def test_model_dump_has_name_typed_fields_custom_fields_and_the_rest_in_that_order(name: str) -> None:
    fields = fields_of(name)
    body = {"x": [1], "issue_custom_field_b-c": {"d": 1}, **fields, **dates_as_text(fields), "event_type": name}
    dump = parsed(body).model_dump()
    assert dump == {"event_type": name, **fields, "issue_custom_field_b-c": {"d": 1}, "x": [1]}
    assert [*dump] == ["event_type", *fields, "issue_custom_field_b-c", "x"]
    as_json = parsed(body).model_dump(mode="json")
    assert as_json == {**dump, **dates_as_text(fields)}
    assert parsed(body).model_dump(mode="python") == dump
    assert parsed(body).model_dump_json() == json.dumps(as_json, ensure_ascii=False, separators=(",", ":"))


def test_model_dump_json_is_compact_and_leaves_other_scripts_readable() -> None:
    event = parsed({"event": "x", "naïve": ["日本 🍹", 1]})
    assert event.model_dump_json() == '{"event_type":"x","naïve":["日本 🍹",1]}'


@pytest.mark.parametrize("mode", ["JSON", "", "dict"])
def test_model_dump_knows_two_modes(mode: str) -> None:
    with pytest.raises(ValueError, match=r'^mode must be "python" or "json"$'):
        IssueNewEvent().model_dump(mode=mode)


def test_what_model_dump_gives_is_validated_to_the_same_fields(name: str, cls: type[WebhookEvent]) -> None:
    event = cls(**fields_of(name), issue_custom_field_tier="gold", region="eu", event_type=name.replace("_", "."))
    for twin in (
        cls.model_validate(event.model_dump()),
        cls.model_validate(event.model_dump(mode="json")),
        cls.model_validate_json(event.model_dump_json()),
        BaseIssueEvent.model_validate(event.model_dump()),
        WebhookEvent.model_validate_json(event.model_dump_json().encode()),
        cls(**event.model_dump()),
    ):
        assert type(twin) is cls
        assert twin.model_dump() == event.model_dump()


def test_model_validate_gives_an_event_back_as_it_is() -> None:
    event = IssueNewEvent(issue_id="i1")
    for cls in (IssueNewEvent, IssueSnapshotEvent, BaseIssueEvent, WebhookEvent):
        assert cls.model_validate(event) is event


def test_model_validate_names_the_event_after_its_class_where_the_fields_do_not() -> None:
    assert IssueNewEvent.model_validate({"issue_id": "i1"}).event_type == "issue_new"
    assert IssueNewEvent.model_validate_json('{"issue_id": "i1"}').event_type == "issue_new"
    assert type(Mine.model_validate({"issue_id": "i1"})) is Mine
    assert type(Mine.model_validate_json(b'{"event_type": "issue_new"}')) is Mine


def test_model_validate_json_keeps_the_bytes() -> None:
    body = b' {"event_type" : "issue_new"}\n'
    assert IssueNewEvent.model_validate_json(body).raw == body
    assert IssueNewEvent.model_validate_json(body.decode()).raw == body
    assert WebhookEvent.model_validate_json(memoryview(b"[1]")).payload == [1]


# What model_validate refuses; the last word is what it found.
INVALID: dict[str, tuple[Any, str]] = {
    "None": (None, "expected a dict of fields or an instance of IssueNewEvent, found None"),
    "text": ("{}", "expected a dict of fields or an instance of IssueNewEvent, found str"),
    "bytes": (b"{}", "expected a dict of fields or an instance of IssueNewEvent, found bytes"),
    "list": ([("issue_id", "i1")], "expected a dict of fields or an instance of IssueNewEvent, found list"),
    "another event": (MessageNewEvent(), "expected a dict of fields or an instance of IssueNewEvent, found another object"),
    "keys that are not text": ({1: 2}, "expected a dict whose keys are str, found other keys"),
    "another kind": ({"event_type": "issue_assigned"}, "IssueNewEvent cannot be made: event_type names issue_assigned"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "message"), INVALID.values(), ids=INVALID)
def test_model_validate_refuses_what_is_no_such_event(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=".") as caught:
        IssueNewEvent.model_validate(value)
    assert (type(caught.value), str(caught.value)) == (ValueError, message)


def test_model_validate_json_refuses_what_is_no_such_event() -> None:
    with pytest.raises(PylonWebhookPayloadError, match="^unreadable payload: expected JSON, found an empty body$"):
        IssueNewEvent.model_validate_json("")
    with pytest.raises(ValueError, match="^IssueNewEvent cannot be made: event_type names issue_reaction$"):
        IssueNewEvent.model_validate_json('{"event_type": "issue_reaction"}')
    with pytest.raises(ValueError, match="^expected a dict of fields or an instance of IssueNewEvent, found list$"):
        IssueNewEvent.model_validate_json("[]")
    with pytest.raises(PylonWebhookPayloadError, match="found dict: the signature covers"):
        IssueNewEvent.model_validate_json({})  # type: ignore[arg-type]


# An attribute of a custom field, and its value in the body below.
CUSTOM = {
    "tier": "gold",
    "seats": 12,
    "1st": True,
    "rené": None,
    "of-two-words": ["a"],
    "nested": {"a": {"b": 1}},
    "from_map": "m",
}
CUSTOM_BODY = {
    "event_type": "issue_new",
    **{f"issue_custom_field_{slug}": value for slug, value in CUSTOM.items() if slug != "from_map"},
    "custom_fields": {"from_map": "m"},
}


@pytest.mark.parametrize(("slug", "value"), CUSTOM.items())
def test_a_custom_field_is_an_attribute_and_a_member_of_the_map(slug: str, value: Any) -> None:
    event = parsed(CUSTOM_BODY)
    assert getattr(event, f"issue_custom_field_{slug}") == value
    assert event.custom_fields == CUSTOM


def test_a_custom_field_that_the_body_lacks_reads_as_none() -> None:
    assert IssueNewEvent().issue_custom_field_tier is None
    assert UnknownEvent().issue_custom_field_tier is None
    assert IssueNewEvent().custom_fields == {}


@pytest.mark.parametrize("attribute", ["assigne_id", "issue_titel", "region", "__wrapped__", ""])
def test_an_attribute_that_is_no_field_is_an_attribute_error_that_says_where_else_to_look(attribute: str) -> None:
    event = IssueNewEvent(region="eu")
    assert not hasattr(event, attribute)
    with pytest.raises(AttributeError) as caught:
        getattr(event, attribute)
    assert str(caught.value) == (
        f'no field "{attribute}" of this kind of event; keys of your own are in `extra` and `payload`'
    )


def test_text_gives_what_stands_in_the_body_before_any_typing() -> None:
    event = parsed({"event_type": "issue_new", "issue_number": "#1042", "issue_tags": "a, b", "n": 1.50, "t": True})
    texts = {
        "issue_number": "#1042",
        "issue_tags": "a, b",
        "n": "1.5",
        "t": "true",
        "absent": "",
        "event_type": "issue_new",
    }
    assert {key: event.text(key) for key in texts} == texts


def test_is_named_compares_as_names_match_does() -> None:
    event = parsed({"event": "Issue.New"})
    for same in ("issue_new", "ISSUE-NEW", " issue new ", "Issue.New"):
        assert event.is_named(same)
        assert names_match(same, "issue_new")
    for other in ("issue_news", "", "issue__new"):
        assert not event.is_named(other)
        assert not names_match(other, "issue_new")


def test_problems_say_field_and_reason_and_compare_by_both() -> None:
    body = b'{"event_type": "issue_new", "issue_number": "soon", "issue_tags": {}, "issue_title": "a\nb"}'
    problems = parse_webhook_event(body).problems
    assert [str(problem) for problem in problems] == [
        "payload: raw control characters in strings were read as if escaped",
        "issue_number: not a whole number",
        "issue_last_message_sent_at: absent",
        "issue_tags: not a list of texts",
    ]
    assert repr(problems[1]) == "<Problem issue_number: not a whole number>"
    assert problems == parse_webhook_event(body).problems
    assert len({*problems, *parse_webhook_event(body).problems}) == 4
    assert problems[0] != problems[1]
    assert all(type(problem) is Problem for problem in problems)
    with pytest.raises(AttributeError):
        problems[0].field = "x"  # type: ignore[misc]


def test_what_one_reader_does_to_a_payload_no_other_sees() -> None:
    event = parsed({"a": [1]})
    event.payload["a"].clear()
    assert event.payload == {"a": [1]}


def test_parse_takes_a_dict_as_the_other_sdk_does() -> None:
    event = parse_webhook_event({"event_type": "issue_new", "issue_id": "i1"})
    assert type(event) is IssueNewEvent
    assert event.issue_id == "i1"
    assert json.loads(event.raw) == {"event_type": "issue_new", "issue_id": "i1"}


def test_a_field_of_a_class_describes_itself() -> None:
    field: Any = IssueNewEvent.issue_number
    assert (field.name, field.shape, field.__doc__) == (
        "issue_number",
        "number",
        "The issue's number, as people see it.",
    )
    assert IssueNewEvent.number is field


def test_the_template_of_a_kind_is_read_back_as_that_kind(name: str, cls: type[WebhookEvent]) -> None:
    text = template(name)
    event = parse_webhook_event(text.encode())
    assert type(event) is cls
    # Nothing is filled in yet: no placeholder may pass for a value that is not plain text.
    assert event.extra == {}
    assert event.issue_id == ""
    assert {problem.reason for problem in event.problems} == {"an unresolved placeholder"}
    filled = text.replace("{{issue.number}}", "1042").replace("{{issue.title}}", "Export fails")
    assert parse_webhook_event(filled.encode()).issue_number == 1042


def test_a_template_of_no_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="^no typed event has this name; the names are issue_new, "):
        template("ticket.created")


def test_the_vectors_of_the_wire_are_signed_as_pylon_signs() -> None:
    vectors = {
        b'{"id":"1"}': "b6ee61d26a3494ddc3437b55028299a9c39956dfdcf623629b0b1f7d0c64baf1",
        b"": "a41bc6d81d6413576ae0994995e0ad89a416ec97389515c3604f47722122eeeb",
        b'{"id":"1"}\n': "f3669e13292e7321a630026aaf8947bca3d14959ccff82f44d24669a96e42f10",
    }
    assert {body: sign("test-secret", body) for body in vectors} == vectors
    with pytest.raises(ValueError, match="^a secret is empty, or only white space and quotes, so anyone could sign"):
        sign("", b"{}")
    assert {body: sign("test-secret", body.decode()) for body in vectors} == vectors, "text stands for its UTF-8"
    with pytest.raises(PylonWebhookPayloadError, match="found dict: the signature covers"):
        sign("test-secret", {})  # type: ignore[arg-type]


# Classes of the user's own, each made of {"event": "account.updated", "account_id": "acc_1", "seats": 3}.
class Model(pydantic.BaseModel):
    account_id: str
    seats: int


@dataclasses.dataclass
class Record:
    account_id: str
    seats: int = 0


class FromEvent:
    def __init__(self, account_id: str, seats: int) -> None:
        self.account_id, self.seats = account_id, seats

    @classmethod
    def from_event(cls, event: WebhookEvent) -> FromEvent:
        return cls(event.text("account_id"), int(event.text("seats")))


class AllKeys:
    def __init__(self, **keys: Any) -> None:
        assert {*keys} == {"event", "account_id", "seats"}
        self.account_id, self.seats = keys["account_id"], keys["seats"]


class SomeKeys:
    def __init__(self, account_id: str, *, seats: int) -> None:
        self.account_id, self.seats = account_id, seats


class OwnEvent(UnknownEvent):
    @property
    def account_id(self) -> str:
        return self.text("account_id")

    @property
    def seats(self) -> int:
        return int(self.text("seats"))


@pytest.mark.parametrize("own", [Model, Record, FromEvent, AllKeys, SomeKeys, OwnEvent], ids=lambda own: own.__name__)
def test_a_class_of_ones_own_joins_in(own: Any, handler: WebhookHandler, delivery: Any) -> None:
    handler.register("account.updated", own)
    handler.on(own)(lambda made: (type(made), made.account_id, made.seats))
    handler.on_any(lambda event: type(event))
    arguments = delivery(body=b'{"event": "account_updated", "account_id": "acc_1", "seats": 3}')
    assert handler.handle(*arguments) == [(own, "acc_1", 3), UnknownEvent]
    assert handler.handle(*delivery("issue_new")) == [IssueNewEvent]
    assert handler.registered_event_types == ["account.updated"]


def test_a_class_of_ones_own_can_stand_for_a_typed_kind(handler: WebhookHandler, delivery: Any) -> None:
    @dataclasses.dataclass
    class Opened:
        issue_id: str

    handler.register("issue_new", Opened)
    handler.on(Opened, IssueAssignedEvent)(lambda made: made)
    assert handler.handle(*delivery("issue_new", issue_id="i1")) == [Opened("i1")]
    assert type(handler.handle(*delivery("issue_assigned"))[0]) is IssueAssignedEvent


# A body that Record or Model cannot be made of, and the failure.
UNFIT: dict[str, tuple[Any, bytes, type[Exception], str]] = {
    "a key that is missing": (Record, b'{"event": "account.updated"}', TypeError, "missing 1 required positional argument"),
    "a value of another type": (Model, b'{"event": "account.updated", "account_id": "a", "seats": "x"}', pydantic.ValidationError, "valid integer"),
    "from_event that raises": (FromEvent, b'{"event": "account.updated"}', ValueError, "invalid literal"),
}  # fmt: skip


@pytest.mark.parametrize(("own", "body", "error", "message"), UNFIT.values(), ids=UNFIT)
def test_a_body_that_does_not_fit_ones_own_class_is_the_failure_of_its_handler_alone(
    own: Any, body: bytes, error: type[Exception], message: str, handler: WebhookHandler, delivery: Any
) -> None:
    called: list[Any] = []
    handler.register("account.updated", own)
    handler.on(own)(called.append)
    handler.on_any(lambda event: called.append(type(event)))
    with pytest.raises(PylonWebhookHandlerErrors) as caught:
        handler.handle(*delivery(body=body))
    (failure,) = caught.value.exceptions
    assert type(failure) is error
    assert message in str(failure)
    assert called == [UnknownEvent]


def test_a_body_that_is_no_object_does_not_fit_ones_own_class() -> None:
    handler = WebhookHandler("s", event_name="account.updated")
    handler.register("account.updated", Record)
    handler.on(Record)(print)
    with pytest.raises(PylonWebhookHandlerErrors) as caught:
        handler.handle(b"[1]", sign("s", b"[1]"))
    (failure,) = caught.value.exceptions
    assert repr(failure) == "TypeError('Record is made of a JSON object, and the body is another value')"


# What register() does not take.
UNREGISTERED: dict[str, tuple[str, Any, type[Exception], str]] = {
    "arguments the wrong way round": (Record, "account.updated", TypeError, "register() needs a class"),  # type: ignore[dict-item]
    "a class of this package": ("x", IssueNewEvent, ValueError, "this class is an event class of the package: give it further names with names={...}"),
    "a base of this package": ("x", WebhookEvent, ValueError, "this class is an event class of the package: give it further names with names={...}"),
    "an empty name": (" ", Record, ValueError, "an event name is empty: pass the name that the trigger's template sends"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "own", "error", "message"), UNREGISTERED.values(), ids=UNREGISTERED)
def test_register_refuses_what_cannot_join(
    kind: str, own: Any, error: type[Exception], message: str, handler: WebhookHandler
) -> None:
    with pytest.raises(error) as caught:
        handler.register(kind, own)
    assert (type(caught.value), str(caught.value)) == (error, message)


def dates_as_text(fields: dict[str, Any]) -> dict[str, str]:
    """The date-times among the fields, as RFC 3339 text in UTC."""
    dates = {name: value for name, value in fields.items() if isinstance(value, datetime)}
    return {name: value.isoformat().replace("+00:00", "Z") for name, value in dates.items()}
