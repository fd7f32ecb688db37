"""Background work on threads."""

from __future__ import annotations

from ._losses import SHUTTING_DOWN, full, log_lost, log_strange
from ._process import end_with_the_process

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections import deque
    from threading import Condition

    from ._arrival import Arrival
    from ._types import Work
    from .background import Background

    _Job = tuple[Work, Arrival]


class ThreadQueue:
    """Work on threads of its own. They start when first needed, after a server has forked its workers."""

    def __init__(self, background: Background) -> None:
        self._background = background
        # The end of what `drain` waits; None while the queue is open.
        self._until: float | None = None
        self.forked()
        end_with_the_process(self)

    def forked(self) -> None:
        """Begin anew in a forked process, which has none of the threads. The waiting work is left to the parent."""
        from collections import deque
        from threading import Condition, RLock

        # Reentrant: a signal handler may take it while `submit` holds it.
        lock = RLock()
        self._offered: Condition = Condition(lock)
        self._done: Condition = Condition(lock)
        self._waiting: deque[_Job] = deque()
        # By the identifier of the thread that runs it.
        self._running: dict[int, _Job] = {}
        self._threads = 0

    @property
    def is_busy(self) -> bool:
        """Whether accepted work is not yet done."""
        return bool(self._waiting or self._running)

    def submit(self, work: Work, arrival: Arrival) -> str | None:
        """Run the work soon. If no time is left for it, its arrival is given back. Returns the reason if the work is refused."""
        from threading import Thread

        job = (work, arrival)
        with self._offered:
            if self._until is not None:
                return SHUTTING_DOWN
            if len(self._waiting) + len(self._running) >= self._background.capacity:
                return full(self._background)
            self._waiting.append(job)
            if self._threads < min(self._background.workers, len(self._waiting) + len(self._running)):
                self._threads += 1
                try:
                    # Daemons: a handler that hangs must not keep the process from ending.
                    Thread(target=self._work, name="pylon-webhooks", daemon=True).start()
                except RuntimeError:
                    # The system has no more threads, or the process is ending. Running threads will take the work.
                    self._threads -= 1
                    if self._threads == 0:
                        self._waiting.pop()
                        return "no thread can be started"
            self._offered.notify()
        return None

    def open(self) -> None:
        """Take work again."""
        with self._offered:
            self._until = None

    def close(self) -> None:
        """Refuse work from now on; `drain_seconds` begin."""
        from time import monotonic

        with self._offered:
            if self._until is None:
                self._until = monotonic() + self._background.drain_seconds
                # Idle threads end.
                self._offered.notify_all()

    def drain(self) -> None:
        """Refuse work from now on, and wait for what was accepted, for `drain_seconds` at most."""
        from threading import get_ident
        from time import monotonic

        self.close()
        me = get_ident()
        with self._done:
            left = 0 if self._until is None else self._until - monotonic()
            # A handler that closes its own endpoint must not wait for itself.
            self._done.wait_for(lambda: not self._waiting and not {*self._running} - {me}, timeout=left)
            late = [self._running.pop(thread) for thread in [*self._running] if thread != me]
            unbegun = [*self._waiting]
            self._waiting.clear()
        if late or unbegun:
            log_lost(len(late) + len(unbegun))
        # Running work may still succeed, and gives its arrival back if it fails.
        for _, arrival in unbegun:
            arrival.give_back()

    def end(self) -> None:
        """The process ends: wait as `drain` does."""
        self.drain()

    def _work(self) -> None:
        from contextvars import Context
        from threading import get_ident

        me = get_ident()
        while (job := self._next(me)) is not None:
            work, _ = job
            try:
                # Without the request's context variables, which end with the request.
                Context().run(work)
            except BaseException as error:  # noqa: BLE001 - a thread that ends would leave other work undone
                log_strange(error)
            with self._done:
                self._running.pop(me, None)
                self._done.notify_all()
            # While the thread waits, it must not keep the last event alive.
            del job, work, _

    def _next(self, me: int) -> _Job | None:
        with self._offered:
            self._offered.wait_for(lambda: self._waiting or self._until is not None)
            if not self._waiting:
                self._threads -= 1
                return None
            job = self._running[me] = self._waiting.popleft()
            return job
