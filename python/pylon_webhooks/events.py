"""The events: frozen native classes, aliases of them, and their pydantic schemas."""

from __future__ import annotations

from ._native import (
    BaseIssueEvent,
    IssueAssignedEvent,
    IssueFieldChangedEvent,
    IssueNewEvent,
    IssueReactionEvent,
    IssueSnapshotEvent,
    IssueStateChangedEvent,
    IssueTagsChangedEvent,
    MessageNewEvent,
    Problem,
    UnknownEvent,
    WebhookEvent,
    parse_webhook_event,
)

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from typing import Any

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

__all__ = [
    "BaseIssueEvent",
    "IssueAssignedEvent",
    "IssueFieldChangedEvent",
    "IssueMessageNewEvent",
    "IssueNewEvent",
    "IssueReactionEvent",
    "IssueSnapshotEvent",
    "IssueStateChangedEvent",
    "IssueStatusChangedEvent",
    "IssueTagsChangedEvent",
    "MessageNewEvent",
    "Problem",
    "PylonWebhookEvent",
    "UnknownEvent",
    "WebhookEvent",
    "parse_webhook_event",
]

#: An alias of IssueStateChangedEvent, after the name on the wire.
IssueStatusChangedEvent = IssueStateChangedEvent
#: An alias of MessageNewEvent, after the name on the wire.
IssueMessageNewEvent = MessageNewEvent
#: Any event.
PylonWebhookEvent = WebhookEvent


def _validated(cls: type[WebhookEvent], value: object) -> WebhookEvent:
    """The event of a value for pydantic. In a union of event classes, only the class that the name means takes the value.

    `model_validate` alone accepts a name of no kind, because `names` may have mapped it. So the first class of a union would always win.
    """
    event = cls.model_validate(value)
    if (
        event is not value
        and event.event_type
        and cls.__module__ == __name__
        and not isinstance(parse_webhook_event(event.raw), cls)
    ):
        raise ValueError(f"{cls.__name__} cannot be made: event_type names no typed event")
    return event


def _core_schema(cls: type[WebhookEvent], _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
    from pydantic_core import core_schema

    return core_schema.no_info_plain_validator_function(
        lambda value: _validated(cls, value),
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda event, info: event.model_dump(mode=info.mode), info_arg=True
        ),
    )


def _json_schema(cls: type[WebhookEvent], _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
    types: dict[str, dict[str, Any]] = {
        "text": {"type": "string"},
        "number": {"type": ["integer", "null"]},
        "boolean": {"type": ["boolean", "null"]},
        "date_time": {"type": ["string", "null"], "format": "date-time"},
        "list": {"type": "array", "items": {"type": "string"}},
    }
    fields = [getattr(cls, name) for name in cls.__match_args__ if name != "event_type"]
    described = {field.name: {**types[field.shape], "description": field.__doc__} for field in fields}
    return {
        "title": cls.__name__,
        "type": "object",
        "properties": {"event_type": {"type": "string"}, **described},
        "additionalProperties": True,
    }


WebhookEvent.__get_pydantic_core_schema__ = classmethod(_core_schema)  # type: ignore[method-assign, assignment]
WebhookEvent.__get_pydantic_json_schema__ = classmethod(_json_schema)  # type: ignore[method-assign, assignment]
