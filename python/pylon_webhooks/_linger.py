"""What an async adapter waits for once it has sent the answer."""

from __future__ import annotations

from ._losses import log_unwatched

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


class Linger:
    """What an async adapter waits for after the answer: an event that the background has accepted, if nothing will close the endpoint.

    A server that shuts down waits for its requests before it ends the process. An app that the server does not tell of its end, such
    as a mounted one, has no other way to be waited for. After `drain_seconds` the wait ends, and the log says so.
    """

    __slots__ = ("_seconds", "_unfinished")

    def __init__(self) -> None:
        self._unfinished: Future[None] | None = None
        self._seconds = 0.0

    def __bool__(self) -> bool:
        """Whether there is anything to wait for."""
        return self._unfinished is not None

    def begin(self, seconds: float) -> Callable[[], None]:
        """There is something to wait for, for so many seconds at most. Call what this returns once it has ended."""
        from concurrent.futures import Future

        unfinished: Future[None] = Future()
        self._unfinished, self._seconds = unfinished, seconds
        return lambda: unfinished.set_result(None)

    def wait(self) -> None:
        """Wait on a thread."""
        if self._unfinished is None:
            return
        from concurrent.futures import TimeoutError

        try:
            self._unfinished.result(self._seconds)
        except TimeoutError:
            log_unwatched()

    async def await_(self) -> None:
        """Wait in an event loop."""
        if self._unfinished is None:
            return
        from asyncio import CancelledError, wait, wrap_future

        try:
            done, _ = await wait([wrap_future(self._unfinished)], timeout=self._seconds)
        except CancelledError:
            log_unwatched()
            raise
        if not done:
            log_unwatched()
