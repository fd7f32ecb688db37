"""Handlers that run after the answer: how many may wait and run, and what is said when they cannot."""

from __future__ import annotations

from ._log import log

__all__ = ["Background"]

SHUTTING_DOWN = "the app is shutting down"


class Background:
    """How handlers run after the answer. What waits is in this process's memory: it is lost when the process dies.

    >>> Background(capacity=100, workers=1)
    <Background of 100 events, 1 at once, drained within 25 seconds>

    capacity: how many events may be accepted and not yet handled, running ones included; further ones are answered 503.
    workers: how many events are handled at once; with one, they are handled in the order in which they came.
    drain_seconds: how long closing waits for what was accepted; what is left then is given up, and the log says how many.

    In async frameworks handlers run as tasks of the server's event loop, in others on threads.
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
            raise ValueError("drain_seconds must not be negative, nor without end")
        self.capacity = capacity
        self.workers = workers
        self.drain_seconds = drain_seconds

    def __repr__(self) -> str:
        return f"<Background of {self.capacity} events, {self.workers} at once, drained within {self.drain_seconds} seconds>"

    def full(self) -> str:
        """Why an event is turned away."""
        return f"{self.capacity} events are waiting already"

    def lost(self, count: int) -> None:
        """Say in the log what is given up."""
        log().error("accepted Pylon webhook events are lost, for the app ended before their handlers did: %d", count)

    def strange(self, error: BaseException) -> None:
        """Say in the log that a handler ended as none should."""
        log().critical("a handler ended with what no handler should raise", exc_info=error)
