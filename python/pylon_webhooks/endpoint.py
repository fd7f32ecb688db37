"""What stands at an address: decides what to answer a request, whatever the web framework."""

from __future__ import annotations

from _thread import allocate_lock

from ._arrival import Arrival
from ._log import log
from ._native import Gate, Outcome, RequestFault
from ._tasks import TaskQueue
from ._threads import ThreadQueue
from .background import SHUTTING_DOWN, Background
from .exceptions import PylonWebhookAsyncHandlerError, PylonWebhookError, PylonWebhookHandlerErrors
from .handler import WebhookHandler
from .replay import ReplayGuard, WrongAnswerError

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from typing import Any, Self, TypeVar

    from ._types import Headers
    from .events import WebhookEvent

    _E = TypeVar("_E")

__all__ = ["Arrival", "Endpoint", "Outcome", "RequestFault"]


_IN_FLIGHT = "a copy of it is being handled at this moment"


class Endpoint:
    """A handler at an address: decides what to answer a request.

    >>> from pylon_webhooks.testing import sample_payload, signed_headers
    >>> endpoint = Endpoint(WebhookHandler(secret="your-webhook-secret"), body_limit=100_000)
    >>> body = sample_payload("issue_new")
    >>> endpoint.respond("POST", signed_headers("your-webhook-secret", body), body)
    <Outcome 200 handled>
    >>> endpoint.respond("POST", {}, body).body
    b'{"error":"unauthorized"}'

    The answer tells the sender the class of a refusal; the log (logger `pylon_webhooks`) tells the operator why.

    handler: what verifies deliveries and has the handlers.
    body_limit: the largest body that is accepted, bytes; a larger one is refused before it is buffered.
    replay_guard: answers a delivery that comes again, and handles it once; none unless given.
    background: answers first and runs the handlers after; they run before the answer unless given.

    As a context manager it closes at the end, and opens again where it had been closed: `with`, and `async with` in an event loop.
    """

    def __init__(
        self,
        handler: WebhookHandler,
        *,
        body_limit: int = 1_048_576,
        replay_guard: ReplayGuard | None = None,
        background: Background | None = None,
    ) -> None:
        if not isinstance(handler, WebhookHandler):
            raise TypeError(f"an endpoint needs a WebhookHandler, not {type(handler).__name__}")
        if isinstance(body_limit, bool) or not isinstance(body_limit, int):
            raise TypeError("body_limit must be a whole number of bytes")
        if not 0 < body_limit < 2**63:
            raise ValueError("body_limit must be at least 1 byte, and not beyond 63 bits")
        if replay_guard is not None and not isinstance(replay_guard, ReplayGuard):
            raise TypeError(f"replay_guard must be a ReplayGuard, not {type(replay_guard).__name__}")
        if background is not None and not isinstance(background, Background):
            raise TypeError(f"background must be a Background, not {type(background).__name__}")
        self._handler = handler
        self._gate = Gate(body_limit=body_limit)
        self._guard = None if replay_guard is None else replay_guard.with_clock(handler.clock)
        self._background = background
        self._threads = None if background is None else ThreadQueue(background)
        self._tasks = None if background is None else TaskQueue(background)
        self._closing = False
        self._lock = allocate_lock()
        self._in_flight: set[str] = set()
        self._unguarded: set[str] = set()

    @classmethod
    def of(cls, handler: WebhookHandler | Endpoint) -> Endpoint:
        """The endpoint itself, or one with the usual settings for a handler."""
        return handler if isinstance(handler, Endpoint) else cls(handler)

    @property
    def handler(self) -> WebhookHandler:
        """What verifies deliveries and has the handlers."""
        return self._handler

    @property
    def is_async(self) -> bool:
        """Whether any handler, or the replay guard's store, is `async def`, and so wants `arespond`."""
        return self._handler.is_async or (self._guard is not None and self._guard.is_async)

    @property
    def body_limit(self) -> int:
        """The largest body that is accepted, bytes."""
        return self._gate.body_limit

    @property
    def background(self) -> Background | None:
        """How handlers run after the answer; None where they run before it."""
        return self._background

    def admit(self, method: str, headers: Headers) -> Outcome | None:
        """What to answer a request without reading its body; None where the body is worth reading."""
        fault = self._gate.admit(method, headers)
        if fault is not None:
            return self.refuse(fault)
        if self._closing:
            return _unavailable(SHUTTING_DOWN)
        return None

    def respond(
        self,
        method: str,
        headers: Headers,
        body: bytes,
        *,
        around: Callable[[], AbstractContextManager[object]] | None = None,
    ) -> Outcome:
        """Decide what to answer: verify, read, ask the replay guard, call the handlers or leave them to a background thread.

        around: makes what the handlers run within, such as a transaction. A background thread has no context variables of the
        request.
        """
        arrival = self.receive(method, headers, body)
        if isinstance(arrival, Outcome):
            return arrival
        if self._threads is None:
            return self._run(arrival, around)
        refusal = self._threads.submit(lambda: self._run_in_thread(arrival, around), arrival)
        if refusal is not None:
            arrival.give_back()
            return _unavailable(refusal)
        arrival.settle()
        return Outcome.ACCEPTED

    async def arespond(
        self,
        method: str,
        headers: Headers,
        body: bytes,
        *,
        on_threads: bool = False,
        around: Callable[[], AbstractContextManager[object]] | None = None,
    ) -> Outcome:
        """As `respond`, awaiting what is async; where a handler is, the background is tasks of the running event loop.

        on_threads: the background is threads in any case, for a framework that cannot say when its event loop ends.
        around: makes what handlers on a thread run within.
        """
        arrival = await self.areceive(method, headers, body)
        if isinstance(arrival, Outcome):
            return arrival
        if self._tasks is None or self._threads is None:
            return await self._arun(arrival)
        if on_threads or not self._handler.is_async:
            refusal = self._threads.submit(lambda: self._run_in_thread(arrival, around), arrival)
        else:
            refusal = self._tasks.submit(lambda: self._arun(arrival), arrival)
        if refusal is not None:
            await arrival.agive_back()
            return _unavailable(refusal)
        arrival.settle()
        return Outcome.ACCEPTED

    def receive(self, method: str, headers: Headers, body: bytes) -> Arrival | Outcome:
        """Verify a delivery, read its event and ask the replay guard; what to answer where it is not to be handled.

        For functions that take the event themselves. They end with the arrival's `settle`, or with `give_back` where they fail.
        """
        headers = _again(headers)
        refused = self._refused(method, headers, body)
        if refused is not None:
            return refused
        try:
            event = self._handler.receive(body, headers=headers)
            key = self._key(event, headers)
            if self._guard is None or key is None:
                return Arrival(event)
            if not self._enter(key[0]):
                return _unavailable(_IN_FLIGHT)
            arrival = Arrival(event, self._guard, key[0], self._in_flight)
            try:
                is_first = self._guard.first_seen(*key)
            except WrongAnswerError:
                arrival.settle()
                raise
            except BaseException:
                # It may have been remembered all the same.
                arrival.give_back()
                raise
            return arrival if is_first else _duplicate(arrival)
        except Exception as error:  # noqa: BLE001 - whatever fails here, the sender must get an answer
            return _failed(error)

    async def areceive(self, method: str, headers: Headers, body: bytes) -> Arrival | Outcome:
        """As `receive`, awaiting what is async; ended by `settle` or `agive_back`."""
        headers = _again(headers)
        refused = self._refused(method, headers, body)
        if refused is not None:
            return refused
        try:
            event = await self._handler.areceive(body, headers=headers)
            key = self._key(event, headers)
            if self._guard is None or key is None:
                return Arrival(event)
            if not self._enter(key[0]):
                return _unavailable(_IN_FLIGHT)
            from asyncio import get_running_loop

            arrival = Arrival(event, self._guard, key[0], self._in_flight, get_running_loop())
            try:
                # Cancelled, it may have been handled long ago: the guard forgets no more than what it has just remembered.
                is_first = await self._guard.afirst_seen(*key, arrival.settle)
            except WrongAnswerError:
                arrival.settle()
                raise
            except Exception:
                # It may have been remembered all the same.
                await arrival.agive_back()
                raise
            except GeneratorExit:
                # The loop was closed under it, and nothing can be awaited.
                arrival.settle()
                raise
            return arrival if is_first else _duplicate(arrival)
        except Exception as error:  # noqa: BLE001 - whatever fails here, the sender must get an answer
            return _failed(error)

    def view(self, event_class: type[_E]) -> Callable[[WebhookEvent], _E | None]:
        """What gives an event as this class to a function of the app's own; None for an event that is not for it.

        Raises TypeError for a class that is no event class, and for an endpoint with a background, where the function that
        takes the event runs before the answer.
        """
        if self._background is not None:
            raise TypeError(
                "a background runs registered handlers, and not the function that takes the event: use one of the two"
            )
        return self._handler.view(event_class)

    def refuse(self, fault: RequestFault) -> Outcome:
        """What to answer a request whose body could not be had; the log says why."""
        outcome = fault.outcome
        if outcome == Outcome.FAILED:
            log().error("Pylon webhook not read: %s", fault)
        else:
            log().warning("Pylon webhook refused: %s", fault)
        return outcome

    def refuse_too_large(self) -> Outcome:
        """What to answer a request whose body turned out to be larger than the limit."""
        return self.refuse(self._gate.too_large)

    def close(self) -> None:
        """Answer 503 from now on, and wait until the background threads have done what they accepted."""
        self._closing = True
        if self._tasks is not None:
            self._tasks.close()
        if self._threads is not None:
            self._threads.drain()

    async def aclose(self) -> None:
        """Answer 503 from now on, and wait until the background has done what it accepted."""
        self._closing = True
        if self._threads is not None:
            self._threads.close()
        if self._tasks is not None:
            await self._tasks.drain()
        if self._threads is not None and self._threads.is_busy:
            from asyncio import to_thread

            await to_thread(self._threads.drain)

    def __enter__(self) -> Self:
        # An app under test starts and ends more than once.
        self._closing = False
        for queue in (self._tasks, self._threads):
            if queue is not None:
                queue.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Endpoint of {self._handler!r}, at most {self.body_limit} bytes>"

    def _refused(self, method: str, headers: Headers, body: bytes) -> Outcome | None:
        outcome = self.admit(method, headers)
        if outcome is None and (fault := self._gate.check_length(headers, len(body))) is not None:
            outcome = self.refuse(fault)
        return outcome

    def _key(self, event: WebhookEvent, headers: Headers) -> tuple[str, int | None] | None:
        if self._guard is None:
            return None
        key = self._handler.replay_key(self._guard.rule, event, headers)
        if key is None:
            self._warn_of(event.event_type)
        return key

    def _warn_of(self, name: str) -> None:
        """Say once for each event name that its events are not guarded."""
        # Senders choose names: not without end.
        if name not in self._unguarded and len(self._unguarded) < 100:
            self._unguarded.add(name)
            log().warning(
                "the replay guard finds nothing to go by in events named %r: each is handled as often as it comes", name
            )

    def _enter(self, key: str) -> bool:
        """Whether no copy of it is between the guard and its handlers' end."""
        with self._lock:
            is_alone = key not in self._in_flight
            self._in_flight.add(key)
        return is_alone

    def _run(
        self,
        arrival: Arrival,
        around: Callable[[], AbstractContextManager[object]] | None = None,
        run: Callable[[Awaitable[Any]], Any] | None = None,
    ) -> Outcome:
        try:
            if around is None:
                self._handler.dispatch(arrival.event, run=run)
            else:
                # What it ends with, such as a commit, may fail as the handlers may.
                with around():
                    self._handler.dispatch(arrival.event, run=run)
        except Exception as error:  # noqa: BLE001 - whatever fails here, the sender must get an answer
            outcome = _failed(error)
            arrival.give_back()
            return outcome
        except BaseException:
            # Interrupted half-way: it may come again.
            arrival.give_back()
            raise
        arrival.settle()
        return Outcome.HANDLED

    async def _arun(self, arrival: Arrival) -> Outcome:
        try:
            await self._handler.adispatch(arrival.event)
        except Exception as error:  # noqa: BLE001 - whatever fails here, the sender must get an answer
            # Told first: a store may take its time, or the process what is left of it.
            outcome = _failed(error)
            await arrival.agive_back()
            return outcome
        except GeneratorExit:
            # The loop was closed under it, and nothing can be awaited.
            arrival.give_back()
            raise
        except BaseException:
            # Cancelled half-way: it may come again.
            await arrival.agive_back()
            raise
        arrival.settle()
        return Outcome.HANDLED

    def _run_in_thread(self, arrival: Arrival, around: Callable[[], AbstractContextManager[object]] | None) -> None:
        if not self._handler.is_async:
            self._run(arrival, around)
            return
        from asyncio import Runner

        # Plain handlers run on the thread itself, where no event loop runs: some of what they call refuses to run in one.
        with Runner() as runner:
            self._run(arrival, around, lambda result: runner.run(_awaited(result)))


async def _awaited(result: Awaitable[Any]) -> Any:
    from asyncio import CancelledError

    try:
        return await result
    except CancelledError as error:
        # Nobody cancels a handler that has an event loop of its own.
        raise RuntimeError("something that the handler awaited was cancelled") from error


def _failed(error: Exception) -> Outcome:
    """Log why, and give what to answer."""
    if isinstance(error, PylonWebhookError):
        log().warning("Pylon webhook refused (%s): %s", error.code, error)
        return Outcome.of_code(error.code)
    if isinstance(error, PylonWebhookHandlerErrors):
        log().error("Pylon webhook not handled: %s", error, exc_info=error)
    elif isinstance(error, PylonWebhookAsyncHandlerError):
        log().error(
            "Pylon webhook not handled: %s; in a web framework, use an adapter that is async (ASGI, `async_webhook_view` of Django), "
            "an endpoint with a background, or a plain handler",
            error,
        )
    else:
        log().error("Pylon webhook not handled, for something before its handlers failed", exc_info=error)
    return Outcome.FAILED


def _duplicate(arrival: Arrival) -> Outcome:
    arrival.settle()
    # As `repr` has it: whoever writes the template chooses the name, line feeds included.
    log().info("Pylon webhook answered and not handled: it has been here before (%r)", arrival.event)
    return Outcome.DUPLICATE


def _unavailable(reason: str) -> Outcome:
    log().warning("Pylon webhook turned away: %s", reason)
    return Outcome.UNAVAILABLE


def _again(headers: Headers) -> Headers:
    """Headers that can be gone through again: the gate, the signature and the replay guard each do."""
    return [*headers] if hasattr(headers, "__next__") else headers  # type: ignore[misc] # pyright: ignore[reportGeneralTypeIssues] - an iterator, so no mapping
