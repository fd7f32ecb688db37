"""The whole way of a delivery: verified, read, dispatched to the handlers."""

from __future__ import annotations

from _thread import RLock
from types import CoroutineType

from ._dispatch import KINDS, AnyEvent, Callee, Named, OfClass, OfOwnClass, Plan, Subscription, name_of
from ._native import Intake, names_match, probably_meant
from .events import (
    BaseIssueEvent,
    IssueSnapshotEvent,
    UnknownEvent,
    WebhookEvent,
)
from .exceptions import (
    PylonWebhookAsyncHandlerError,
    PylonWebhookError,
    PylonWebhookHandlerErrors,
    PylonWebhookNameWarning,
    PylonWebhookUnverifiedWarning,
)

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if not TYPE_CHECKING:

    def overload(function):
        return function
else:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Any, TypeVar, overload

    from ._native import Admitted, ReplayRule, RequestFault
    from ._types import HasItems, Headers, Payload

    _F = TypeVar("_F", bound=Callable[..., Any])
    _E = TypeVar("_E")

__all__ = ["WebhookHandler"]

_CLASSES = {name: event_class for event_class, name in KINDS.items()}
_EVENT_CLASSES = frozenset({WebhookEvent, BaseIssueEvent, IssueSnapshotEvent, UnknownEvent, *KINDS})


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
        self._receive = self._intake.receive
        # For registrations; a delivery reads one attribute once and needs none.
        self._lock = RLock()
        self._types: dict[type[Any], str] = {}
        self._subscriptions: tuple[Subscription, ...] = ()
        self._on_error: tuple[Callee, ...] = ()
        self._plans: dict[type, Plan] = {}
        # Whether some handler is for a name that does not go with a class: then each event's own name decides.
        self._needs_names = False
        if kind is not None:
            self._warn_of_typo(kind)
        if verify_signature is False:
            _warn(
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
        targets = tuple(self._target(event) for event in events)

        def register(function: _F) -> _F:
            self._subscribe(Subscription(function, targets))
            return function

        return register

    @overload
    def on_any(self, function: _F) -> _F: ...
    @overload
    def on_any(self, function: None = None) -> Callable[[_F], _F]: ...
    def on_any(self, function: _F | None = None) -> _F | Callable[[_F], _F]:
        """Decorate a handler for every event."""

        def register(function: _F) -> _F:
            self._subscribe(Subscription(function, (AnyEvent(),)))
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
            callee = Callee(function)
            with self._lock:
                self._on_error = (*self._on_error, callee)
            return function

        return register if function is None else register(function)

    def register(self, kind: str, event_class: type[Any]) -> None:
        """Let `on` take a class of your own for events of this name.

        The class is made by its `from_event(event)` where it has that, else by its `model_validate(payload)` (pydantic), else
        of the payload's keys that its constructor names. A body that it cannot be made of counts as the failure of the
        handlers that take the class.
        """
        if not isinstance(event_class, type):
            raise TypeError("register() needs a class")
        if event_class in _EVENT_CLASSES:
            raise ValueError("this class is known already: give further names of it as names={...}")
        if not kind.strip():
            raise ValueError("an event name is empty: pass the name that the trigger's template sends")
        self._warn_of_typo(kind)
        with self._lock:
            if self._types.get(event_class, kind) != kind:
                raise ValueError(
                    "this class is registered under another name already: a subclass of it can have this one"
                )
            self._types[event_class] = kind
            self._plans = {}

    def remove(self, function: Any) -> bool:
        """Remove a handler wherever it was registered; says whether it was."""
        with self._lock:
            subscriptions = tuple(kept for kept in self._subscriptions if kept.function != function)
            on_error = tuple(kept for kept in self._on_error if kept.function != function)
            removed = len(subscriptions) < len(self._subscriptions) or len(on_error) < len(self._on_error)
            self._subscriptions, self._on_error, self._plans = subscriptions, on_error, {}
        return removed

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
            self._tell(error)
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
            return await self._run_async(self._receive(payload, signature, timestamp, headers))
        except (PylonWebhookError, PylonWebhookHandlerErrors) as error:
            await self._tell_async(error)
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
            self._tell(error)
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
            await self._tell_async(error)
            raise

    def dispatch(self, event: WebhookEvent, *, run: Callable[[Awaitable[Any]], Any] | None = None) -> list[Any]:
        """Call the handlers for an event that is trusted already: stored after it was verified, or made here.

        run: awaits what `async def` handlers give, from a thread that has no event loop running; without it they are refused.
        """
        try:
            return self._run(_checked(event), run)
        except (PylonWebhookHandlerErrors, PylonWebhookAsyncHandlerError) as error:
            self._tell(error, run)
            raise

    async def adispatch(self, event: WebhookEvent) -> list[Any]:
        """As `dispatch`, awaiting the handlers that are `async def`."""
        try:
            return await self._run_async(_checked(event))
        except PylonWebhookHandlerErrors as error:
            await self._tell_async(error)
            raise

    def verify_signature(
        self, payload: Payload, signature: str | bytes | None, timestamp: str | bytes | None = None
    ) -> None:
        """Verify a delivery and do nothing else; raises as `handle` does."""
        self._intake.verify(payload, signature, timestamp)

    def intake(self, body_limit: int) -> Intake:
        """What an endpoint of this handler admits: bodies of at most so many bytes."""
        return self._intake.with_body_limit(body_limit)

    def receive_admitted(
        self, admitted: Admitted, body: Payload, rule: ReplayRule | None
    ) -> tuple[WebhookEvent, tuple[str, int | None] | None] | RequestFault:
        """Verify a request that was admitted and read its event, with the key by which a replay guard of this rule knows it."""
        try:
            return admitted.receive(body, rule)
        except PylonWebhookError as error:
            self._tell(error)
            raise

    async def areceive_admitted(
        self, admitted: Admitted, body: Payload, rule: ReplayRule | None
    ) -> tuple[WebhookEvent, tuple[str, int | None] | None] | RequestFault:
        """As `receive_admitted`, awaiting the `on_error` handlers that are `async def`."""
        try:
            return admitted.receive(body, rule)
        except PylonWebhookError as error:
            await self._tell_async(error)
            raise

    def view(self, event_class: type[_E]) -> Callable[[WebhookEvent], _E | None]:
        """What gives an event as this class, an event class or a registered one; None for an event that is not for it."""
        target = self._target(event_class)

        def view(event: WebhookEvent) -> Any:
            if not target.fits(event):
                return None
            return event if target.make is None else target.make(event)

        return view

    @property
    def clock(self) -> Callable[[], float] | None:
        """What gives the present Unix time in seconds; None: the system's clock."""
        return self._clock

    @property
    def is_async(self) -> bool:
        """Whether any handler is `async def`, and so wants `ahandle`."""
        return any(callee.is_async for callee in (*self._subscriptions, *self._on_error))

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
        names = (
            name for subscription in self._subscriptions for target in subscription.targets for name in target.names
        )
        return list(dict.fromkeys(names))

    def __repr__(self) -> str:
        return f"<WebhookHandler secret=[redacted], {len(self._subscriptions)} handlers>"

    def _run(self, event: WebhookEvent, run: Callable[[Awaitable[Any]], Any] | None = None) -> list[Any]:
        plan = self._plans.get(event.__class__) or self._plan(event)
        if plan.first_async is not None and run is None:
            raise PylonWebhookAsyncHandlerError(
                f"cannot await the async handler {plan.first_async} here: call `await handler.ahandle(...)` or `adispatch(...)` instead"
            )
        results: list[Any] = []
        failures: list[Exception] = []
        for function, make in plan.calls:
            try:
                result: Any = function(event if make is None else make(event))
                if result is not None and hasattr(result, "__await__"):
                    if run is not None:
                        results.append(run(result))
                        continue
                    if result.__class__ is CoroutineType:
                        result.close()
                    raise PylonWebhookAsyncHandlerError(
                        f"cannot await what {name_of(function)} returned here: call `await handler.ahandle(...)` or `adispatch(...)` instead"
                    )
                results.append(result)
            except Exception as error:  # noqa: BLE001 - all handlers run, and what failed is raised after
                failures.append(error)
        if failures:
            raise PylonWebhookHandlerErrors.of(event, failures)
        return results

    async def _run_async(self, event: WebhookEvent) -> list[Any]:
        plan = self._plans.get(event.__class__) or self._plan(event)
        results: list[Any] = []
        failures: list[Exception] = []
        for function, make in plan.calls:
            try:
                result: Any = function(event if make is None else make(event))
                results.append(await result if hasattr(result, "__await__") else result)
            except Exception as error:  # noqa: BLE001 - all handlers run, and what failed is raised after
                failures.append(error)
            except BaseException as error:  # noqa: BLE001 - raised again, but for one case
                failures.append(_cancelled_within(error))
        if failures:
            raise PylonWebhookHandlerErrors.of(event, failures)
        return results

    def _plan(self, event: WebhookEvent) -> Plan:
        """Which handlers the event is for; kept where all events of its class have the same."""
        # Taken first: a registration in another thread replaces it, and the plan must not outlive that.
        plans = self._plans
        plan = Plan([found for subscription in self._subscriptions if (found := subscription.match(event)) is not None])
        if not self._needs_names:
            plans[event.__class__] = plan
        return plan

    def _tell(self, error: Exception, run: Callable[[Awaitable[Any]], Any] | None = None) -> None:
        for callee in self._on_error:
            try:
                result: Any = callee.function(error)
                if hasattr(result, "__await__"):
                    if run is not None:
                        run(result)
                        continue
                    if result.__class__ is CoroutineType:
                        result.close()
                    raise PylonWebhookAsyncHandlerError(
                        "cannot await it here: call `await handler.ahandle(...)` or `adispatch(...)` instead"
                    )
            except Exception as failure:  # noqa: BLE001 - it must not hide the error that is being told
                _note(error, callee, failure)

    async def _tell_async(self, error: Exception) -> None:
        for callee in self._on_error:
            try:
                result: Any = callee.function(error)
                if hasattr(result, "__await__"):
                    await result
            except Exception as failure:  # noqa: BLE001 - it must not hide the error that is being told
                _note(error, callee, failure)

    def _subscribe(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
            self._needs_names = self._needs_names or any(isinstance(target, Named) for target in subscription.targets)
            self._plans = {}

    def _target(self, event: type[Any] | str) -> AnyEvent | OfClass | Named | OfOwnClass:
        if isinstance(event, str):
            if not event.strip():
                raise ValueError("an event name is empty: pass the name that the trigger's template sends")
            self._warn_of_typo(event)
            known = _CLASSES.get(self._intake.kind_of(event) or "")
            if known is not None and names_match(event, KINDS[known]):
                return OfClass(known)
            return Named(event)
        if not isinstance(event, type):
            raise TypeError("on() takes event classes and names: write @handler.on(IssueNewEvent) above the handler")
        if event in self._types:
            return OfOwnClass(event, self._types[event])
        if event in _EVENT_CLASSES:
            return OfClass(event)
        raise TypeError(f"{event.__name__} is no event class: call handler.register(kind, {event.__name__}) first")

    def _warn_of_typo(self, name: str) -> None:
        meant = probably_meant(name)
        if meant is None or self._intake.kind_of(name) is not None:
            return
        if any(names_match(name, kind) for kind in self._types.values()):
            return
        _warn(f"nobody is likely to send {name!r}; was {meant!r} meant?", PylonWebhookNameWarning)


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


def _cancelled_within(error: BaseException) -> Exception:
    """The failure of a handler in which something that it awaited was cancelled, and not the handler; raises any other again."""
    from asyncio import CancelledError, current_task

    # Asked for the task only then: where a loop was closed under the handler, there is none to ask.
    if not isinstance(error, CancelledError) or (task := current_task()) is None or task.cancelling():
        raise error
    failure = RuntimeError("something that the handler awaited was cancelled")
    failure.__cause__ = error
    return failure


def _note(error: Exception, callee: Callee, failure: Exception) -> None:
    from logging import getLogger

    try:
        shown = f"{type(failure).__name__}: {failure}"
    except Exception:  # noqa: BLE001 - whatever its `__str__` does, the first error must come through
        shown = type(failure).__name__
    error.add_note(f"the on_error handler {name_of(callee.function)} failed: {shown}")
    getLogger("pylon_webhooks").error("the on_error handler %s failed", name_of(callee.function), exc_info=failure)


def _warn(message: str, category: type[Warning]) -> None:
    import sys
    import warnings

    # Point at the caller's line, however deep we stand.
    level, frame = 1, sys._getframe()  # pyright: ignore[reportPrivateUsage] - as `warnings` itself finds the caller
    while frame.f_back is not None and frame.f_globals.get("__name__") == __name__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
