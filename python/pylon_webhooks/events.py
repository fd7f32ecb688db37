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

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    # The native classes load these when they first need them. PyInstaller and its like see only what Python files import.
    from . import _json, _pydantic  # noqa: F401 - loaded by native code

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
