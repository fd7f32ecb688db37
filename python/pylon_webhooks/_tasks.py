"""Background work in tasks of the server's event loop."""

from __future__ import annotations

from ._losses import SHUTTING_DOWN, Refusal, full, log_lost, log_strange
from ._process import end_with_the_process, seconds_to_drain

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Semaphore, Task
    from collections.abc import Callable
    from concurrent.futures import Future
    from typing import Any

    from ._arrival import Arrival
    from ._types import AsyncWork
    from .background import Background

    # Several event loops: one after the other in tests, or one for each thread.
    _Loops = dict[AbstractEventLoop, tuple[Semaphore, dict[Task[None], Arrival]]]

#: How long cancelled handlers may take to tidy up.
_TIDYING_SECONDS = 1.0


class TaskQueue:
    """Work in tasks of the event loop that submits it."""

    def __init__(self, background: Background) -> None:
        self._background = background
        # By process: a forked one runs none of the loops, and the waiting work is left to the parent.
        self._processes: dict[int, _Loops] = {}
        self._given_up: set[Task[None]] = set()
        # The end of what `drain` waits; None while the queue is open.
        self._until: float | None = None
        end_with_the_process(self)

    @property
    def is_busy(self) -> bool:
        """Whether accepted work is not yet done."""
        return any(tasks for _, tasks in [*self._loops.values()])

    def submit(self, work: AsyncWork, arrival: Arrival, done: Callable[[], None] | None = None) -> Refusal | None:
        """Run the work soon. If it never begins, its arrival is given back. Returns the reason if the work is refused.

        done: called when the work has ended.
        """
        from asyncio import Semaphore, get_running_loop

        if self._until is not None:
            return SHUTTING_DOWN
        loop = get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            self._bury()
            here = self._loops[loop] = (Semaphore(self._background.workers), {})
        if sum(len(tasks) for _, tasks in [*self._loops.values()]) >= self._background.capacity:
            return full(self._background)
        workers, tasks = here
        begun: list[bool] = []
        task = loop.create_task(self._run(work, arrival, workers, begun))
        # The loop itself holds tasks weakly.
        tasks[task] = arrival

        def ended(task: Task[None]) -> None:
            if tasks.pop(task, None) is not None and not begun and task.cancelled():
                # Cancelled before its first line: the work itself could not log it.
                self._tell(task)
                arrival.give_back()
            self._given_up.discard(task)
            if done is not None:
                done()

        task.add_done_callback(ended)
        return None

    def open(self) -> None:
        """Take work again."""
        self._until = None

    def close(self) -> None:
        """Refuse work from now on; `drain_seconds` begin."""
        from time import monotonic

        if self._until is None:
            self._until = monotonic() + seconds_to_drain(self._background.drain_seconds)
        self._bury()

    async def drain(self) -> None:
        """Refuse work from now on, and wait for what was accepted, for `drain_seconds` at most."""
        from asyncio import current_task, get_running_loop, wait

        self.close()
        here = self._loops.get(get_running_loop())
        # A handler that closes its own endpoint must not wait for itself.
        tasks: set[Task[Any]] = set() if here is None else {task for task in here[1] if task is not current_task()}
        if not tasks:
            return
        _, late = await wait(tasks, timeout=self._left())
        if not late:
            return
        self._given_up |= late
        for task in late:
            task.cancel()
        # Bounded: a handler may ignore its cancellation.
        await wait(late, timeout=_TIDYING_SECONDS)
        lost = sum(not task.done() or task.cancelled() for task in late)
        if lost:
            log_lost(lost)

    def end(self) -> None:
        """The process ends: wait as `drain` does in loops that still run, on other threads; log the rest as lost."""
        from concurrent.futures import wait

        self.close()
        draining = [future for loop in [*self._loops] if (future := self._drain_in(loop)) is not None]
        wait(draining, timeout=self._left() + 2 * _TIDYING_SECONDS)
        self._abandon([*self._loops])

    @property
    def _loops(self) -> _Loops:
        from os import getpid

        return self._processes.setdefault(getpid(), {})

    def _left(self) -> float:
        from time import monotonic

        return 0 if self._until is None else max(0, self._until - monotonic())

    def _drain_in(self, loop: AbstractEventLoop) -> Future[None] | None:
        from asyncio import _get_running_loop, run_coroutine_threadsafe

        # A loop of this thread cannot go on while the thread waits.
        is_elsewhere = loop.is_running() and loop is not _get_running_loop()
        return run_coroutine_threadsafe(self.drain(), loop) if is_elsewhere else None

    async def _run(self, work: AsyncWork, arrival: Arrival, workers: Semaphore, begun: list[bool]) -> None:
        from asyncio import CancelledError, current_task

        waits = True
        begun.append(True)
        try:
            async with workers:
                waits = False
                await work()
        except GeneratorExit:
            # The loop was closed, and nothing can be awaited: `_bury` logs it.
            raise
        except CancelledError:
            # Cut short by `drain`, or by a server that ended its loop without it.
            self._tell(current_task())
            if waits:
                await arrival.agive_back()
            raise
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - nobody awaits this task
            log_strange(error)

    def _tell(self, task: Task[Any] | None) -> None:
        # `drain` logs what it cancels, together.
        if task not in self._given_up:
            log_lost(1)

    def _bury(self) -> None:
        """Give up what is left in closed loops."""
        self._abandon([loop for loop in [*self._loops] if loop.is_closed()])

    def _abandon(self, loops: list[AbstractEventLoop]) -> None:
        for loop in loops:
            here = self._loops.pop(loop, None)
            lost = [] if here is None else [arrival for task, arrival in [*here[1].items()] if not task.done()]
            if lost:
                log_lost(len(lost))
            for arrival in lost:
                arrival.give_back()
