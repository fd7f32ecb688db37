"""Background work in tasks of the server's event loop."""

from __future__ import annotations

from ._losses import SHUTTING_DOWN, full, log_lost, log_strange
from ._process import end_with_the_process

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Semaphore, Task
    from typing import Any

    from ._arrival import Arrival
    from ._types import AsyncWork
    from .background import Background

#: How long cancelled handlers may take to tidy up.
_TIDYING_SECONDS = 1.0


class TaskQueue:
    """Work in tasks of the event loop that submits it."""

    def __init__(self, background: Background) -> None:
        self._background = background
        # Several event loops: one after the other in tests, or one for each thread.
        self._loops: dict[AbstractEventLoop, tuple[Semaphore, dict[Task[None], Arrival]]] = {}
        self._given_up: set[Task[None]] = set()
        self._closed = False
        end_with_the_process(self)

    def submit(self, work: AsyncWork, arrival: Arrival) -> str | None:
        """Run the work soon. If it never begins, its arrival is given back. Returns the reason if the work is refused."""
        from asyncio import Semaphore, get_running_loop

        if self._closed:
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

        def done(task: Task[None]) -> None:
            if tasks.pop(task, None) is not None and not begun and task.cancelled():
                # Cancelled before its first line: the work itself could not log it.
                self._tell(task)
                arrival.give_back()
            self._given_up.discard(task)

        task.add_done_callback(done)
        return None

    def open(self) -> None:
        """Take work again."""
        self._closed = False

    def close(self) -> None:
        """Refuse work from now on."""
        self._closed = True
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
        _, late = await wait(tasks, timeout=self._background.drain_seconds)
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
        """The process ends: log what is left as lost."""
        self._closed = True
        self._abandon([*self._loops])

    def forked(self) -> None:
        """Begin anew in a forked process, which runs none of the loops. The waiting work is left to the parent."""
        self._loops = {}

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
