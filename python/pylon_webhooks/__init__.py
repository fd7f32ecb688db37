"""Receive Pylon (usepylon.com) webhooks: verify each delivery, read its event, call your handlers."""

from . import (
    _late,  # noqa: F401 # pyright: ignore[reportUnusedImport] - native code calls it
    background,
    endpoint,
    events,
    exceptions,
    handler,
    replay,
)
from ._native import Problem, __version__, names_match, sign, template
from .background import Background
from .endpoint import Arrival, Endpoint, Outcome, RequestFault
from .events import (
    BaseIssueEvent,
    IssueAssignedEvent,
    IssueFieldChangedEvent,
    IssueMessageNewEvent,
    IssueNewEvent,
    IssueReactionEvent,
    IssueSnapshotEvent,
    IssueStateChangedEvent,
    IssueStatusChangedEvent,
    IssueTagsChangedEvent,
    MessageNewEvent,
    PylonWebhookEvent,
    UnknownEvent,
    WebhookEvent,
    parse_webhook_event,
)
from .exceptions import (
    PylonWebhookAsyncHandlerError,
    PylonWebhookError,
    PylonWebhookHandlerErrors,
    PylonWebhookNameWarning,
    PylonWebhookPayloadError,
    PylonWebhookSignatureError,
    PylonWebhookTimestampError,
    PylonWebhookUnverifiedWarning,
)
from .handler import WebhookHandler
from .replay import MemoryReplayStore, ReplayGuard

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from .replay import ReplayStore

__all__ = [
    "Arrival",
    "Background",
    "BaseIssueEvent",
    "Endpoint",
    "IssueAssignedEvent",
    "IssueFieldChangedEvent",
    "IssueMessageNewEvent",
    "IssueNewEvent",
    "IssueReactionEvent",
    "IssueSnapshotEvent",
    "IssueStateChangedEvent",
    "IssueStatusChangedEvent",
    "IssueTagsChangedEvent",
    "MemoryReplayStore",
    "MessageNewEvent",
    "Outcome",
    "Problem",
    "PylonWebhookAsyncHandlerError",
    "PylonWebhookError",
    "PylonWebhookEvent",
    "PylonWebhookHandlerErrors",
    "PylonWebhookNameWarning",
    "PylonWebhookPayloadError",
    "PylonWebhookSignatureError",
    "PylonWebhookTimestampError",
    "PylonWebhookUnverifiedWarning",
    "ReplayGuard",
    "ReplayStore",
    "RequestFault",
    "UnknownEvent",
    "WebhookEvent",
    "WebhookHandler",
    "__version__",
    "background",
    "endpoint",
    "events",
    "exceptions",
    "handler",
    "names_match",
    "parse_webhook_event",
    "replay",
    "sign",
    "template",
]


def __getattr__(name: str) -> object:
    # A protocol loads `typing`.
    if name == "ReplayStore":
        from .replay import ReplayStore

        return ReplayStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
