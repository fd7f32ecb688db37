"""Background work on threads."""

from __future__ import annotations

from ._losses import SHUTTING_DOWN, Refusal, full, log_lost, log_strange, no_thread
from ._process import end_with_the_process, seconds_to_drain

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._arrival import Arrival
    from ._types import Work
    from .background import Background


class ThreadQueue:
    """Work on threads of its own. They start when first needed, after a server has forked its workers."""

    def __init__(self, background: Background) -> None:
        self._background = background
        # The end of what `drain` waits; None while the queue is open.
        self._until: float | None = None
        # By process: a forked one has none of the threads, and servers that fork in C may not tell Python of it.
        self._crews: dict[int, _Crew] = {}
        end_with_the_process(self)

    @property
    def is_busy(self) -> bool:
        """Whether accepted work is not yet done."""
        from os import getpid

        crew = self._crews.get(getpid())
        return crew is not None and bool(crew.waiting or crew.running)

    def submit(self, work: Work, arrival: Arrival, done: Callable[[], None] | None = None) -> Refusal | None:
        """Run the work soon. If no time is left for it, its arrival is given back. Returns the reason if the work is refused.

        done: called when the work has ended, or is given up.
        """
        from threading import Thread

        crew, job = self._crew, _Job(work, arrival, done)
        with crew.offered:
            if self._until is not None:
                return SHUTTING_DOWN
            if len(crew.waiting) + len(crew.running) >= self._background.capacity:
                return full(self._background)
            crew.waiting.append(job)
            if crew.threads < min(self._background.workers, len(crew.waiting) + len(crew.running)):
                crew.threads += 1
                try:
                    # Daemons: a handler that hangs must not keep the process from ending.
                    Thread(target=self._work, args=[crew], name="pylon-webhooks", daemon=True).start()
                except Exception as error:  # noqa: BLE001 - a RuntimeError, but whatever it is, the event must not wait for ever
                    # The system has no more threads, or the process is ending. Running threads will take the work.
                    crew.threads -= 1
                    if crew.threads == 0:
                        crew.waiting.pop()
                        return no_thread(error)
            crew.offered.notify()
        return None

    def open(self) -> None:
        """Take work again."""
        self._until = None

    def close(self) -> None:
        """Refuse work from now on; `drain_seconds` begin."""
        from time import monotonic

        crew = self._crew
        with crew.offered:
            if self._until is None:
                self._until = monotonic() + seconds_to_drain(self._background.drain_seconds)
                # Idle threads end.
                crew.offered.notify_all()

    def drain(self) -> None:
        """Refuse work from now on, and wait for what was accepted, for `drain_seconds` at most."""
        from threading import get_ident
        from time import monotonic

        self.close()
        me, crew = get_ident(), self._crew
        with crew.done:
            left = 0 if self._until is None else self._until - monotonic()
            # A handler that closes its own endpoint must not wait for itself.
            crew.done.wait_for(lambda: not crew.waiting and not {*crew.running} - {me}, timeout=left)
            late = [crew.running.pop(thread) for thread in [*crew.running] if thread != me]
            unbegun = [*crew.waiting]
            crew.waiting.clear()
        if late or unbegun:
            log_lost(len(late) + len(unbegun))
        # Running work may still succeed, and gives its arrival back if it fails.
        for job in unbegun:
            job.arrival.give_back()
        for job in (*late, *unbegun):
            job.end()

    def end(self) -> None:
        """The process ends: wait as `drain` does."""
        self.drain()

    @property
    def _crew(self) -> _Crew:
        from os import getpid

        process = getpid()
        # In one step: two threads may come at once.
        return self._crews.get(process) or self._crews.setdefault(process, _Crew())

    def _work(self, crew: _Crew) -> None:
        from contextlib import suppress
        from contextvars import Context
        from threading import get_ident

        me = get_ident()
        while (job := self._next(crew, me)) is not None:
            try:
                # Without the request's context variables, which end with the request.
                Context().run(job.work)
            except BaseException as error:  # noqa: BLE001 - a thread that ends would leave other work undone
                # Filters of the app's own may fail too.
                with suppress(Exception):
                    log_strange(error)
            with crew.done:
                crew.running.pop(me, None)
                crew.done.notify_all()
            job.end()
            # While the thread waits, it must not keep the last event alive.
            del job

    def _next(self, crew: _Crew, me: int) -> _Job | None:
        with crew.offered:
            crew.offered.wait_for(lambda: crew.waiting or self._until is not None)
            if not crew.waiting:
                crew.threads -= 1
                return None
            job = crew.running[me] = crew.waiting.popleft()
            return job


class _Job:
    """Accepted work."""

    __slots__ = ("_done", "arrival", "work")

    def __init__(self, work: Work, arrival: Arrival, done: Callable[[], None] | None) -> None:
        self.work = work
        self.arrival = arrival
        self._done = done

    def end(self) -> None:
        """Say that the work has ended, once."""
        done, self._done = self._done, None
        if done is not None:
            done()


class _Crew:
    """The threads of one process, and their work.

    Made when it is needed: what was made before gevent replaced `threading` would stop all greenlets at once.
    """

    def __init__(self) -> None:
        from collections import deque
        from threading import Condition, RLock

        # Reentrant: a signal handler may take it while `submit` holds it.
        lock = RLock()
        self.offered = Condition(lock)
        self.done = Condition(lock)
        self.waiting: deque[_Job] = deque()
        # By the identifier of the thread that runs it.
        self.running: dict[int, _Job] = {}
        self.threads = 0
