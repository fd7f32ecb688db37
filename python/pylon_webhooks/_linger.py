"""What an async adapter waits for once it has sent the answer."""

from __future__ import annotations

from _thread import allocate_lock

from ._losses import log_unwatched

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from concurrent.futures import Future


class Linger:
    """What an async adapter waits for after the answer: an event that the background has accepted, if nothing will close the endpoint.

    A server that shuts down waits for its requests before it ends the process. An app that the server does not tell of its end, such
    as a mounted one, has no other way to be waited for. After `drain_seconds` the wait ends, and the log says so.
    """

    __slots__ = ("_on_threads", "_unfinished", "_until")

    def __init__(self) -> None:
        self._unfinished: Future[None] | None = None
        self._until = 0.0
        self._on_threads = False

    def __bool__(self) -> bool:
        """Whether there is anything to wait for."""
        return self._unfinished is not None

    def begin(self, seconds: float, *, on_threads: bool) -> Callable[[], None]:
        """There is something to wait for, for so many seconds at most. Call what this returns once it has ended.

        on_threads: it goes on when nobody waits for it any longer, and the end of the process waits for it.
        """
        from concurrent.futures import Future
        from time import monotonic

        unfinished: Future[None] = Future()
        self._unfinished, self._until, self._on_threads = unfinished, monotonic() + seconds, on_threads
        return lambda: unfinished.set_result(None)

    def wait(self) -> None:
        """Wait on a thread."""
        if self._unfinished is None:
            return
        from concurrent.futures import TimeoutError

        try:
            self._unfinished.result(self._left())
        except TimeoutError:
            log_unwatched()

    async def await_(self) -> None:
        """Wait in an event loop."""
        if self._unfinished is None:
            return
        from asyncio import CancelledError, wait, wrap_future

        try:
            done, _ = await wait([wrap_future(self._unfinished)], timeout=self._left())
        except CancelledError:
            if not self._on_threads:
                log_unwatched()
            raise
        if not done:
            log_unwatched()

    def _left(self) -> float:
        from time import monotonic

        return max(0, self._until - monotonic())


class Lingering:
    """Waits on threads for what the requests of an endpoint linger for, on one thread at a time.

    A request that is waited for keeps the server from ending, so one is enough: it waits for what the others have left too.
    """

    __slots__ = ("_is_waiting", "_left")

    def __init__(self) -> None:
        from collections import deque

        self._left: deque[Linger] = deque()
        self._is_waiting = allocate_lock()

    def wait(self, linger: Linger) -> None:
        """Wait, or leave it to the request that waits already."""
        self._left.append(linger)
        # Again: something may be left right after the last look, when the lock is still taken.
        while self._left and self._is_waiting.acquire(blocking=False):
            try:
                while self._left:
                    self._left.popleft().wait()
            finally:
                self._is_waiting.release()
