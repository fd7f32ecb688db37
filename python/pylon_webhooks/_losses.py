"""Background work that cannot be done: why an event is turned away, and what the log says of accepted events."""

from __future__ import annotations

from ._log import log

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from .background import Background


class Refusal:
    """Why an event is turned away.

    is_fault: it will not pass by itself: the app runs where it cannot do the work.
    """

    __slots__ = ("is_fault", "reason")

    def __init__(self, reason: str, *, is_fault: bool = False) -> None:
        self.reason = reason
        self.is_fault = is_fault


SHUTTING_DOWN = Refusal("the app is shutting down")
COPY_IN_FLIGHT = Refusal("a copy of the delivery is being handled")
NOT_ASYNCIO = Refusal(
    "expected asyncio's event loop, found another one: run the server with asyncio "
    "(Hypercorn: `--worker-class asyncio`)",
    is_fault=True,
)


def full(background: Background) -> Refusal:
    """As many events are waiting as may."""
    return Refusal(f"{background.capacity} events are waiting already")


def no_thread(error: Exception) -> Refusal:
    """The system gives no thread."""
    reason = (
        f"no thread can be started ({error}): allow the app more (`ulimit -u`, or the container's limit on processes)"
    )
    return Refusal(reason, is_fault=True)


MADE_LATE = Refusal(
    "uvicorn ends this process without waiting for `Background`, whose endpoint was made in another thread or process: "
    "make the endpoint where the app is imported, and do not preload it",
    is_fault=True,
)


def standstill() -> Refusal | None:
    """Why nothing runs in this process once a request is answered; None where background work runs."""
    import os
    import sys

    # A file of the app's own may have this name too.
    uwsgi = sys.modules.get("uwsgi")
    has_threads: int | None = getattr(uwsgi, "has_threads", None)
    options: dict[str, object] = getattr(uwsgi, "opt", {})
    # With these it ends a worker without the exit handlers of Python.
    if has_threads is not None and any(name in options for name in ("async", "gevent", "asyncio", "loop")):
        return Refusal(
            "uWSGI with `gevent`, `asyncio` or `async` ends without waiting for `Background`: "
            "use `threads` in uWSGI's configuration instead",
            is_fault=True,
        )
    if has_threads == 0:
        return Refusal(
            "uWSGI runs no threads of the app's, so `Background` cannot work: "
            "set `enable-threads = true` in uWSGI's configuration",
            is_fault=True,
        )
    if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        return Refusal(
            "AWS Lambda freezes the process after the answer, so `Background` cannot work: "
            "send the event to a queue in a handler instead",
            is_fault=True,
        )
    return None


def log_lost(count: int) -> None:
    """Log how many accepted events are lost."""
    log().error("accepted Pylon webhook events are lost because the app ended before their handlers: %d", count)


def log_strange(error: BaseException) -> None:
    """Log an exception that is none of a handler's: an exit, or a cancellation."""
    log().critical("a handler raised an exception that no handler should raise", exc_info=error)


def log_unwatched() -> None:
    """Log that nothing waits any longer for an accepted event."""
    log().error(
        "an accepted Pylon webhook event is not handled yet, and is lost if the server ends now: nothing closes its endpoint; "
        "do so in the lifespan of the app that the server runs (`async with endpoint: ...`)"
    )
