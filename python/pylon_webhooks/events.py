"""The events: frozen native classes, and aliases of them."""

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
