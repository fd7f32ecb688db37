"""The end of the process, for the queues of background work."""

from __future__ import annotations

from _thread import allocate_lock

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from types import FrameType
    from typing import Protocol
    from weakref import ref

    class _Queue(Protocol):
        @property
        def is_busy(self) -> bool: ...
        def close(self) -> None: ...
        def end(self) -> None: ...


#: All queues. A dict, since no thread and no signal handler finds it half changed.
_queues: dict[ref[_Queue], None] = {}
#: Taken once, and never waited for: a forked process may find it taken.
_registration = allocate_lock()
#: The processes in which SIGTERM is dealt with: what a forked one inherits, its server may have replaced.
_on_sigterm: set[int] = set()


def end_with_the_process(queue: _Queue) -> None:
    """End the queue when the process ends."""
    from weakref import ref

    _queues[ref(queue, lambda gone: _queues.pop(gone, None))] = None
    _end_on_sigterm()
    if not _registration.acquire(blocking=False):
        return
    import atexit
    import threading
    from importlib import import_module

    # Registered first, called last: the executors shut down after `_end`.
    import_module("concurrent.futures.thread")
    # Not by `atexit` if it can be helped: executors are shut by then, and async handlers need them, for name lookups too.
    getattr(threading, "_register_atexit", atexit.register)(_end)


def waits_for_threads() -> bool:
    """Whether the end of this process waits for the queues' threads. May be asked again: the main thread can mend it."""
    import signal
    from os import getpid

    _end_on_sigterm()
    return getpid() in _on_sigterm or not _is_of_uvicorn(signal.getsignal(signal.SIGTERM))


def seconds_to_drain(seconds: float) -> float:
    """How long the end of this process may wait for work, of the seconds that the app allows."""
    from sys import modules

    # Apache kills the processes of mod_wsgi 3 seconds after it has told them to end, which would be the end of the log too.
    return min(seconds, 2) if "mod_wsgi" in modules else seconds


def _alive() -> list[_Queue]:
    return [queue for reference in [*_queues] if (queue := reference()) is not None]


def _end() -> None:
    queues = _alive()
    # Close all, then wait: the process must not wait for one queue after the other.
    for queue in queues:
        queue.close()
    for queue in queues:
        queue.end()


def _end_on_sigterm() -> None:
    """If SIGTERM would kill the process before its exit handlers run, make it do so after the queues have ended.

    Other handlers are left alone, and so are those that replace this one: what they do ends in exit handlers. uvicorn's does not: when
    it has ended, it puts back what it found, and raises the signal again. An app that it loads after that cannot be found there, so
    uvicorn is told of the signal only once the queues have ended.
    """
    import os
    import signal
    import sys
    from contextlib import suppress
    from time import sleep

    # These two handle the signal in C, where Python cannot see it, and must go on doing so.
    is_embedded = "uwsgi" in sys.modules or "mod_wsgi" in sys.modules
    if os.name != "posix" or is_embedded or os.getpid() in _on_sigterm:
        return
    before = signal.getsignal(signal.SIGTERM)
    is_uvicorn = _is_of_uvicorn(before)
    if before != signal.SIG_DFL and not is_uvicorn:
        return
    begun, ended = allocate_lock(), allocate_lock()

    def end() -> None:
        try:
            _end()
        finally:
            ended.acquire()
            # Until it is gone: a signal that comes just before the main thread begins to wait does not wake it.
            while True:
                os.kill(os.getpid(), signal.SIGTERM)
                sleep(0.05)

    def handle(number: int, frame: FrameType | None) -> None:
        # Under uvicorn the queues close in any case: a request that it waits for could still fill them.
        if ended.locked() or not (is_uvicorn or any(queue.is_busy for queue in _alive())):
            if callable(before):
                before(number, frame)
                return
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif begun.acquire(blocking=False):
            import _thread

            try:
                # Not right here: an event loop of this thread must go on, and gevent's hub must not wait.
                _thread.start_new_thread(end, ())
            except RuntimeError:
                end()

    # Only the main thread may, and no subinterpreter.
    with suppress(ValueError):
        signal.signal(signal.SIGTERM, handle)
        _on_sigterm.add(os.getpid())


def _is_of_uvicorn(handler: object) -> bool:
    from sys import modules

    uvicorn = modules.get("uvicorn.server")
    return uvicorn is not None and isinstance(getattr(handler, "__self__", None), uvicorn.Server)
