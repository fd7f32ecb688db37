"""Events where pydantic and FastAPI are installed: fields of models, adapters, JSON schema, responses."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import httpx
import pytest
from fastapi import FastAPI
from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError

from pylon_webhooks import (
    BaseIssueEvent,
    IssueAssignedEvent,
    IssueNewEvent,
    MessageNewEvent,
    UnknownEvent,
    WebhookEvent,
    parse_webhook_event,
)

EVENT = IssueNewEvent(
    issue_id="i1",
    issue_number="1042",
    issue_tags="a, b",
    issue_last_message_sent_at="2026-01-02T03:04:05.5Z",
    issue_custom_field_tier="gold",
    region="eu",
)
DUMP = EVENT.model_dump(mode="json")


class Inbox(BaseModel):
    """A model with an event in it."""

    event: IssueNewEvent
    others: list[WebhookEvent] = []


def test_a_field_takes_an_event_as_it_is() -> None:
    other = parse_webhook_event(b'{"event_type": "issue_reaction"}')
    inbox = Inbox(event=EVENT, others=[other])
    assert inbox.event is EVENT
    assert inbox.others == [other]


def test_a_field_takes_a_dict_of_fields_and_gives_it_back() -> None:
    inbox = Inbox.model_validate({"event": DUMP, "others": [{"event_type": "issue_message_new"}, {"event_type": "x"}]})
    assert (type(inbox.event), inbox.event.model_dump()) == (IssueNewEvent, EVENT.model_dump())
    assert [type(other) for other in inbox.others] == [MessageNewEvent, UnknownEvent]
    assert inbox.model_dump(mode="json")["event"] == DUMP
    python = inbox.model_dump()["event"]
    assert python["issue_last_message_sent_at"] == datetime(2026, 1, 2, 3, 4, 5, 500000, UTC)
    assert json.loads(inbox.model_dump_json())["event"] == DUMP
    assert Inbox.model_validate_json(inbox.model_dump_json()).model_dump() == inbox.model_dump()


# What a field of IssueNewEvent refuses, and the message.
REFUSED: dict[str, tuple[Any, str]] = {
    "None": (None, "Value error, expected a dict of fields or an instance of IssueNewEvent, found None"),
    "text": ("{}", "Value error, expected a dict of fields or an instance of IssueNewEvent, found str"),
    "another event": (IssueAssignedEvent(), "Value error, expected a dict of fields or an instance of IssueNewEvent, found another object"),
    "another kind": ({"event_type": "issue_assigned"}, "Value error, IssueNewEvent cannot be made: event_type names issue_assigned"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_a_field_refuses_what_is_no_such_event(value: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Inbox(event=value)
    (error,) = caught.value.errors()
    assert (error["loc"], error["type"], error["msg"]) == (("event",), "value_error", message)


def test_a_value_without_json_is_a_validation_error_too() -> None:
    with pytest.raises(ValidationError, match="an event's field must be JSON or a date, not set"):
        Inbox(event={"issue_title": {1}})  # type: ignore[arg-type]


def test_a_union_takes_the_class_that_the_name_means() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(MessageNewEvent | IssueNewEvent | UnknownEvent)
    for body, cls in (
        (b'{"event_type": "issue_new"}', IssueNewEvent),
        (b'{"event_type": "issue_message_new"}', MessageNewEvent),
        (b'{"event_type": "ticket.created"}', UnknownEvent),
        (b'{"event_type": "issue_reaction"}', None),
    ):
        if cls is None:
            with pytest.raises(ValidationError):
                adapter.validate_json(body)
        else:
            assert type(adapter.validate_json(body)) is cls


def test_an_adapter_reads_and_writes_events() -> None:
    adapter = TypeAdapter(BaseIssueEvent)
    event = adapter.validate_json(json.dumps(DUMP))
    assert type(event) is IssueNewEvent
    assert adapter.dump_python(event, mode="json") == DUMP
    assert json.loads(adapter.dump_json(event)) == DUMP


# A field, and its schema without the description.
SCHEMA: dict[str, dict[str, Any]] = {
    "issue_id": {"type": "string"},
    "issue_number": {"type": ["integer", "null"]},
    "issue_tags": {"type": "array", "items": {"type": "string"}},
    "issue_last_message_sent_at": {"type": ["string", "null"], "format": "date-time"},
}


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_the_json_schema_has_every_field_with_its_type_and_description(
    mode: Literal["validation", "serialization"],
) -> None:
    schema = TypeAdapter(IssueNewEvent).json_schema(mode=mode)
    assert (schema["title"], schema["type"], schema["additionalProperties"]) == ("IssueNewEvent", "object", True)
    properties = schema["properties"]
    assert {*properties} == {*IssueNewEvent.__match_args__}
    assert properties["event_type"] == {"type": "string"}
    for name, expected in SCHEMA.items():
        described = properties[name]
        assert described.pop("description") == getattr(IssueNewEvent, name).__doc__
        assert described == expected
    message = TypeAdapter(MessageNewEvent).json_schema(mode=mode)["properties"]
    assert message["message_is_private"]["type"] == ["boolean", "null"]
    assert message["message_is_private"]["description"] == "Whether the message is an internal note."


def test_the_json_schema_of_a_model_names_no_second_definition_of_an_event() -> None:
    schema = Inbox.model_json_schema()
    assert schema["properties"]["event"]["title"] == "IssueNewEvent"


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/event")
    def give() -> IssueNewEvent:
        return EVENT

    @app.get("/inbox", response_model=Inbox)
    def give_inbox() -> Any:
        return {"event": EVENT}

    @app.post("/inbox")
    def take(inbox: Inbox) -> dict[str, Any]:
        return {"class": type(inbox.event).__name__, "id": inbox.event.issue_id}

    return app


def test_fastapi_answers_with_events_and_takes_them() -> None:
    assert request("GET", "/event") == (200, DUMP)
    assert request("GET", "/inbox") == (200, {"event": DUMP, "others": []})
    assert request("POST", "/inbox", {"event": DUMP}) == (200, {"class": "IssueNewEvent", "id": "i1"})
    status, answer = request("POST", "/inbox", {"event": {"event_type": "issue_assigned"}})
    assert status == 422
    assert answer["detail"][0]["msg"] == "Value error, IssueNewEvent cannot be made: event_type names issue_assigned"


def request(method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and JSON of the application's answer; no socket is opened."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=application())
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.request(method, path, json=body)

    response = asyncio.run(send())
    return response.status_code, response.json()


def test_openapi_describes_the_fields_of_an_event() -> None:
    described = application().openapi()
    answer = described["paths"]["/event"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["properties"]["issue_number"] == {
        "type": ["integer", "null"],
        "description": "The issue's number, as people see it.",
    }


def test_a_constrained_field_still_takes_events() -> None:
    def urgent(event: IssueNewEvent) -> IssueNewEvent:
        if "vip" not in event.issue_tags:
            raise ValueError("not urgent")
        return event

    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[IssueNewEvent, AfterValidator(urgent)])
    assert adapter.validate_python({"issue_tags": ["vip"]}).issue_tags == ["vip"]
    with pytest.raises(ValidationError, match="not urgent"):
        adapter.validate_python(EVENT)
