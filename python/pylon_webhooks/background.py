"""`Background`: settings of handlers that run after the answer."""

from __future__ import annotations

__all__ = ["Background"]


class Background:
    """How handlers run after the answer. Accepted events are in the memory of this process: they are lost if it dies.

    >>> Background(capacity=100, workers=1)
    <Background of 100 events, 1 at once, drained within 25 seconds>

    capacity: maximum number of events that are accepted and not yet handled. Further events are answered 503.
    workers: maximum number of events that are handled at once. One worker handles them in the order of arrival.
    drain_seconds: how long closing waits for accepted events. Events left after that are lost, and the log says how many.

    In async frameworks, handlers run in tasks of the server's event loop; in other frameworks, on threads.
    """

    def __init__(self, *, capacity: int = 1000, workers: int = 8, drain_seconds: float = 25) -> None:
        for name, value in (("capacity", capacity), ("workers", workers)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be a whole number")
            if value < 1:
                raise ValueError(f"{name} must be at least 1")
        if isinstance(drain_seconds, bool) or not isinstance(drain_seconds, (int, float)):
            raise TypeError("drain_seconds must be a number")
        if not 0 <= drain_seconds < float("inf"):
            raise ValueError("drain_seconds must be at least 0 and finite")
        self.capacity = capacity
        self.workers = workers
        self.drain_seconds = drain_seconds

    def __repr__(self) -> str:
        # Tracebacks show the object whose constructor failed.
        if not hasattr(self, "drain_seconds"):
            return "<Background>"
        return f"<Background of {self.capacity} events, {self.workers} at once, drained within {self.drain_seconds} seconds>"
