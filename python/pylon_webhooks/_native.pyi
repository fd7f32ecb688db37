"""The native half of the package: events, signing, and what `WebhookHandler` stands on."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, Self, final

from typing_extensions import disjoint_base

__all__ = [
    "Admitted",
    "BaseIssueEvent",
    "Field",
    "Intake",
    "IssueAssignedEvent",
    "IssueFieldChangedEvent",
    "IssueNewEvent",
    "IssueReactionEvent",
    "IssueSnapshotEvent",
    "IssueStateChangedEvent",
    "IssueTagsChangedEvent",
    "MemoryReplayStore",
    "MessageNewEvent",
    "Outcome",
    "Problem",
    "ReplayRule",
    "RequestFault",
    "UnknownEvent",
    "WebhookEvent",
    "__version__",
    "names_match",
    "parse_webhook_event",
    "probably_meant",
    "rebuild_event",
    "sample",
    "sign",
    "template",
]

__version__: str
"""Version of the package, from the one place that holds it: Cargo.toml."""

def sign(secret: str | bytes, payload: bytes | bytearray | memoryview | str, timestamp: str | int | None = None) -> str:
    """Sign a body as Pylon does: lowercase hexadecimal HMAC-SHA256, 64 digits; for tests and tools.

    secret: the secret as it stands; text means its UTF-8.
    payload: the body's raw bytes, or text that stands for its UTF-8.
    timestamp: Unix seconds, as int or text, where the delivery bears a timestamp: `{timestamp}.{payload}` is then signed; it goes in
    unchecked, so that a test can make odd deliveries.

    >>> sign("test-secret", b'{"id":"1"}')
    'b6ee61d26a3494ddc3437b55028299a9c39956dfdcf623629b0b1f7d0c64baf1'

    Raises ValueError for an empty secret, PylonWebhookPayloadError for a payload that is neither bytes nor text.
    """

def template(kind: str) -> str:
    """The body to paste into a trigger's "Send webhook" action, so that every typed field arrives under its name.

    kind: name of a typed event such as `issue_new`; case, and the choice among `_`, `.`, `-` and spaces, do not count.

    Raises ValueError for a name of no typed event.
    """

def sample(kind: str) -> bytes:
    """The body that Pylon would send of a kind's template, every variable replaced by a sample.

    Raises ValueError for a name of no typed event.
    """

def names_match(one: str, other: str) -> bool:
    """Whether two event names are one: case, outer white space, and the choice among `_`, `.`, `-` and spaces do not count."""

def probably_meant(name: str) -> str | None:
    """Name of the typed event that a name was probably meant to be: near it, and yet not it; None where there is none."""

def parse_webhook_event(payload: bytes | bytearray | memoryview | str | dict[str, Any]) -> WebhookEvent:
    """Read an event from a body without verifying anything.

    payload: the body's raw bytes, text that stands for its UTF-8, or a dict of fields.

    >>> parse_webhook_event(b'{"event_type": "issue_new", "issue_id": "i1"}')
    <IssueNewEvent event_type='issue_new' issue_id='i1', 45 bytes>

    Raises PylonWebhookPayloadError for a body that is not JSON, nests too deep, or is of another type.
    """

def rebuild_event(raw: bytes, event_type: str, kind: str | None, class_: type[WebhookEvent], /) -> WebhookEvent:
    """Make an event again of the bytes, name, kind and class that it had: what unpickling calls."""

@disjoint_base
class WebhookEvent:
    """Any event: the exact bytes, the name they bear, and their fields, each decoded when it is read.

    Frozen and hashable; equal when class, bytes, name and kind are. Made of keywords it is the event whose body holds them:
    values are JSON, `date` or `datetime`.

    Raises ValueError where `event_type` names an event of another class, TypeError for a value that JSON has no form for.
    """

    __match_args__ = ("event_type",)

    def __new__(cls, **fields: object) -> Self: ...
    @property
    def event_type(self) -> str:
        """Name as it was sent, or as it was fixed by configuration; empty when the body bears none."""

    @property
    def kind(self) -> str | None:
        """Name of the typed event that it is; None for an unknown one."""

    @property
    def raw(self) -> bytes:
        """Body, byte for byte."""

    @property
    def payload(self) -> Any:
        """Body as JSON, parsed when first asked for and kept; do not change it."""

    @property
    def custom_fields(self) -> dict[str, Any]:
        """Custom fields by slug, values as JSON; a new dict each time."""

    @property
    def extra(self) -> dict[str, Any]:
        """Keys that nothing typed has claimed, with their values; a new dict each time."""

    @property
    def problems(self) -> list[Problem]:
        """Fields without a typed value, and what had to be mended in the body."""

    def text(self, name: str) -> str:
        """Text that stands for a field before any typing, empty where there is none.

        name: a field's name, such as `issue_number`, or any key of the body.
        """

    def is_named(self, name: str) -> bool:
        """Whether the event bears this name, or is of the kind of this name; compares as `names_match` does."""

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        """Typed fields, custom fields and all other keys as a dict.

        mode: "python", or "json" where date-times are RFC 3339 text.

        Raises ValueError for another mode.
        """

    def model_dump_json(self) -> str:
        """What `model_dump(mode="json")` gives, as JSON text without spaces."""

    @classmethod
    def model_validate(cls, value: object) -> Self:
        """An event of this class, or of the one below it that fits best, from a dict of fields or such an event itself.

        Raises ValueError for another value, or where `event_type` names an event of another class.
        """

    @classmethod
    def model_validate_json(cls, body: str | bytes | bytearray | memoryview) -> Self:
        """An event of this class, or of the one below it that fits best, from a JSON body; keeps the body's bytes.

        Raises PylonWebhookPayloadError for a body that is not JSON, ValueError where it is no object or names an event of
        another class.
        """

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: object, /) -> Self: ...
    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object, /) -> Any:
        """How pydantic validates and serializes the class; pydantic calls it."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: object, /) -> dict[str, Any]:
        """JSON schema of the class; pydantic calls it."""

class BaseIssueEvent(WebhookEvent):
    """Any issue event, messages included, with the fields that all of them have."""

    __match_args__ = (
        "event_type",
        "issue_id",
        "issue_number",
        "issue_title",
        "issue_team_name",
        "issue_account_id",
        "issue_account_name",
        "issue_requester_email",
        "issue_requesteer_id",
        "issue_assignee_email",
        "issue_assignee_id",
        "issue_salesforce_account_id",
    )

    @property
    def issue_id(self) -> str:
        """The issue's opaque identifier."""

    @property
    def id(self) -> str:
        """Short for `issue_id`."""

    @property
    def issue_number(self) -> int | None:
        """The issue's number, as people see it."""

    @property
    def number(self) -> int | None:
        """Short for `issue_number`."""

    @property
    def issue_title(self) -> str:
        """The issue's title; customer-written."""

    @property
    def title(self) -> str:
        """Short for `issue_title`."""

    @property
    def issue_team_name(self) -> str:
        """Name of the team that has the issue."""

    @property
    def team_name(self) -> str:
        """Short for `issue_team_name`."""

    @property
    def issue_account_id(self) -> str:
        """The account's opaque identifier."""

    @property
    def account_id(self) -> str:
        """Short for `issue_account_id`."""

    @property
    def issue_account_name(self) -> str:
        """The account's name."""

    @property
    def account_name(self) -> str:
        """Short for `issue_account_name`."""

    @property
    def issue_requester_email(self) -> str:
        """Email address of the requester."""

    @property
    def requester_email(self) -> str:
        """Short for `issue_requester_email`."""

    @property
    def issue_requesteer_id(self) -> str:
        """The requester's opaque identifier; `issue_requester_id` is read too."""

    @property
    def requesteer_id(self) -> str:
        """Short for `issue_requesteer_id`."""

    @property
    def issue_requester_id(self) -> str:
        """`issue_requesteer_id`, spelled as it should be."""

    @property
    def requester_id(self) -> str:
        """Short for `issue_requesteer_id`."""

    @property
    def issue_assignee_email(self) -> str:
        """Email address of the assignee."""

    @property
    def assignee_email(self) -> str:
        """Short for `issue_assignee_email`."""

    @property
    def issue_assignee_id(self) -> str:
        """The assignee's opaque identifier."""

    @property
    def assignee_id(self) -> str:
        """Short for `issue_assignee_id`."""

    @property
    def issue_salesforce_account_id(self) -> str:
        """The account's opaque identifier in Salesforce."""

    @property
    def salesforce_account_id(self) -> str:
        """Short for `issue_salesforce_account_id`."""

class IssueSnapshotEvent(BaseIssueEvent):
    """Any issue event but a message, with the issue's state at that time."""

    __match_args__ = (
        "event_type",
        "issue_id",
        "issue_number",
        "issue_title",
        "issue_team_name",
        "issue_account_id",
        "issue_account_name",
        "issue_requester_email",
        "issue_requesteer_id",
        "issue_assignee_email",
        "issue_assignee_id",
        "issue_salesforce_account_id",
        "issue_body",
        "issue_status",
        "issue_sf_type",
        "issue_last_message_sent_at",
        "issue_link",
        "issue_tags",
        "issue_account_domains",
        "issue_attachment_urls",
    )

    @property
    def issue_body(self) -> str:
        """The issue's first text, HTML or plain; customer-written, escape it before showing it."""

    @property
    def body(self) -> str:
        """Short for `issue_body`."""

    @property
    def issue_status(self) -> str:
        """The issue's status: a slug such as `waiting_on_you`, or a label of the workspace's own."""

    @property
    def status(self) -> str:
        """Short for `issue_status`."""

    @property
    def issue_sf_type(self) -> str:
        """The issue's type in Salesforce."""

    @property
    def sf_type(self) -> str:
        """Short for `issue_sf_type`."""

    @property
    def issue_last_message_sent_at(self) -> datetime | None:
        """When the last message was sent."""

    @property
    def last_message_sent_at(self) -> datetime | None:
        """Short for `issue_last_message_sent_at`."""

    @property
    def issue_link(self) -> str:
        """Address of the issue in Pylon."""

    @property
    def link(self) -> str:
        """Short for `issue_link`."""

    @property
    def issue_tags(self) -> list[str]:
        """The issue's tags."""

    @property
    def tags(self) -> list[str]:
        """Short for `issue_tags`."""

    @property
    def issue_account_domains(self) -> list[str]:
        """The account's domains."""

    @property
    def account_domains(self) -> list[str]:
        """Short for `issue_account_domains`."""

    @property
    def issue_attachment_urls(self) -> list[str]:
        """Addresses of the issue's attachments."""

    @property
    def attachment_urls(self) -> list[str]:
        """Short for `issue_attachment_urls`."""

class IssueNewEvent(IssueSnapshotEvent):
    """A new issue was created: `issue_new`."""

class IssueAssignedEvent(IssueSnapshotEvent):
    """An issue was assigned: `issue_assigned`."""

class IssueStateChangedEvent(IssueSnapshotEvent):
    """An issue's state changed: `issue_status_changed`."""

    @property
    def new_state(self) -> str:
        """The state that the issue has come into: `new_state` or `new_status` where the body names it, else its status."""

class IssueFieldChangedEvent(IssueSnapshotEvent):
    """A field of an issue changed: `issue_field_changed`."""

class IssueTagsChangedEvent(IssueSnapshotEvent):
    """An issue's tags changed: `issue_tags_changed`."""

class IssueReactionEvent(IssueSnapshotEvent):
    """Somebody reacted to an issue: `issue_reaction`."""

class MessageNewEvent(BaseIssueEvent):
    """A new message came in on an issue: `issue_message_new`."""

    __match_args__ = (
        "event_type",
        "issue_id",
        "issue_number",
        "issue_title",
        "issue_team_name",
        "issue_account_id",
        "issue_account_name",
        "issue_requester_email",
        "issue_requesteer_id",
        "issue_assignee_email",
        "issue_assignee_id",
        "issue_salesforce_account_id",
        "message_id",
        "message_author_id",
        "message_author_name",
        "message_body_html",
        "message_ccs",
        "message_is_private",
        "message_sent_at",
    )

    @property
    def message_id(self) -> str:
        """The message's opaque identifier."""

    @property
    def message_author_id(self) -> str:
        """The author's opaque identifier."""

    @property
    def message_author_name(self) -> str:
        """The author's name."""

    @property
    def message_body_html(self) -> str:
        """The message as HTML; customer-written, escape or clean it before showing it."""

    @property
    def message_ccs(self) -> list[str]:
        """Addresses in copy."""

    @property
    def message_is_private(self) -> bool | None:
        """Whether the message is an internal note."""

    @property
    def message_sent_at(self) -> datetime | None:
        """When the message was sent."""

class UnknownEvent(WebhookEvent):
    """A body of any other kind, or of none; `event_type` is the name that it bore."""

@final
class Problem:
    """A typed field without a typed value, or a body that had to be mended to be read; `str` gives both parts."""

    def __new__(cls, field: str, reason: str) -> Self: ...
    def __getnewargs__(self) -> tuple[str, str]: ...
    @property
    def field(self) -> str:
        """Field's name, or `payload` for the body as a whole."""

    @property
    def reason(self) -> str:
        """Why there is no typed value, in a few words and never with the value itself."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Field:
    """A typed field as an attribute of the event classes: `IssueNewEvent.issue_title` is one."""

    @property
    def name(self) -> str:
        """Name under which the field is read and sent."""

    @property
    def shape(self) -> Literal["text", "number", "boolean", "date_time", "list", "other"]:
        """What it reads as: str, int, bool, datetime or list of str."""

    def __get__(self, event: WebhookEvent | None, owner: type | None = None, /) -> Any: ...
    def __set__(self, event: object, value: object, /) -> None:
        """Raises AttributeError: events are frozen."""

    def __delete__(self, event: object, /) -> None:
        """Raises AttributeError: events are frozen."""

@final
class Intake:
    """What is accepted at an address: who is believed, what an event is, how large a body may be.

    `WebhookHandler` and `Endpoint` stand on it. Immutable; safe to share between threads.

    verify_signature: False believes every delivery.

    Raises ValueError or TypeError for a setting that cannot hold.
    """

    def __new__(
        cls,
        secrets: Sequence[str | bytes],
        *,
        verify_signature: bool,
        tolerance_seconds: int,
        require_timestamp: bool,
        signature_header: str,
        timestamp_header: str,
        clock: Callable[[], float] | None,
        kind: str | None,
        kind_pointer: str | None,
        names: Sequence[tuple[str, str]],
        depth_limit: int,
    ) -> Self: ...
    def with_body_limit(self, bytes: int) -> Intake:
        """The same with another limit for the body, bytes; 1 MiB unless set."""

    @property
    def body_limit(self) -> int:
        """The largest body that is accepted, bytes."""

    def admit(self, method: str, headers: object) -> Admitted | RequestFault:
        """Decide by method and headers whether the body is read; the headers are gone through once.

        headers: a mapping, or pairs of name and value, as text or bytes.
        """

    def verify(self, payload: object, signature: object, timestamp: object) -> None:
        """Verify a delivery, whatever `verify_signature` was.

        Raises PylonWebhookSignatureError, PylonWebhookTimestampError or PylonWebhookPayloadError, whatever the arguments are.
        """

    def receive(self, payload: object, signature: object, timestamp: object, headers: object) -> WebhookEvent:
        """Verify a delivery and read its event; `headers`, or a signature that has items, stands for all the headers.

        Raises as `verify` does, and TypeError where `headers` comes with a signature or timestamp.
        """

    def kind_of(self, name: str) -> str | None:
        """Name of the typed event that a name means here; None where it means none."""

@final
class Admitted:
    """A request whose method and declared length are right: its body may be read. Made by `Intake.admit`."""

    @property
    def body_limit(self) -> int:
        """The largest body that is accepted, bytes: read no more than this and one piece."""

    def receive(
        self, body: object, rule: ReplayRule | None = None
    ) -> tuple[WebhookEvent, tuple[str, int | None] | None] | RequestFault:
        """Take the whole body, verify the delivery, and read its event.

        Returns the event, and with a rule the key that a replay guard remembers it by and the Unix second from which on the key may
        be forgotten; None for the key without a rule, and where the rule finds nothing in the event to go by. Returns a RequestFault
        for a body that is too large or not whole.

        Raises PylonWebhookSignatureError, PylonWebhookTimestampError or PylonWebhookPayloadError.
        """

@final
class Outcome:
    """What comes of a request, and so what the sender is told: the class of it, never why.

    >>> Outcome.UNAUTHORIZED.status, Outcome.UNAUTHORIZED.body
    (401, b'{"error":"unauthorized"}')
    """

    HANDLED: ClassVar[Outcome]
    """All handlers ran: 200."""
    ACCEPTED: ClassVar[Outcome]
    """The handlers will run in the background: 200."""
    DUPLICATE: ClassVar[Outcome]
    """The replay guard has seen it before; no handler ran: 200."""
    IGNORED: ClassVar[Outcome]
    """An authentic event of a class that the function behind it does not take; it did not run: 200."""
    UNREADABLE: ClassVar[Outcome]
    """The body is not JSON, or did not arrive whole: 400."""
    UNAUTHORIZED: ClassVar[Outcome]
    """The signature or the timestamp was refused: 401."""
    METHOD_NOT_ALLOWED: ClassVar[Outcome]
    """Not a POST: 405."""
    TOO_LARGE: ClassVar[Outcome]
    """The body is larger than the limit: 413."""
    FAILED: ClassVar[Outcome]
    """A handler failed, or something that stands before the handlers; the sender may try again: 500."""
    UNAVAILABLE: ClassVar[Outcome]
    """The app is shutting down, or has as many events waiting as it takes; the sender may try again: 503."""

    @staticmethod
    def of_code(code: str) -> Outcome:
        """Outcome of a delivery that failed with an error of this code: `signature_mismatch` is UNAUTHORIZED."""

    @property
    def name(self) -> str:
        """Stable name, for logs and metrics: `handled`, `unauthorized`..."""

    @property
    def status(self) -> int:
        """Status code to answer with."""

    @property
    def body(self) -> bytes:
        """Body to answer with, JSON; a HEAD request is answered without it."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Headers to answer with, beside the body's length; names in lower case."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RequestFault:
    """Why a request was refused before its signature was looked at; `str` says it to the operator."""

    BROKEN: ClassVar[RequestFault]
    """The body could not be read to the end."""
    CONSUMED: ClassVar[RequestFault]
    """Something before this had read the body."""

    @staticmethod
    def too_large(limit: int) -> RequestFault:
        """A body of more bytes than the limit."""

    @property
    def outcome(self) -> Outcome:
        """What to answer."""

@final
class ReplayRule:
    """What makes two deliveries the same."""

    @staticmethod
    def exact_request() -> ReplayRule:
        """The same timestamp, where there is one, and the same body."""

    @staticmethod
    def pointer(pointer: str, window_seconds: int | None) -> ReplayRule:
        """The same event name, and the same value where the JSON pointer leads.

        Raises ValueError for a pointer that does not begin with `/`.
        """

    @staticmethod
    def body_hash(window_seconds: int) -> ReplayRule:
        """The same body."""

@final
class MemoryReplayStore:
    """Remembers keys in this process, a bounded number of them: forgotten when it ends, and not shared with others.

    >>> store = MemoryReplayStore(capacity=1000)
    >>> store.first_seen("a", None), store.first_seen("a", None)
    (True, False)

    When it is full, the key that expires first makes room; of those that never expire, the oldest.

    Raises ValueError for a capacity below 1, TypeError for a clock that cannot be called.
    """

    def __new__(cls, capacity: int = 100_000, *, clock: Callable[[], float] | None = None) -> Self: ...
    def first_seen(self, key: str, expires: int | None) -> bool:
        """Remember the key until `expires` (Unix seconds; None: for ever), and say whether it was not remembered already."""

    def forget(self, key: str) -> None:
        """Forget the key."""

    def __len__(self) -> int: ...
