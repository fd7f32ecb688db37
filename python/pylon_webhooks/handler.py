"""`WebhookHandler`: verifies a delivery, reads its event, calls the handlers."""

from __future__ import annotations

from ._dispatch import KINDS
from ._handlers import Handlers
from ._log import log, warn
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
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any, TypeVar, overload

    from ._types import HasItems, Headers, Payload

    _F = TypeVar("_F", bound=Callable[..., Any])

__all__ = ["WebhookHandler"]


class WebhookHandler:
    """Receives deliveries: verifies each, reads its event, and calls the handlers registered for the event.

    >>> handler = WebhookHandler(secret="your-webhook-secret")
    >>> @handler.on(IssueNewEvent)
    ... def handle_new_issue(event: IssueNewEvent) -> None:
    ...     print(f"New issue: {event.issue_title}")
    >>> from pylon_webhooks import sign
    >>> body = b'{"event_type": "issue_new", "issue_title": "Export fails"}'
    >>> handler.handle(payload=body, signature=sign("your-webhook-secret", body), timestamp=None)
    New issue: Export fails
    [None]

    secret: the secret that Pylon shows, as text or bytes. A list or tuple of secrets while you rotate it.
    timestamp_tolerance: how far a timestamp may differ from now in either direction, seconds.
    require_timestamp: refuse deliveries without a timestamp. Pylon sends none (2026-11).
    verify_signature: False accepts unsigned and forged deliveries, and warns. It exists for code written for py-usepylon-sdk.
    signature_header, timestamp_header: the names of the two headers.
    clock: returns the current Unix time in seconds. Default: the system's clock.
    event_name: the name of all events, for an address that receives one kind of event.
    event_name_pointer: a JSON pointer to the name in the body. Default: the usual keys are searched.
    names: further names and what they mean: {"issue.created": IssueNewEvent}, or the name of a kind.
    depth_limit: maximum nesting of a body, 1 to 100.

    Raises ValueError for an invalid setting, such as an empty secret, and TypeError for a setting of the wrong type.
    """

    def __init__(
        self,
        secret: str | bytes | Sequence[str | bytes],
        *,
        timestamp_tolerance: int = 300,
        require_timestamp: bool = False,
        verify_signature: bool = True,
        signature_header: str = "X-Pylon-Signature",
        timestamp_header: str = "X-Pylon-Timestamp",
        clock: Callable[[], float] | None = None,
        event_name: str | None = None,
        event_name_pointer: str | None = None,
        names: Mapping[str, str | type[WebhookEvent]] | None = None,
        depth_limit: int = 100,
    ) -> None:
        try:
            if verify_signature is not True and verify_signature is not False:
                # Not any falsy value: an unset variable must not switch verification off.
                raise TypeError("verify_signature must be True or False")
            if isinstance(timestamp_tolerance, bool) or not isinstance(timestamp_tolerance, int):
                raise TypeError("timestamp_tolerance must be a whole number of seconds")
            if not 0 <= timestamp_tolerance < 2**63:
                raise ValueError("timestamp_tolerance must be at least 0, and less than 2**63")
            self._intake = Intake(
                [*secret] if isinstance(secret, (list, tuple)) else [secret],
                verify_signature=verify_signature,
                tolerance_seconds=timestamp_tolerance,
                require_timestamp=require_timestamp,
                signature_header=signature_header,
                timestamp_header=timestamp_header,
                clock=clock,
                event_name=event_name,
                event_name_pointer=event_name_pointer,
                names=[(name, _kind_name(meaning)) for name, meaning in (names or {}).items()],
                depth_limit=depth_limit,
            )
        finally:
            # A traceback that shows local variables, of an error here or of a warning below, must not show this one.
            del secret
        for flaw in self._intake.secret_flaws:
            log().warning("%s", flaw)
        self._clock = clock
        self._timestamp_tolerance = timestamp_tolerance
        self._require_timestamp = require_timestamp
        self._handlers = Handlers(self._intake.kind_of)
        # Looked up once, not for each delivery.
        self._receive = self._intake.receive
        self._run = self._handlers.run
        if event_name is not None:
            self._handlers.warn_of_typo(event_name)
        if verify_signature is False:
            warn(
                "verify_signature=False: anyone who finds the address can send events; sign test deliveries with "
                "pylon_webhooks.sign instead",
                PylonWebhookUnverifiedWarning,
            )

    def on(self, *events: type[Any] | str) -> Callable[[_F], _F]:
        """Decorate a handler for events, each given as an event class, a registered class, or a name.

        Names match in any case, with `.`, `-` and spaces read as `_`. A name that is probably misspelled causes a warning.
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
        """Decorate a handler for the exceptions of this library, refusals included. It runs before the exception is raised.

        If the error handler fails itself, its failure goes to the log and into a note on that exception.
        """

        def register(function: _F) -> _F:
            self._handlers.subscribe_to_errors(function)
            return function

        return register if function is None else register(function)

    def register(self, name: str, event_class: type[Any]) -> None:
        """Register a class of your own for events of this name, so that `on` takes the class.

        The instance is made by the first of these that the class has: `from_event(event)`; `model_validate(payload)`, as in pydantic;
        its constructor, called with the keys of the payload that it names. If that fails, the handlers that take the class fail.
        """
        self._handlers.register(name, event_class)

    def remove(self, function: Any) -> bool:
        """Remove a handler from everything it was registered for. Returns whether it was registered."""
        return self._handlers.remove(function)

    def handle(
        self,
        payload: Payload,
        signature: str | bytes | HasItems | None = None,
        timestamp: str | bytes | None = None,
        *,
        headers: Headers | None = None,
    ) -> list[Any]:
        """Verify a delivery, read its event, and call its handlers. Returns their results in order of registration.

        payload: the raw body as it arrived; text is encoded as UTF-8.
        signature, timestamp: the values of X-Pylon-Signature and X-Pylon-Timestamp, None if absent.
        headers: all headers of the request instead of the two values; a mapping as second argument means the same.

        Raises PylonWebhookSignatureError, PylonWebhookTimestampError or PylonWebhookPayloadError if no handler has run;
        PylonWebhookAsyncHandlerError, before any handler runs, if one of them is async; PylonWebhookHandlerErrors if handlers failed.
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
        """As `handle`, awaiting async handlers, one after the other."""
        try:
            return await self._handlers.arun(self._receive(payload, signature, timestamp, headers))
        except (PylonWebhookError, PylonWebhookHandlerErrors) as error:
            await self._handlers.atell(error)
            raise

    def handle_headers(self, payload: Payload, headers: Headers) -> list[Any]:
        """As `handle`, with all headers of the request: a mapping, or pairs of name and value, as text or bytes.

        Names match in any case. A repeated signature or timestamp header is refused.
        """
        return self.handle(payload, headers=headers)

    async def ahandle_headers(self, payload: Payload, headers: Headers) -> list[Any]:
        """As `handle_headers`, awaiting async handlers."""
        return await self.ahandle(payload, headers=headers)

    def receive(
        self,
        payload: Payload,
        signature: str | bytes | HasItems | None = None,
        timestamp: str | bytes | None = None,
        *,
        headers: Headers | None = None,
    ) -> WebhookEvent:
        """Verify a delivery and read its event. Takes the arguments of `handle`, and calls only the handlers of `on_error`.

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
        """As `receive`, awaiting async handlers of `on_error`."""
        try:
            return self._receive(payload, signature, timestamp, headers)
        except PylonWebhookError as error:
            await self._handlers.atell(error)
            raise

    def dispatch(self, event: WebhookEvent, *, run: Callable[[Awaitable[Any]], Any] | None = None) -> list[Any]:
        """Call the handlers for an event that you trust: stored after it was verified, or made by you.

        run: runs the coroutines of async handlers, on a thread without a running event loop. Without it, async handlers raise.
        """
        try:
            return self._handlers.run(_checked(event), run)
        except (PylonWebhookHandlerErrors, PylonWebhookAsyncHandlerError) as error:
            self._handlers.tell(error, run)
            raise

    async def adispatch(self, event: WebhookEvent) -> list[Any]:
        """As `dispatch`, awaiting async handlers."""
        try:
            return await self._handlers.arun(_checked(event))
        except PylonWebhookHandlerErrors as error:
            await self._handlers.atell(error)
            raise

    def verify_signature(
        self, payload: Payload, signature: str | bytes | None, timestamp: str | bytes | None = None
    ) -> None:
        """Verify a delivery, and nothing else. Raises as `handle` does."""
        self._intake.verify(payload, signature, timestamp)

    @property
    def clock(self) -> Callable[[], float] | None:
        """Returns the current Unix time in seconds; None: the system's clock."""
        return self._clock

    @property
    def is_async(self) -> bool:
        """Whether any handler is `async def`, and so needs `ahandle`."""
        return self._handlers.is_async

    @property
    def timestamp_tolerance(self) -> int:
        """How far a timestamp may differ from now in either direction, seconds."""
        return self._timestamp_tolerance

    @property
    def require_timestamp(self) -> bool:
        """Whether deliveries without a timestamp are refused."""
        return self._require_timestamp

    @property
    def registered_event_types(self) -> list[str]:
        """The names that handlers are registered for, in order of registration, without those of `on_any`."""
        return self._handlers.names

    def __repr__(self) -> str:
        # Tracebacks show the object whose constructor failed.
        number = len(self._handlers) if hasattr(self, "_handlers") else 0
        return f"<WebhookHandler secret=[redacted], {number} handlers>"


def _kind_name(meaning: str | type[WebhookEvent]) -> str:
    if isinstance(meaning, str):
        return meaning
    if meaning in KINDS:
        return KINDS[meaning]
    raise ValueError("names={...} maps names to event classes of one kind, such as IssueNewEvent, or to a kind's name")


def _checked(event: WebhookEvent) -> WebhookEvent:
    if not isinstance(event, WebhookEvent):
        raise TypeError(
            "dispatch() takes an event that is already verified; pass a delivery that has just arrived to handle()"
        )
    return event
