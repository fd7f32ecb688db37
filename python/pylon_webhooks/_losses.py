"""Background work that cannot be done: why an event is turned away, and what the log says of accepted events."""

from __future__ import annotations

from ._log import log

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from .background import Background

SHUTTING_DOWN = "the app is shutting down"


def full(background: Background) -> str:
    """Why an event is turned away."""
    return f"{background.capacity} events are waiting already"


def log_lost(count: int) -> None:
    """Log how many accepted events are lost."""
    log().error("accepted Pylon webhook events are lost because the app ended before their handlers: %d", count)


def log_strange(error: BaseException) -> None:
    """Log an exception that is none of a handler's: an exit, or a cancellation."""
    log().critical("a handler raised an exception that no handler should raise", exc_info=error)
