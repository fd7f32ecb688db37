"""`ReplayGuard`: handles a delivery once, however often it arrives.

A signature over the body alone never expires, so anyone who captured a delivery can send it again. A guard remembers deliveries.
"""

from __future__ import annotations

from ._native import MemoryReplayStore, ReplayRule

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from typing import Any

    from ._types import ReplayStore

__all__ = ["MemoryReplayStore", "ReplayGuard", "ReplayStore"]


class ReplayGuard:
    """The settings of a guard against copies of a delivery: a copy is answered 200, and no handler runs.

    >>> ReplayGuard.pointer("/message_id", window=86_400)
    <ReplayGuard by pointer /message_id, 86400 seconds>

    Make it by `exact_request`, `pointer` or `body_hash`, and pass it to an `Endpoint`. If a handler fails, the guard forgets the
    delivery, so that the sender may try again.

    store: a `ReplayStore`, an object with `first_seen(key, expires)` and `forget(key)`. Default: 100,000 keys in the memory of
    this process.
    """

    def __init__(self, rule: ReplayRule, name: str, store: ReplayStore | None) -> None:
        for method in ("first_seen", "forget"):
            if store is not None and not callable(getattr(store, method, None)):
                raise TypeError(
                    f"a replay store needs first_seen(key, expires) and forget(key), and {type(store).__name__} has no {method}"
                )
        self.rule = rule
        self._name = name
        self.store = store

    @classmethod
    def exact_request(cls, *, store: ReplayStore | None = None) -> ReplayGuard:
        """A copy has the same body and the same timestamp, if any.

        The guard remembers a delivery while its timestamp is fresh; a delivery without a timestamp, as long as the store has room.
        """
        return cls(ReplayRule.exact_request(), "exact request", store)

    @classmethod
    def pointer(cls, pointer: str, *, window: int | None = None, store: ReplayStore | None = None) -> ReplayGuard:
        """A copy has the same event name, and the same value at this JSON pointer. An event without that value is never a copy.

        window: how long the guard remembers a delivery, seconds. Default: as long as the store has room.
        """
        seconds = "" if window is None else f", {window} seconds"
        return cls(ReplayRule.pointer(pointer, _seconds(window)), f"pointer {pointer}{seconds}", store)

    @classmethod
    def body_hash(cls, *, window: int, store: ReplayStore | None = None) -> ReplayGuard:
        """A copy has the same body, with any timestamp.

        window: how long the guard remembers a delivery, seconds.
        """
        seconds = _seconds(window)
        if seconds is None:
            raise TypeError("window must be a whole number of seconds")
        return cls(ReplayRule.body_hash(seconds), f"body hash, {window} seconds", store)

    def __repr__(self) -> str:
        # Tracebacks show the object whose constructor failed.
        return f"<ReplayGuard by {self._name}>" if hasattr(self, "_name") else "<ReplayGuard>"


def _seconds(window: Any) -> int | None:
    if window is not None and (isinstance(window, bool) or not isinstance(window, int)):
        raise TypeError("window must be a whole number of seconds")
    if window is not None and not 0 < window < 2**63:
        raise ValueError("window must be at least 1 second, and less than 2**63")
    return window


def __getattr__(name: str) -> object:
    # Lazily: a protocol loads `typing`.
    if name == "ReplayStore":
        from ._types import ReplayStore

        return ReplayStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
