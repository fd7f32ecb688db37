"""The native half of the package: events, signing, and the core of `WebhookHandler` and `Endpoint`."""

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
    "kind_named",
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

    secret: the secret, used byte for byte; text is encoded as UTF-8.
    payload: the body's raw bytes, or text, which is encoded as UTF-8.
    timestamp: Unix seconds, as int or text, to sign `{timestamp}.{payload}`. It is not checked, so that a test can sign a malformed one.

    >>> sign("test-secret", b'{"id":"1"}')
    'b6ee61d26a3494ddc3437b55028299a9c39956dfdcf623629b0b1f7d0c64baf1'

    Raises ValueError for an empty secret, PylonWebhookPayloadError for a payload that is neither bytes nor text.
    """

def template(kind: str) -> str:
    """The body to paste into a trigger's "Send webhook" action, so that every typed field arrives under its name.

    kind: name of a typed event such as `issue_new`. Case does not count, and `_`, `.`, `-` and spaces are equal.

    Raises ValueError for a name of no typed event.
    """

def sample(kind: str) -> bytes:
    """The body that Pylon sends with a kind's template, with a sample value for each variable.

    Raises ValueError for a name of no typed event.
    """

def names_match(one: str, other: str) -> bool:
    """Whether two event names are equal. Outer whitespace and case do not count, and `_`, `.`, `-` and spaces are equal."""

def kind_named(name: str) -> str | None:
    """The kind of this name, or the kind whose class has this name: "issue_message_new" for "MessageNewEvent". None for any other."""

def probably_meant(name: str) -> str | None:
    """The kind that an unknown name probably means: misspelled, cut short, or taken from the name of the class. None when there is none."""

def parse_webhook_event(payload: bytes | bytearray | memoryview | str | dict[str, Any]) -> WebhookEvent:
    """Read an event from a body. Checks no signature.

    payload: the body's raw bytes, text, which is encoded as UTF-8, or a dict of fields.

    >>> parse_webhook_event(b'{"event_type": "issue_new", "issue_id": "i1"}')
    <IssueNewEvent event_type='issue_new' issue_id='i1', 45 bytes>

    Raises PylonWebhookPayloadError for a body that is not JSON, nests too deep, or is of another type.
    """

def rebuild_event(raw: bytes, event_type: str, kind: str | None, class_: type[WebhookEvent], /) -> WebhookEvent:
    """Rebuild an event from its bytes, name, kind and class. Unpickling calls it."""

@disjoint_base
class WebhookEvent:
    """Any event: the exact bytes, the event's name and kind, and its fields, each decoded when it is read.

    Frozen and hashable. Two events are equal when their classes, bytes, names and kinds are equal. Keywords make an event whose body has
    these fields; values are JSON, `date` or `datetime`.

    Raises ValueError when `event_type` names an event of another class, TypeError for a value that JSON cannot represent.
    """

    __match_args__ = ("event_type",)

    def __new__(cls, **fields: object) -> Self: ...
    @property
    def event_type(self) -> str:
        """Event's name as it was sent, or as configured; empty when the body has none."""

    @property
    def kind(self) -> str | None:
        """Name of the kind that the event is taken for; None for an unknown event."""

    @property
    def raw(self) -> bytes:
        """Body, byte for byte."""

    @property
    def payload(self) -> Any:
        """Body as JSON, parsed on each access: one handler's changes are invisible to the others."""

    @property
    def custom_fields(self) -> dict[str, Any]:
        """Custom fields by slug, values as JSON; a new dict each time."""

    @property
    def extra(self) -> dict[str, Any]:
        """Keys and values that no typed field uses; a new dict each time."""

    @property
    def problems(self) -> list[Problem]:
        """Fields without a typed value, and what was repaired in the body."""

    def text(self, name: str) -> str:
        """Text of a field before typing, empty when there is none.

        name: a field's name, such as `issue_number`, or any key of the body.
        """

    def is_named(self, name: str) -> bool:
        """Whether the event has this name, or is of the kind with this name or with the class of this name.

        Names are compared by `names_match`.
        """

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        """Typed fields, custom fields and all other keys as a dict.

        mode: "python", or "json" where date-times are RFC 3339 text.

        Raises ValueError for another mode.
        """

    def model_dump_json(self) -> str:
        """The result of `model_dump(mode="json")` as JSON text without spaces."""

    @classmethod
    def model_validate(cls, value: object) -> Self:
        """An event of this class or its most specific subclass, from a dict of fields; an event of this class is returned unchanged.

        Raises ValueError for another value, or when `event_type` names an event of another class.
        """

    @classmethod
    def model_validate_json(cls, body: str | bytes | bytearray | memoryview) -> Self:
        """An event of this class or its most specific subclass, from a JSON body. Keeps the body's bytes.

        Raises PylonWebhookPayloadError for a body that is not JSON, ValueError when it is not an object or names an event of
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
    """Any issue event, including messages, with the fields that all of them have."""

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
    """Any issue event except a message, with the issue's state at that time."""

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
    """A typed field without a typed value, or a repaired body; `str` gives both parts."""

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
    """The settings of an address: verifier, reader and body limit. Immutable, and safe to share between threads.

    verify_signature: False accepts every delivery.

    Raises ValueError or TypeError for an invalid setting.
    """

    def __new__(
        cls,
        secrets: Sequence[object],
        *,
        verify_signature: bool,
        tolerance_seconds: int,
        require_timestamp: bool,
        signature_header: str,
        timestamp_header: str,
        clock: Callable[[], float] | None,
        event_name: str | None,
        event_name_pointer: str | None,
        names: Sequence[tuple[str, str]],
        depth_limit: int,
    ) -> Self: ...
    def with_body_limit(self, bytes: int) -> Intake:
        """The same with another limit for the body, bytes; 1 MiB unless set."""

    @property
    def secret_flaws(self) -> list[str]:
        """What is probably wrong with the secrets, a sentence each."""

    @property
    def body_limit(self) -> int:
        """The largest body that is accepted, bytes."""

    def admit(self, method: str, headers: object) -> Admitted | RequestFault:
        """Decide by method and headers whether to read the body. Goes through the headers once.

        headers: a mapping, or pairs of name and value, as text or bytes.
        """

    def verify(self, payload: object, signature: object, timestamp: object) -> None:
        """Verify a delivery, whatever `verify_signature` was.

        Raises PylonWebhookSignatureError, PylonWebhookTimestampError or PylonWebhookPayloadError, whatever the arguments are.
        """

    def receive(self, payload: object, signature: object, timestamp: object, headers: object) -> WebhookEvent:
        """Verify a delivery and read its event. `headers`, or a mapping as signature, means all headers.

        Raises as `verify` does, and TypeError when `headers` comes with a signature or timestamp.
        """

    def kind_of(self, name: str) -> str | None:
        """Name of the kind that a name means to this handler; None when it means none."""

@final
class Admitted:
    """A request whose method and declared length are accepted. Its body can be read. Made by `Intake.admit`."""

    @property
    def body_limit(self) -> int:
        """The largest body that is accepted, bytes. Read no more than one piece beyond it."""

    def broken(self) -> RequestFault:
        """Why there is no body when reading it failed."""

    def receive(
        self, body: object, rule: ReplayRule | None = None
    ) -> tuple[WebhookEvent, tuple[str, int | None] | None] | RequestFault:
        """Take the whole body, verify the delivery, and read its event.

        Returns the event and its replay key: the key, and the Unix time in seconds at which it may be forgotten. The replay key is None
        without a rule, and when the rule finds no value in the event. Returns a RequestFault for a body that is too large or incomplete.

        Raises PylonWebhookSignatureError, PylonWebhookTimestampError or PylonWebhookPayloadError.
        """

@final
class Outcome:
    """The result of a request, as the sender sees it. It shows the class of a refusal, never the reason.

    >>> Outcome.UNAUTHORIZED.status, Outcome.UNAUTHORIZED.body
    (401, b'{"error":"unauthorized"}')
    """

    HANDLED: ClassVar[Outcome]
    """All handlers ran: 200."""
    ACCEPTED: ClassVar[Outcome]
    """The handlers will run in the background: 200."""
    DUPLICATE: ClassVar[Outcome]
    """The replay guard has seen the delivery before. No handler ran: 200."""
    IGNORED: ClassVar[Outcome]
    """An authentic event of a class that the function does not take. The function did not run: 200."""
    UNREADABLE: ClassVar[Outcome]
    """The body is not JSON or is incomplete: 400."""
    UNAUTHORIZED: ClassVar[Outcome]
    """The signature or the timestamp was refused: 401."""
    METHOD_NOT_ALLOWED: ClassVar[Outcome]
    """Not a POST, PUT or PATCH: 405."""
    LENGTH_REQUIRED: ClassVar[Outcome]
    """The request has no length, and the server gives the app no body without one: 411."""
    TOO_LARGE: ClassVar[Outcome]
    """The body is larger than the limit: 413."""
    FAILED: ClassVar[Outcome]
    """A handler, the replay store or the clock failed. The sender can retry: 500."""
    UNAVAILABLE: ClassVar[Outcome]
    """The app is shutting down, has no room for more events, or is handling a copy. The sender can retry: 503."""

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
        """Headers to answer with, except the body's length. Names are in lower case."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RequestFault:
    """Why a request was refused before its signature was checked. `str` gives the reason for the log."""

    BROKEN: ClassVar[RequestFault]
    """The body could not be read to the end."""
    CONSUMED: ClassVar[RequestFault]
    """Something else in the app had already read the body."""
    LENGTH_REQUIRED: ClassVar[RequestFault]
    """The server gave the app no body: neither its length nor its end."""

    @staticmethod
    def too_large(limit: int) -> RequestFault:
        """A body of more bytes than the limit."""

    @property
    def outcome(self) -> Outcome:
        """What to answer."""

@final
class ReplayRule:
    """The rule that decides whether two deliveries are the same."""

    @staticmethod
    def exact_request() -> ReplayRule:
        """The same timestamp, if there is one, and the same body."""

    @staticmethod
    def pointer(pointer: str, window_seconds: int | None) -> ReplayRule:
        """The same kind or event name, and the same value at the JSON pointer.

        Raises ValueError for a pointer that does not start with `/`.
        """

    @staticmethod
    def body_hash(window_seconds: int) -> ReplayRule:
        """The same body."""

@final
class MemoryReplayStore:
    """Remembers a bounded number of keys in this process. They are lost when the process ends, and not shared between processes.

    >>> store = MemoryReplayStore(capacity=1000)
    >>> store.first_seen("a", None), store.first_seen("a", None)
    (True, False)

    When the store is full, it drops the key that expires first; of keys that never expire, the oldest.

    Raises ValueError for a capacity below 1, TypeError for a clock that cannot be called.
    """

    def __new__(cls, capacity: int = 100_000, *, clock: Callable[[], float] | None = None) -> Self: ...
    def first_seen(self, key: str, expires: int | None) -> bool:
        """Remember the key until `expires` (Unix seconds; None: for ever). Returns whether the key was new."""

    def forget(self, key: str) -> None:
        """Forget the key."""

    def __len__(self) -> int: ...
