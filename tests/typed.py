"""What type checkers must make of the package; checked by basedpyright and mypy, never run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, assert_type

from fastapi import APIRouter, Depends
from flask import Response as FlaskResponse

from pylon.webhooks import WebhookHandler, parse_webhook_event
from pylon.webhooks.events import (
    IssueNewEvent,
    IssueStateChangedEvent,
    MessageNewEvent,
    PylonWebhookEvent,
    UnknownEvent,
    WebhookEvent,
)
from pylon.webhooks.exceptions import PylonWebhookHandlerErrors, PylonWebhookPayloadError, PylonWebhookTimestampError
from pylon_webhooks import (
    Arrival,
    Endpoint,
    MemoryReplayStore,
    Outcome,
    ReplayGuard,
    ReplayStore,
    RequestFault,
)
from pylon_webhooks.fastapi import verified_event as fastapi_event
from pylon_webhooks.fastapi import webhook_router
from pylon_webhooks.flask import verified_event as flask_event

handler = WebhookHandler(secret=["new", b"old"], names={"issue.created": IssueNewEvent})


@handler.on(IssueNewEvent, "issue_assigned")
def sync_handler(event: IssueNewEvent) -> int:
    return event.issue_number or 0


@handler.on_any
async def bare(event: WebhookEvent) -> str:
    return event.event_type


@handler.on_any()
async def called(event: WebhookEvent) -> str:
    return event.event_type


@handler.on_error
def told(error: Exception) -> None: ...


# Decorators keep the function's type.
assert_type(sync_handler(IssueNewEvent()), int)
takes_event: Callable[[WebhookEvent], Coroutine[Any, Any, str]] = bare
takes_event = called
assert_type(told(ValueError()), None)


async def receive() -> None:
    assert_type(handler.handle(b"{}", "00", None), list[Any])
    assert_type(await handler.ahandle(b"{}", headers={"a": "b"}), list[Any])
    assert_type(handler.handle(bytearray(), {"a": ["b"]}), list[Any])
    assert_type(handler.handle_headers(memoryview(b""), [(b"a", b"b")]), list[Any])
    assert_type(handler.dispatch(IssueNewEvent(issue_id="i1")), list[Any])


def read(event: IssueNewEvent, message: MessageNewEvent, change: IssueStateChangedEvent) -> None:
    assert_type(event.issue_title, str)
    assert_type(event.title, str)
    assert_type(event.number, int | None)
    assert_type(event.issue_tags, list[str])
    assert_type(event.issue_last_message_sent_at, datetime | None)
    assert_type(message.message_is_private, bool | None)
    assert_type(change.new_state, str)
    assert_type(event.issue_requester_id, str)
    assert_type(event.custom_fields, dict[str, Any])
    assert_type(event.raw, bytes)
    assert_type(event.kind, str | None)
    assert_type(event.problems[0].reason, str)
    assert_type(IssueNewEvent.model_validate({}), IssueNewEvent)
    print(event.assigne_id)  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] - a slip is seen
    event.issue_title = "x"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue] - events are frozen


def take_apart(event: PylonWebhookEvent) -> str:
    match event:
        case IssueNewEvent(issue_number=number, title=title):
            assert_type(number, int | None)
            return title
        case MessageNewEvent(_, issue_id):
            return issue_id
        case UnknownEvent(event_type):
            return event_type
        case _:
            return ""


def refuse(error: PylonWebhookTimestampError | PylonWebhookPayloadError, group: PylonWebhookHandlerErrors) -> None:
    assert_type(error.code, str)
    assert_type(group.event, WebhookEvent)
    if isinstance(error, PylonWebhookTimestampError):
        assert_type(error.age_seconds, int | None)
    else:
        assert_type(error.payload, bytes | None)


assert_type(parse_webhook_event(b"{}"), WebhookEvent)


class Store:
    """Parameters are called as the class likes."""

    def first_seen(self, delivery: str, until: int | None) -> bool:
        return bool(delivery) and until is None

    def forget(self, delivery: str) -> None: ...


class AsyncStore:
    async def first_seen(self, name: str, end: int | None = None) -> bool:
        return bool(name) and end is None

    async def forget(self, name: str) -> int:
        return len(name)


stores: list[ReplayStore] = [Store(), AsyncStore(), MemoryReplayStore()]
endpoint = Endpoint(handler, replay_guard=ReplayGuard.pointer("/message_id", store=Store()))
assert_type(endpoint.is_async, bool)
assert_type(endpoint.respond("POST", [(b"a", "b")], lambda limit: RequestFault.too_large(limit)), Outcome)
assert_type(endpoint.respond("POST", {}, "{}"), Outcome)


async def read_body(limit: int) -> bytes:
    return b"{}"[:limit]


async def take() -> None:
    for arrival in (endpoint.receive("POST", {}, b""), await endpoint.areceive("POST", {}, read_body)):
        if isinstance(arrival, Arrival):
            with arrival as entered:
                assert_type(entered, Arrival)
            async with arrival as entered:
                assert_type(entered, Arrival)
            assert_type(arrival.event, WebhookEvent)
            assert_type(arrival.settle(), None)
            assert_type(arrival.give_back(), None)
            assert_type(await arrival.agive_back(), None)
        else:
            assert_type(arrival, Outcome)


@flask_event(handler, IssueNewEvent)
def view(event: IssueNewEvent, tenant: str) -> str:
    return event.issue_title + tenant


@flask_event(endpoint)
def view_of_all(event: WebhookEvent) -> tuple[str, int]:
    return event.event_type, 503


assert_type(view("tenant"), str | FlaskResponse)
assert_type(view_of_all(), tuple[str, int] | FlaskResponse)


def path_function(event: Annotated[IssueNewEvent, Depends(fastapi_event(handler, IssueNewEvent))]) -> str:
    return event.issue_title


assert_type(webhook_router(endpoint, prefix="/hooks", tags=["hooks"]), APIRouter)
