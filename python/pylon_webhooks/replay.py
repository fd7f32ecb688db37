"""Telling deliveries that come again. Body-only signatures never expire, so that a captured delivery can be sent for ever; a
guard remembers those it has seen."""

from __future__ import annotations

from ._dispatch import is_async
from ._log import log
from ._native import MemoryReplayStore, ReplayRule

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Awaitable, Callable
    from typing import Any

    from ._types import ReplayStore

__all__ = ["MemoryReplayStore", "ReplayGuard", "ReplayStore"]


#: The event loop itself holds tasks weakly.
_unfinished: set[Future[Any]] = set()


class ReplayGuard:
    """Tells deliveries that come again; the second one is answered 200 and no handler runs.

    >>> ReplayGuard.pointer("/message_id", window=86_400)
    <ReplayGuard by pointer /message_id, 86400 seconds>

    Made by `exact_request`, `pointer` or `body_hash`. `store` is a `ReplayStore`: an object with `first_seen(key, expires)` and
    `forget(key)`; unless given, 100,000 keys in this process's memory. A delivery whose handler failed is forgotten, so that the
    sender may try again.
    """

    def __init__(self, rule: ReplayRule, name: str, store: ReplayStore | None) -> None:
        for method in ("first_seen", "forget"):
            if store is not None and not callable(getattr(store, method, None)):
                raise TypeError(
                    f"a replay store needs first_seen(key, expires) and forget(key), and {type(store).__name__} has no {method}"
                )
        self.rule = rule
        self._name = name
        self._store = store

    @classmethod
    def exact_request(cls, *, store: ReplayStore | None = None) -> ReplayGuard:
        """The same timestamp, where there is one, and the same body. Remembered while the timestamp is fresh; without one, as
        long as the store has room."""
        return cls(ReplayRule.exact_request(), "exact request", store)

    @classmethod
    def pointer(cls, pointer: str, *, window: int | None = None, store: ReplayStore | None = None) -> ReplayGuard:
        """The same event name, and the same value where this JSON pointer leads; an event without one is never a duplicate.

        window: how long it is remembered, seconds; as long as the store has room unless given.
        """
        seconds = "" if window is None else f", {window} seconds"
        return cls(ReplayRule.pointer(pointer, _seconds(window)), f"pointer {pointer}{seconds}", store)

    @classmethod
    def body_hash(cls, *, window: int, store: ReplayStore | None = None) -> ReplayGuard:
        """The same body within so many seconds, whatever its timestamp."""
        seconds = _seconds(window)
        if seconds is None:
            raise TypeError("window must be a whole number of seconds")
        return cls(ReplayRule.body_hash(seconds), f"body hash, {window} seconds", store)

    def with_clock(self, clock: Callable[[], float] | None) -> ReplayGuard:
        """The guard with a store; one made here goes by the clock."""
        store = MemoryReplayStore(clock=clock) if self._store is None else self._store
        return ReplayGuard(self.rule, self._name, store)

    @property
    def is_async(self) -> bool:
        """Whether the store has to be awaited."""
        return self._store is not None and any(
            is_async(method) for method in (self._store.first_seen, self._store.forget)
        )

    def first_seen(self, key: str, expires: int | None) -> bool:
        """Whether the key is new to the store.

        Raises TypeError for a store that is async.
        """
        return _told(self._asked(key, expires))

    async def afirst_seen(self, key: str, expires: int | None, undone: Callable[[], None] | None = None) -> bool:
        """As `first_seen`, awaiting a store that is async.

        undone: called, where this is cancelled, when what the store then answered has been undone.
        """
        answer = self._asked(key, expires)
        if not hasattr(answer, "__await__"):
            return _told(answer)
        from asyncio import CancelledError, ensure_future, get_running_loop, shield

        asked: Future[Any] = ensure_future(answer)
        _unfinished.add(asked)
        asked.add_done_callback(_unfinished.discard)
        try:
            return _told(await shield(asked))
        except CancelledError:
            # The store may yet remember a delivery that nobody will handle.
            loop = get_running_loop()
            asked.add_done_callback(lambda asked: self._undo(asked, key, loop, undone))
            raise

    def forget(
        self, key: str, loop: AbstractEventLoop | None = None, forgotten: Callable[[], None] | None = None
    ) -> None:
        """Let the key be new again.

        loop: where a store that is async is awaited, while it runs; in a loop of its own unless given.
        forgotten: called when the store has forgotten.
        """
        if self._store is not None:
            done: Any = self._store.forget(key)
            if hasattr(done, "__await__"):
                _await_elsewhere(done, loop, forgotten)
                return
        if forgotten is not None:
            forgotten()

    async def aforget(self, key: str, forgotten: Callable[[], None] | None = None) -> None:
        """As `forget`, awaiting a store that is async.

        forgotten: called when the store has forgotten, even where this was cancelled before.
        """
        if self._store is not None:
            done: Any = self._store.forget(key)
            if hasattr(done, "__await__"):
                from asyncio import ensure_future, shield

                # To its end, though whoever waits for it be cancelled, and more than once.
                forgetting: Future[Any] = ensure_future(done)
                _unfinished.add(forgetting)
                forgetting.add_done_callback(_unfinished.discard)
                if forgotten is not None:
                    forgetting.add_done_callback(lambda _: forgotten())
                await shield(forgetting)
                return
        if forgotten is not None:
            forgotten()

    def _undo(self, asked: Future[Any], key: str, loop: AbstractEventLoop, undone: Callable[[], None] | None) -> None:
        try:
            # One that was there before is another delivery's.
            if not asked.cancelled() and asked.exception() is None and asked.result() is True:
                self.forget(key, loop, undone)
                return
        except Exception as error:  # noqa: BLE001 - nobody is left to catch it
            not_forgotten(error)
        if undone is not None:
            undone()

    def __repr__(self) -> str:
        return f"<ReplayGuard by {self._name}>"

    def _asked(self, key: str, expires: int | None) -> Any:
        if self._store is None:
            raise TypeError("this guard has no store yet: pass it to an Endpoint")
        return self._store.first_seen(key, expires)


class WrongAnswerError(TypeError):
    """A store answered, and not with True or False; whatever it remembers, it has not failed to."""


def _told(answer: Any) -> bool:
    if answer is True or answer is False:
        return bool(answer)
    if hasattr(answer, "__await__") and hasattr(answer, "close"):
        answer.close()  # a coroutine that nobody will await
    raise WrongAnswerError(
        f"first_seen must return True or False, not {type(answer).__name__}; one that is async needs an async framework"
    )


def _await_elsewhere(
    done: Awaitable[object], loop: AbstractEventLoop | None, forgotten: Callable[[], None] | None
) -> None:
    """Await it from where nothing can be awaited: on another thread than the loop's, or in its callbacks."""
    from asyncio import get_running_loop, run, run_coroutine_threadsafe

    async def forget() -> None:
        try:
            await done
        except Exception as error:  # noqa: BLE001 - nobody is left to catch it
            not_forgotten(error)
        finally:
            if forgotten is not None:
                forgotten()

    if loop is None or not loop.is_running():
        try:
            loop = get_running_loop()
        except RuntimeError:
            run(forget())
            return
    run_coroutine_threadsafe(forget(), loop)


def not_forgotten(error: Exception) -> None:
    """Say in the log that a store did not forget."""
    log().error("the replay store did not forget a delivery that failed: sent again, it counts as seen", exc_info=error)


def _seconds(window: Any) -> int | None:
    if window is not None and (isinstance(window, bool) or not isinstance(window, int)):
        raise TypeError("window must be a whole number of seconds")
    if window is not None and not 0 < window < 2**63:
        raise ValueError("window must be at least 1 second, and not beyond 63 bits")
    return window


def __getattr__(name: str) -> object:
    # A protocol loads `typing`.
    if name == "ReplayStore":
        from ._types import ReplayStore

        return ReplayStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
