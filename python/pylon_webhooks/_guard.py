"""The replay guard at work: asks its store, plain or async, and undoes what was not handled."""

from __future__ import annotations

from ._dispatch import is_async
from ._log import log
from ._native import MemoryReplayStore

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Awaitable, Callable
    from typing import Any

    from .replay import ReplayGuard

#: The event loop itself holds tasks weakly.
_unfinished: set[Future[Any]] = set()


class Guard:
    """A replay guard and its store: that of its settings, or one in memory that goes by the clock."""

    def __init__(self, settings: ReplayGuard, clock: Callable[[], float] | None) -> None:
        self.rule = settings.rule
        self._store = MemoryReplayStore(clock=clock) if settings.store is None else settings.store

    @property
    def is_async(self) -> bool:
        """Whether the store has to be awaited."""
        return is_async(self._store.first_seen) or is_async(self._store.forget)

    def first_seen(self, key: str, expires: int | None) -> bool:
        """Whether the key is new to the store. Raises TypeError for an async store."""
        return _told(self._store.first_seen(key, expires))

    async def afirst_seen(self, key: str, expires: int | None, undone: Callable[[], None]) -> bool:
        """As `first_seen`, awaiting an async store.

        undone: called after a cancellation, once the answer of the store has been undone.
        """
        answer: Any = self._store.first_seen(key, expires)
        if not hasattr(answer, "__await__"):
            return _told(answer)
        from asyncio import CancelledError, ensure_future, get_running_loop, shield

        asked: Future[Any] = ensure_future(answer)
        _unfinished.add(asked)
        asked.add_done_callback(_unfinished.discard)
        try:
            return _told(await shield(asked))
        except CancelledError:
            # The store may still remember the key of a delivery that nobody will handle.
            loop = get_running_loop()
            asked.add_done_callback(lambda asked: self._undo(asked, key, loop, undone))
            raise

    def forget(self, key: str, loop: AbstractEventLoop | None, forgotten: Callable[[], None]) -> None:
        """Make the key new again.

        loop: the event loop in which an async store is awaited while the loop runs. None: an event loop of its own.
        forgotten: called when the store has forgotten the key.
        """
        done: Any = self._store.forget(key)
        if hasattr(done, "__await__"):
            _await_elsewhere(done, loop, forgotten)
        else:
            forgotten()

    async def aforget(self, key: str, forgotten: Callable[[], None]) -> None:
        """As `forget`, awaiting an async store. `forgotten` is called even if this is cancelled."""
        done: Any = self._store.forget(key)
        if not hasattr(done, "__await__"):
            forgotten()
            return
        from asyncio import ensure_future, shield

        # To its end, even if the task that waits for it is cancelled, more than once.
        forgetting: Future[Any] = ensure_future(done)
        _unfinished.add(forgetting)
        forgetting.add_done_callback(_unfinished.discard)
        forgetting.add_done_callback(lambda _: forgotten())
        await shield(forgetting)

    def _undo(self, asked: Future[Any], key: str, loop: AbstractEventLoop, undone: Callable[[], None]) -> None:
        try:
            # A key that was there before is another delivery's.
            if not asked.cancelled() and asked.exception() is None and asked.result() is True:
                self.forget(key, loop, undone)
                return
        except Exception as error:  # noqa: BLE001 - nobody is left to catch it
            not_forgotten(error)
        undone()


class WrongAnswerError(TypeError):
    """A store answered, but with neither True nor False."""


def _told(answer: Any) -> bool:
    if answer is True or answer is False:
        return bool(answer)
    if hasattr(answer, "__await__") and hasattr(answer, "close"):
        answer.close()  # a coroutine that nobody will await
    raise WrongAnswerError(
        f"first_seen must return True or False, not {type(answer).__name__}; an async store needs an async framework"
    )


def _await_elsewhere(done: Awaitable[object], loop: AbstractEventLoop | None, forgotten: Callable[[], None]) -> None:
    """Await from a place where nothing can be awaited: another thread, or a callback of the event loop."""
    from asyncio import get_running_loop, run, run_coroutine_threadsafe

    async def forget() -> None:
        try:
            await done
        except Exception as error:  # noqa: BLE001 - nobody is left to catch it
            not_forgotten(error)
        finally:
            forgotten()

    if loop is None or not loop.is_running():
        try:
            loop = get_running_loop()
        except RuntimeError:
            run(forget())
            return
    run_coroutine_threadsafe(forget(), loop)


def not_forgotten(error: Exception) -> None:
    """Log that a store did not forget a key."""
    log().error(
        "the replay store failed to forget a delivery whose handlers failed: if Pylon sends it again, it is not handled",
        exc_info=error,
    )
