"""`WebhookHandler`: verifies a delivery, reads its event, calls the handlers."""

from __future__ import annotations

from ._dispatch import KINDS
from ._handlers import Handlers, warn
from ._native import Intake
from .events import WebhookEvent
from .exceptions import (
    PylonWebhookAsyncHandlerError,
    PylonWebhookError,
    PylonWebhookHandlerErrors,
    PylonWebhookUnverifiedWarning,
)

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if not TYPE_CHECKING:

    def overload(function):
        return function
else:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Any, TypeVar, overload

    from ._types import HasItems, Headers, Payload

    _F = TypeVar("_F", bound=Callable[..., Any])

__all__ = ["WebhookHandler"]


class WebhookHandler:
    """Receives deliveries: verifies each, reads its event, and calls the handlers that it is for.

    >>> handler = WebhookHandler(secret="your-webhook-secret")
    >>> @handler.on(IssueNewEvent)
    ... def handle_new_issue(event: IssueNewEvent) -> None:
    ...     print(f"New issue: {event.issue_title}")
    >>> from pylon_webhooks import sign
    >>> body = b'{"event_type": "issue_new", "issue_title": "Export fails"}'
    >>> handler.handle(payload=body, signature=sign("your-webhook-secret", body), timestamp=None)
    New issue: Export fails
    [None]

    secret: the secret that Pylon shows, as text or bytes; a list of them while it is being rotated.
    timestamp_tolerance: how far a timestamp may lie from now in either direction, seconds.
    require_timestamp: refuse deliveries without a timestamp. Pylon's own have none (2026-11).
    verify_signature: False accepts what anybody sends; kept for code written for py-usepylon-sdk, and warned of.
    signature_header, timestamp_header: header names for `handle_headers`.
    clock: gives the present Unix time in seconds; the system's unless given.
    kind: the name of all events, for an address that receives one kind only.
    kind_pointer: JSON pointer to the name in the body; without either, the usual keys are searched.
    names: further names and what they mean: {"issue.created": IssueNewEvent}, or the name of a kind.
    depth_limit: how deep a body may nest, 1 to 100.

    Raises ValueError for an empty secret, none at all, or another setting that cannot hold; TypeError for one of another type.
    """

    def __init__(
        self,
        secret: str | bytes | Iterable[str | bytes],
        *,
        timestamp_tolerance: int = 300,
        require_timestamp: bool = False,
        verify_signature: bool = True,
        signature_header: str = "X-Pylon-Signature",
        timestamp_header: str = "X-Pylon-Timestamp",
        clock: Callable[[], float] | None = None,
        kind: str | None = None,
        kind_pointer: str | None = None,
        names: Mapping[str, str | type[WebhookEvent]] | None = None,
        depth_limit: int = 100,
    ) -> None:
        if verify_signature is not True and verify_signature is not False:
            # Not whatever is falsy: an unset variable must not open the door.
            raise TypeError("verify_signature must be True or False")
        if isinstance(timestamp_tolerance, bool) or not isinstance(timestamp_tolerance, int):
            raise TypeError("timestamp_tolerance must be a whole number of seconds")
        if not 0 <= timestamp_tolerance < 2**63:
            raise ValueError("timestamp_tolerance must not be negative, nor beyond 63 bits")
        self._intake = Intake(
            _listed(secret),
            verify_signature=verify_signature,
            tolerance_seconds=timestamp_tolerance,
            require_timestamp=require_timestamp,
            signature_header=signature_header,
            timestamp_header=timestamp_header,
            clock=clock,
            kind=kind,
            kind_pointer=kind_pointer,
            names=[(name, _kind_name(meaning)) for name, meaning in (names or {}).items()],
            depth_limit=depth_limit,
        )
        self._clock = clock
        self._timestamp_tolerance = timestamp_tolerance
        self._require_timestamp = require_timestamp
        self._handlers = Handlers(self._intake.kind_of)
        # Bound once: a delivery should not look for them.
        self._receive = self._intake.receive
        self._run = self._handlers.run
        if kind is not None:
            self._handlers.warn_of_typo(kind)
        if verify_signature is False:
            warn(
                "verify_signature=False: whoever finds the address can send events; sign test deliveries with "
                "pylon_webhooks.sign instead",
                PylonWebhookUnverifiedWarning,
            )

    def on(self, *events: type[Any] | str) -> Callable[[_F], _F]:
        """Decorate a handler for these events, each an event class, a registered class, or a name.

        Names match whatever their case, with `.`, `-` and spaces read as `_`. A name that was probably meant to be another
        is warned of.
        """
        if not events:
            raise TypeError("on() needs an event class or a name; on_any() is for all events")
        targets = [self._handlers.target(event) for event in events]

        def register(function: _F) -> _F:
            self._handlers.subscribe(function, *targets)
            return function

        return register

    @overload
    def on_any(self, function: _F) -> _F: ...
    @overload
    def on_any(self, function: None = None) -> Callable[[_F], _F]: ...
    def on_any(self, function: _F | None = None) -> _F | Callable[[_F], _F]:
        """Decorate a handler for every event."""

        def register(function: _F) -> _F:
            self._handlers.subscribe(function)
            return function

        return register if function is None else register(function)

    @overload
    def on_error(self, function: _F) -> _F: ...
    @overload
    def on_error(self, function: None = None) -> Callable[[_F], _F]: ...
    def on_error(self, function: _F | None = None) -> _F | Callable[[_F], _F]:
        """Decorate a handler for every exception of this library that is about to be raised, refusals included.

        Its own failure is added to that exception as a note, logged, and hides nothing.
        """

        def register(function: _F) -> _F:
            self._handlers.subscribe_to_errors(function)
            return function

        return register if function is None else register(function)

    def register(self, kind: str, event_class: type[Any]) -> None:
        """Let `on` take a class of your own for events of this name.

        The class is made by its `from_event(event)` where it has that, else by its `model_validate(payload)` (pydantic), else
        of the payload's keys that its constructor names. A body that it cannot be made of counts as the failure of the
        handlers that take the class.
        """
        self._handlers.register(kind, event_class)

    def remove(self, function: Any) -> bool:
        """Remove a handler wherever it was registered; says whether it was."""
        return self._handlers.remove(function)

    def handle(
        self,
        payload: Payload,
        signature: str | bytes | HasItems | None = None,
        timestamp: str | bytes | None = None,
        *,
        headers: Headers | None = None,
    ) -> list[Any]:
        """Verify a delivery, read its event, call its handlers; what they return, in order of registration.

        payload: the body's raw bytes, as they arrived.
        signature, timestamp: texts of X-Pylon-Signature and X-Pylon-Timestamp, None where absent.
        headers: all the request's headers in place of the two; a mapping as second argument means the same.

        Raises PylonWebhookSignatureError, PylonWebhookTimestampError, PylonWebhookPayloadError, PylonWebhookHandlerErrors,
        and PylonWebhookAsyncHandlerError where an `async def` handler is due.
        """
        try:
            return self._run(self._receive(payload, signature, timestamp, headers))
        except (PylonWebhookError, PylonWebhookHandlerErrors, PylonWebhookAsyncHandlerError) as error:
            self._handlers.tell(error)
            raise

    async def ahandle(
        self,
        payload: Payload,
        signature: str | bytes | HasItems | None = None,
        timestamp: str | bytes | None = None,
        *,
        headers: Headers | None = None,
    ) -> list[Any]:
        """As `handle`, awaiting the handlers that are `async def`, one after the other."""
        try:
            return await self._handlers.arun(self._receive(payload, signature, timestamp, headers))
        except (PylonWebhookError, PylonWebhookHandlerErrors) as error:
            await self._handlers.atell(error)
            raise

    def handle_headers(self, payload: Payload, headers: Headers) -> list[Any]:
        """As `handle`, with all headers of the request: a mapping, or pairs of name and value, as text or bytes.

        Names match in any case; a signature or timestamp header that comes twice is refused.
        """
        return self.handle(payload, headers=headers)

    async def ahandle_headers(self, payload: Payload, headers: Headers) -> list[Any]:
        """As `handle_headers`, awaiting the handlers that are `async def`."""
        return await self.ahandle(payload, headers=headers)

    def receive(
        self,
        payload: Payload,
        signature: str | bytes | HasItems | None = None,
        timestamp: str | bytes | None = None,
        *,
        headers: Headers | None = None,
    ) -> WebhookEvent:
        """Verify a delivery and read its event; takes what `handle` takes, and calls no handler but those of `on_error`.

        Raises PylonWebhookSignatureError, PylonWebhookTimestampError, PylonWebhookPayloadError.
        """
        try:
            return self._receive(payload, signature, timestamp, headers)
        except PylonWebhookError as error:
            self._handlers.tell(error)
            raise

    async def areceive(
        self,
        payload: Payload,
        signature: str | bytes | HasItems | None = None,
        timestamp: str | bytes | None = None,
        *,
        headers: Headers | None = None,
    ) -> WebhookEvent:
        """As `receive`, awaiting the `on_error` handlers that are `async def`."""
        try:
            return self._receive(payload, signature, timestamp, headers)
        except PylonWebhookError as error:
            await self._handlers.atell(error)
            raise

    def dispatch(self, event: WebhookEvent, *, run: Callable[[Awaitable[Any]], Any] | None = None) -> list[Any]:
        """Call the handlers for an event that is trusted already: stored after it was verified, or made here.

        run: awaits what `async def` handlers give, from a thread that has no event loop running; without it they are refused.
        """
        try:
            return self._handlers.run(_checked(event), run)
        except (PylonWebhookHandlerErrors, PylonWebhookAsyncHandlerError) as error:
            self._handlers.tell(error, run)
            raise

    async def adispatch(self, event: WebhookEvent) -> list[Any]:
        """As `dispatch`, awaiting the handlers that are `async def`."""
        try:
            return await self._handlers.arun(_checked(event))
        except PylonWebhookHandlerErrors as error:
            await self._handlers.atell(error)
            raise

    def verify_signature(
        self, payload: Payload, signature: str | bytes | None, timestamp: str | bytes | None = None
    ) -> None:
        """Verify a delivery and do nothing else; raises as `handle` does."""
        self._intake.verify(payload, signature, timestamp)

    @property
    def clock(self) -> Callable[[], float] | None:
        """What gives the present Unix time in seconds; None: the system's clock."""
        return self._clock

    @property
    def is_async(self) -> bool:
        """Whether any handler is `async def`, and so wants `ahandle`."""
        return self._handlers.is_async

    @property
    def timestamp_tolerance(self) -> int:
        """How far a timestamp may lie from now in either direction, seconds."""
        return self._timestamp_tolerance

    @property
    def require_timestamp(self) -> bool:
        """Whether deliveries without a timestamp are refused."""
        return self._require_timestamp

    @property
    def registered_event_types(self) -> list[str]:
        """The names that handlers are registered for, in order of registration; `on_any` has none."""
        return self._handlers.names

    def __repr__(self) -> str:
        return f"<WebhookHandler secret=[redacted], {len(self._handlers)} handlers>"


def _listed(secret: Any) -> list[Any]:
    """Several secrets as a list, anything else as the one secret that it is meant to be."""
    kind = secret.__class__
    is_several = hasattr(kind, "__iter__") and not issubclass(kind, (str, bytes, bytearray, memoryview))
    return list(secret) if is_several else [secret]


def _kind_name(meaning: str | type[WebhookEvent]) -> str:
    if isinstance(meaning, str):
        return meaning
    if meaning in KINDS:
        return KINDS[meaning]
    raise ValueError("names={...} maps names to event classes of one kind, such as IssueNewEvent, or to a kind's name")


def _checked(event: WebhookEvent) -> WebhookEvent:
    if not isinstance(event, WebhookEvent):
        raise TypeError(
            "dispatch() takes an event that is trusted already; a delivery that has just arrived goes to handle()"
        )
    return event
