"""Which handler an event is for: targets, subscriptions, and the calls planned from them."""

from __future__ import annotations

from .events import (
    IssueAssignedEvent,
    IssueFieldChangedEvent,
    IssueNewEvent,
    IssueReactionEvent,
    IssueStateChangedEvent,
    IssueTagsChangedEvent,
    MessageNewEvent,
    WebhookEvent,
)

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: The kind of each class that stands for one kind.
KINDS: dict[type[WebhookEvent], str] = {
    IssueNewEvent: "issue_new",
    IssueAssignedEvent: "issue_assigned",
    IssueStateChangedEvent: "issue_status_changed",
    IssueFieldChangedEvent: "issue_field_changed",
    IssueTagsChangedEvent: "issue_tags_changed",
    IssueReactionEvent: "issue_reaction",
    MessageNewEvent: "issue_message_new",
}


class Callee:
    """A registered function."""

    __slots__ = ("function", "is_async")

    def __init__(self, function: Any) -> None:
        if not callable(function):
            raise TypeError("a handler must be callable")
        if is_generator(function):
            raise TypeError("a handler must not be a generator function: calling it runs none of its lines")
        self.function = function
        self.is_async = is_async(function)


class Subscription(Callee):
    """A handler and its targets."""

    __slots__ = ("targets",)

    def __init__(self, function: Any, targets: tuple[Target, ...]) -> None:
        super().__init__(function)
        self.targets = targets

    def match(self, event: WebhookEvent) -> tuple[Subscription, Callable[[WebhookEvent], Any] | None] | None:
        """The handler and what makes its argument; None if no target fits the event."""
        for target in self.targets:
            if target.fits(event):
                return self, target.make
        return None


class Plan:
    """The calls for an event."""

    __slots__ = ("calls", "first_async")

    def __init__(self, found: list[tuple[Subscription, Callable[[WebhookEvent], Any] | None]]) -> None:
        self.calls = tuple((subscription.function, make) for subscription, make in found)
        names = (name_of(subscription.function) for subscription, _ in found if subscription.is_async)
        self.first_async: str | None = next(names, None)


class Target:
    """The events that a handler is for: every event here, fewer in subclasses."""

    #: The names that the handler is registered for.
    names: tuple[str, ...] = ()
    #: Makes the argument of the handler; None: the event itself.
    make: Callable[[WebhookEvent], Any] | None = None

    def fits(self, event: WebhookEvent) -> bool:
        """Whether the event is one of them."""
        return True


class Named(Target):
    """The events of one name."""

    def __init__(self, name: str) -> None:
        self.names = (name,)

    def fits(self, event: WebhookEvent) -> bool:
        """Whether the event has the name, or is of its kind."""
        return event.is_named(self.names[0])


class OfClass(Target):
    """The events of one of the package's classes."""

    def __init__(self, event_class: type[WebhookEvent]) -> None:
        self.event_class = event_class
        self.names = tuple(name for known, name in KINDS.items() if issubclass(known, event_class))

    def fits(self, event: WebhookEvent) -> bool:
        """Whether the event is of the class."""
        return isinstance(event, self.event_class)


class OfOwnClass(Named):
    """The events of one name, as a class of the app's own."""

    def __init__(self, event_class: type[Any], kind: str) -> None:
        super().__init__(kind)
        self.make = maker(event_class)


def maker(event_class: Any) -> Callable[[WebhookEvent], Any]:
    """Makes instances of the class from events: by `from_event`, by `model_validate`, or by its constructor."""
    if hasattr(event_class, "from_event"):
        return lambda event: event_class.from_event(event)
    if hasattr(event_class, "model_validate"):
        return lambda event: event_class.model_validate(event.payload)
    import inspect

    parameters = inspect.signature(event_class).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = {
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }

    def make(event: WebhookEvent) -> Any:
        payload = event.payload
        if payload.__class__ is not dict:
            raise TypeError(f"{event_class.__name__} is made of a JSON object, and the body is another value")
        return event_class(**{key: value for key, value in payload.items() if takes_all or key in named})

    return make


def is_async(function: Any) -> bool:
    """Whether what a call returns has to be awaited."""
    from inspect import iscoroutinefunction

    call = type(function).__call__
    return iscoroutinefunction(function) or iscoroutinefunction(call)


def is_generator(function: Any) -> bool:
    """Whether a call returns a generator, and runs none of its lines."""
    from inspect import isasyncgenfunction, isgeneratorfunction

    return isgeneratorfunction(function) or isasyncgenfunction(function)


def name_of(function: Any) -> str:
    """The name of a function or of a callable object, for messages."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))
