"""How pydantic takes events. Loaded when the native classes are first asked, so that importing the package stays quick."""

from __future__ import annotations

from ._native import WebhookEvent, parse_webhook_event

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from typing import Any

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema


def _validated(cls: type[WebhookEvent], value: object) -> WebhookEvent:
    """The event of a value for pydantic. In a union of event classes, only the class that the name means takes the value.

    `model_validate` alone accepts a name of no kind, because `names` may have mapped it. So the first class of a union would always win.
    """
    event = cls.model_validate(value)
    if (
        event is not value
        and event.event_type
        and cls.__module__ == WebhookEvent.__module__
        and not isinstance(parse_webhook_event(event.raw), cls)
    ):
        raise ValueError(f"{cls.__name__} cannot be made: event_type names no typed event")
    return event


def core_schema(cls: type[WebhookEvent], _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
    from pydantic_core.core_schema import no_info_plain_validator_function, plain_serializer_function_ser_schema

    return no_info_plain_validator_function(
        lambda value: _validated(cls, value),
        serialization=plain_serializer_function_ser_schema(
            lambda event, info: event.model_dump(mode=info.mode), info_arg=True
        ),
    )


def json_schema(cls: type[WebhookEvent], _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
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
