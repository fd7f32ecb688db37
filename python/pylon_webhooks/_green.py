"""Coroutines on background threads, also where gevent or eventlet have made those threads greenlets.

All greenlets share one real thread, which can run one event loop of asyncio's at a time. There, each coroutine runs on a real thread
of gevent's or eventlet's own pool, and only its greenlet waits for it.
"""

from __future__ import annotations

from contextlib import contextmanager

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from contextvars import Context
    from typing import Any


@contextmanager
def runs_coroutines() -> Generator[Callable[[Awaitable[Any]], Any]]:
    """A function that runs a coroutine to its end, with the context variables of its caller, outside of any event loop."""
    from asyncio import Runner
    from contextvars import copy_context

    call_apart = _pool()
    if call_apart is None:
        with Runner() as runner:
            yield lambda result: runner.run(_awaited(result), context=copy_context())
        return

    def run(result: Awaitable[Any]) -> Any:
        context = copy_context()
        value, error = call_apart(lambda: _run_apart(result, context))
        if error is not None:
            raise error
        return value

    yield run


def _pool() -> Callable[[Callable[[], object]], Any] | None:
    """What calls a function on a real thread; None where all threads are real."""
    from sys import modules

    # Asked anew each time: the app may be imported before its server replaces `threading`.
    gevent: Any = modules.get("gevent.monkey")
    eventlet: Any = modules.get("eventlet.patcher")
    call: Callable[[Callable[[], object]], Any] | None = None
    if gevent is not None and gevent.is_module_patched("threading"):
        call = _imported("gevent").get_hub().threadpool.apply
    elif eventlet is not None and eventlet.is_monkey_patched("thread"):
        call = _imported("eventlet.tpool").execute
    return call


def _imported(name: str) -> Any:
    from importlib import import_module

    return import_module(name)


def _run_apart(result: Awaitable[Any], context: Context) -> tuple[Any, BaseException | None]:
    from asyncio import Runner

    try:
        with Runner() as runner:
            return runner.run(_awaited(result), context=context), None
    except BaseException as error:  # noqa: BLE001 - raised again where the greenlet is; here it would end the pool's thread
        return None, error


async def _awaited(result: Awaitable[Any]) -> Any:
    from asyncio import CancelledError

    try:
        return await result
    except CancelledError as error:
        # Nobody cancels a handler that has an event loop of its own.
        raise RuntimeError("something that the handler awaited was cancelled") from error
