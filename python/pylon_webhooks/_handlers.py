"""The registered handlers: which of them an event is for, and the calls."""

from __future__ import annotations

from _thread import RLock
from types import CoroutineType

from ._dispatch import KINDS, Callee, Named, OfClass, OfOwnClass, Plan, Subscription, Target, name_of
from ._log import log, warn
from ._native import kind_named, names_match, probably_meant
from ._told_names import ToldNames
from .events import BaseIssueEvent, IssueSnapshotEvent, UnknownEvent, WebhookEvent
from .exceptions import PylonWebhookAsyncHandlerError, PylonWebhookHandlerErrors, PylonWebhookNameWarning

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, TypeVar

    _E = TypeVar("_E")

_CLASSES = {name: event_class for event_class, name in KINDS.items()}
_EVENT_CLASSES = frozenset({WebhookEvent, BaseIssueEvent, IssueSnapshotEvent, UnknownEvent, *KINDS})
_AWAIT = "call `await handler.ahandle(...)` or `adispatch(...)` instead"


class Handlers:
    """The handlers of one `WebhookHandler`.

    kind_of: the kind that a name means, by the configuration of the `WebhookHandler`.
    """

    def __init__(self, kind_of: Callable[[str], str | None]) -> None:
        self._kind_of = kind_of
        # For registrations. A delivery reads one attribute once and needs no lock.
        self._lock = RLock()
        self._types: dict[type[Any], str] = {}
        self._subscriptions: tuple[Subscription, ...] = ()
        self._on_error: tuple[Callee, ...] = ()
        self._plans: dict[type, Plan] = {}
        # True if a handler is for a name that no class stands for: then the name of each event decides.
        self._needs_names = False
        self._untaken = ToldNames()
        self._is_emptiness_told = False

    def __len__(self) -> int:
        return len(self._subscriptions)

    @property
    def is_async(self) -> bool:
        """Whether any handler is `async def`."""
        return any(callee.is_async for callee in (*self._subscriptions, *self._on_error))

    @property
    def names(self) -> list[str]:
        """The names that handlers are registered for, in order of registration."""
        names = (
            name for subscription in self._subscriptions for target in subscription.targets for name in target.names
        )
        return list(dict.fromkeys(names))

    def subscribe(self, function: Any, *targets: Target) -> None:
        """Call the function for events that one of the targets fits; without targets, for every event."""
        subscription = Subscription(function, targets or (Target(),))
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
            self._needs_names = self._needs_names or any(isinstance(target, Named) for target in targets)
            self._plans = {}

    def subscribe_to_errors(self, function: Any) -> None:
        """Call the function for errors."""
        callee = Callee(function)
        with self._lock:
            self._on_error = (*self._on_error, callee)

    def register(self, name: str, event_class: type[Any]) -> None:
        """Take the class as a target: events of this name."""
        if not isinstance(event_class, type):
            raise TypeError("register() needs a class")
        if event_class in _EVENT_CLASSES:
            raise ValueError("this class is an event class of the package: give it further names with names={...}")
        if not name.strip():
            raise ValueError("an event name is empty: pass the name that the trigger's template sends")
        self.warn_of_typo(name)
        with self._lock:
            if self._types.get(event_class, name) != name:
                raise ValueError(
                    "this class is already registered under another name: register a subclass of it under this one"
                )
            self._types[event_class] = name
            self._plans = {}

    def remove(self, function: Any) -> bool:
        """Remove a function wherever it was registered; True if it was."""
        with self._lock:
            subscriptions = tuple(kept for kept in self._subscriptions if kept.function != function)
            on_error = tuple(kept for kept in self._on_error if kept.function != function)
            removed = len(subscriptions) < len(self._subscriptions) or len(on_error) < len(self._on_error)
            self._subscriptions, self._on_error, self._plans = subscriptions, on_error, {}
        return removed

    def target(self, event: type[Any] | str) -> Target:
        """The target that an event class, a registered class or a name stands for."""
        if isinstance(event, str):
            if not event.strip():
                raise ValueError("an event name is empty: pass the name that the trigger's template sends")
            self.warn_of_typo(event)
            known = _CLASSES.get(self._kind_of(event) or "")
            # A name that only this handler takes for the kind is a name of its own.
            if known is not None and kind_named(event) == KINDS[known]:
                return OfClass(known)
            return Named(event)
        if not isinstance(event, type):
            raise TypeError("on() takes event classes and names: write @handler.on(IssueNewEvent) above the handler")
        if event in self._types:
            return OfOwnClass(event, self._types[event])
        if event in _EVENT_CLASSES:
            return OfClass(event)
        raise TypeError(f"{event.__name__} is no event class: call handler.register(name, {event.__name__}) first")

    def view(self, event_class: type[_E]) -> Callable[[WebhookEvent], _E | None]:
        """A function that gives an event as this class, or None for an event of another class."""
        target = self.target(event_class)

        def view(event: WebhookEvent) -> Any:
            if not target.fits(event):
                self._tell_untaken(event)
                return None
            return event if target.make is None else target.make(event)

        return view

    def warn_of_typo(self, name: str) -> None:
        """Warn of a name that was probably meant to be the name of a typed event."""
        meant = probably_meant(name)
        if meant is None or self._kind_of(name) is not None:
            return
        if any(names_match(name, registered) for registered in self._types.values()):
            return
        warn(f"Pylon is unlikely to send an event named {name!r}; did you mean {meant!r}?", PylonWebhookNameWarning)

    def run(self, event: WebhookEvent, run: Callable[[Awaitable[Any]], Any] | None = None) -> list[Any]:
        """Call the handlers that the event is for.

        run: awaits what async handlers return. Without it, the call raises before any handler runs if one of them is async.
        """
        plan = self._plans.get(type(event)) or self._plan(event)
        if plan.first_async is not None and run is None:
            raise PylonWebhookAsyncHandlerError(f"cannot await the async handler {plan.first_async} here: {_AWAIT}")
        if not plan.calls:
            self._tell_idle(event)
        results: list[Any] = []
        failures: list[Exception] = []
        for function, make in plan.calls:
            try:
                result: Any = function(event if make is None else make(event))
                if result is not None and hasattr(result, "__await__"):
                    if run is not None:
                        results.append(run(result))
                        continue
                    _close(result)
                    raise PylonWebhookAsyncHandlerError(
                        f"cannot await what {name_of(function)} returned here: {_AWAIT}"
                    )
                results.append(result)
            except Exception as error:  # noqa: BLE001 - all handlers run; then the failures are raised together
                failures.append(error)
        if failures:
            raise _group(event, failures)
        return results

    async def arun(self, event: WebhookEvent) -> list[Any]:
        """As `run`, awaiting async handlers."""
        plan = self._plans.get(type(event)) or self._plan(event)
        if not plan.calls:
            self._tell_idle(event)
        results: list[Any] = []
        failures: list[Exception] = []
        for function, make in plan.calls:
            try:
                result: Any = function(event if make is None else make(event))
                results.append(await result if hasattr(result, "__await__") else result)
            except Exception as error:  # noqa: BLE001 - all handlers run; then the failures are raised together
                failures.append(error)
            except BaseException as error:  # noqa: BLE001 - raised again, with one exception
                failures.append(_cancelled_within(error))
        if failures:
            raise _group(event, failures)
        return results

    def tell(self, error: Exception, run: Callable[[Awaitable[Any]], Any] | None = None) -> None:
        """Call the error handlers. The failure of an error handler is noted on the error and logged."""
        for callee in self._on_error:
            try:
                result: Any = callee.function(error)
                if hasattr(result, "__await__"):
                    if run is not None:
                        run(result)
                        continue
                    _close(result)
                    raise PylonWebhookAsyncHandlerError(f"cannot await it here: {_AWAIT}")
            except Exception as failure:  # noqa: BLE001 - it must not hide the error itself
                _note(error, callee, failure)

    async def atell(self, error: Exception) -> None:
        """As `tell`, awaiting async error handlers."""
        for callee in self._on_error:
            try:
                result: Any = callee.function(error)
                if hasattr(result, "__await__"):
                    await result
            except Exception as failure:  # noqa: BLE001 - it must not hide the error itself
                _note(error, callee, failure)

    def _tell_idle(self, event: WebhookEvent) -> None:
        """Log that nothing is called for an event."""
        if not self._subscriptions and not self._is_emptiness_told:
            self._is_emptiness_told = True
            log().warning(
                "events arrive, and no handler is registered: register handlers, or call `receive` for the event alone"
            )
        self._tell_untaken(event)

    def _tell_untaken(self, event: WebhookEvent) -> None:
        """Log, once for each name, that nobody takes its events."""
        if (name := self._untaken.first(event.event_type)) is not None:
            log().info("no handler takes events of this name: %r", name)

    def _plan(self, event: WebhookEvent) -> Plan:
        """The calls for an event; kept if all events of its class have the same."""
        # Taken first: a registration in another thread replaces the dict, and the plan must not outlive that.
        plans = self._plans
        plan = Plan([found for subscription in self._subscriptions if (found := subscription.match(event)) is not None])
        if not self._needs_names:
            plans[type(event)] = plan
        return plan


def _group(event: WebhookEvent, failures: list[Exception]) -> PylonWebhookHandlerErrors:
    """The failures of one event. The list is emptied: the failures hold the frame that holds it."""
    count = "a handler" if len(failures) == 1 else f"{len(failures)} handlers"
    group = PylonWebhookHandlerErrors(f"{count} failed for {event!r}", tuple(failures))
    group.event = event
    failures.clear()
    return group


def _close(awaitable: Any) -> None:
    """Close a coroutine that nobody will await, so that Python does not warn of it."""
    if awaitable.__class__ is CoroutineType:
        awaitable.close()


def _cancelled_within(error: BaseException) -> Exception:
    """The failure of a handler that awaited something cancelled, if the handler itself was not; any other error is raised again."""
    from asyncio import CancelledError, current_task

    # Asked for the task only then: if a loop was closed under the handler, there is no task.
    if not isinstance(error, CancelledError) or (task := current_task()) is None or task.cancelling():
        raise error
    failure = RuntimeError("something that the handler awaited was cancelled")
    failure.__cause__ = error
    return failure


def _note(error: Exception, callee: Callee, failure: Exception) -> None:
    try:
        shown = f"{type(failure).__name__}: {failure}"
    except Exception:  # noqa: BLE001 - whatever its `__str__` does, the first error must come through
        shown = type(failure).__name__
    error.add_note(f"the on_error handler {name_of(callee.function)} failed: {shown}")
    log().error("the on_error handler %s failed", name_of(callee.function), exc_info=failure)
