"""The end of the process, and forks of it, for the queues of background work."""

from __future__ import annotations

from _thread import allocate_lock

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from typing import Protocol
    from weakref import WeakSet

    class _Queue(Protocol):
        def close(self) -> None: ...
        def end(self) -> None: ...
        def forked(self) -> None: ...


#: All queues; None before the first.
_queues: WeakSet[_Queue] | None = None
_lock = allocate_lock()


def end_with_the_process(queue: _Queue) -> None:
    """End the queue when the process ends, and begin it anew in a forked process."""
    global _queues
    with _lock:
        if _queues is None:
            import atexit
            import os
            import threading
            from importlib import import_module
            from weakref import WeakSet

            _queues = WeakSet()
            # Registered first, called last: the executors shut down after `_end`.
            import_module("concurrent.futures.thread")
            # Not by `atexit` if it can be helped: executors are shut by then, and async handlers need them, for name lookups too.
            getattr(threading, "_register_atexit", atexit.register)(_end)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_forked)
        _queues.add(queue)


def _end() -> None:
    with _lock:
        queues = [*(_queues or ())]
    # Close all, then wait: the process must not wait for one queue after the other.
    for queue in queues:
        queue.close()
    for queue in queues:
        queue.end()


def _forked() -> None:
    global _lock
    # Another thread may have held the lock.
    _lock = allocate_lock()
    for queue in [*(_queues or ())]:
        queue.forked()
