"""The end of the process, and its forks, as the queues of background work meet them."""

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


#: All queues that there are, once there is one.
_queues: WeakSet[_Queue] | None = None
_lock = allocate_lock()


def end_with_the_process(queue: _Queue) -> None:
    """Let the queue end when the process does, and begin anew in a process that is forked from it."""
    global _queues
    with _lock:
        if _queues is None:
            import atexit
            import os
            import threading
            from importlib import import_module
            from weakref import WeakSet

            _queues = WeakSet()
            # What is registered first is called last: this, then the executors.
            import_module("concurrent.futures.thread")
            # `atexit` calls when executors are shut already, and with them name lookups and all that async handlers leave to
            # threads.
            getattr(threading, "_register_atexit", atexit.register)(_end)
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_forked)
        _queues.add(queue)


def _end() -> None:
    with _lock:
        queues = [*(_queues or ())]
    # All at once: the process must not wait for one after the other.
    for queue in queues:
        queue.close()
    for queue in queues:
        queue.end()


def _forked() -> None:
    global _lock
    # Another thread may have held it.
    _lock = allocate_lock()
    for queue in [*(_queues or ())]:
        queue.forked()
