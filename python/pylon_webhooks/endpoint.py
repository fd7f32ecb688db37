"""`Endpoint`: decides what to answer a request, in any web framework."""

from __future__ import annotations

from _thread import allocate_lock

from ._arrival import Arrival, GuardedArrival
from ._guard import Guard
from ._linger import Linger
from ._log import log
from ._native import Outcome, RequestFault
from ._told_names import ToldNames
from .background import Background
from .exceptions import PylonWebhookAsyncHandlerError, PylonWebhookError, PylonWebhookHandlerErrors
from .handler import WebhookHandler
from .replay import ReplayGuard

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from typing import Any, Self, TypeVar

    from ._losses import Refusal
    from ._native import Admitted
    from ._tasks import TaskQueue
    from ._threads import ThreadQueue
    from ._types import AsyncReadBody, Headers, Payload, ReadBody
    from .events import WebhookEvent

    _E = TypeVar("_E")

__all__ = ["Arrival", "Endpoint", "Linger", "Outcome", "RequestFault"]


class Endpoint:
    """A handler at an address: decides what to answer a request.

    >>> from pylon_webhooks.testing import sample_payload, signed_headers
    >>> endpoint = Endpoint(WebhookHandler(secret="your-webhook-secret"), body_limit=100_000)
    >>> body = sample_payload("issue_new")
    >>> endpoint.respond("POST", signed_headers("your-webhook-secret", body), body)
    <Outcome 200 handled>
    >>> endpoint.respond("POST", {}, body).body
    b'{"error":"unauthorized"}'

    The answer tells the sender the class of a refusal. The log (logger `pylon_webhooks`) tells the operator the reason.

    handler: verifies deliveries and has the handlers.
    body_limit: the largest body that is accepted, bytes. A larger one is refused before it is buffered.
    replay_guard: handles a delivery once, and answers a copy without handling it. Default: no guard.
    background: runs the handlers after the answer. Default: they run before it.

    As a context manager, plain or async, the endpoint opens, and closes at the end.
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
            raise ValueError("body_limit must be at least 1 byte, and less than 2**63")
        if replay_guard is not None and not isinstance(replay_guard, ReplayGuard):
            raise TypeError(f"replay_guard must be a ReplayGuard, not {type(replay_guard).__name__}")
        if background is not None and not isinstance(background, Background):
            raise TypeError(f"background must be a Background, not {type(background).__name__}")
        self._handler = handler
        # Of one package: the endpoint has a limit of its own, and tells the error handlers itself.
        self._intake = handler._intake.with_body_limit(body_limit)  # pyright: ignore[reportPrivateUsage]
        self._handlers = handler._handlers  # pyright: ignore[reportPrivateUsage]
        self._guard = None if replay_guard is None else Guard(replay_guard, handler.clock)
        self._background = background
        self._threads: ThreadQueue | None = None
        self._tasks: TaskQueue | None = None
        if background is not None:
            # Loaded only if needed, so that importing the package stays quick.
            from ._losses import standstill
            from ._tasks import TaskQueue
            from ._threads import ThreadQueue

            self._threads, self._tasks = ThreadQueue(background), TaskQueue(background)
            if (refusal := standstill()) is not None:
                log().error("every Pylon webhook will be turned away: %s", refusal.reason)
        self._closing = False
        # Whether somebody has opened it, who will close it too.
        self._is_open = False
        self._lock = allocate_lock()
        self._in_flight: set[str] = set()
        self._unguarded = ToldNames()

    @classmethod
    def of(cls, handler: WebhookHandler | Endpoint) -> Endpoint:
        """The endpoint itself, or an endpoint with the default settings for a handler."""
        return handler if isinstance(handler, Endpoint) else cls(handler)

    @property
    def handler(self) -> WebhookHandler:
        """The handler that verifies deliveries."""
        return self._handler

    @property
    def is_async(self) -> bool:
        """Whether any handler, or the replay store, is `async def`, and so needs `arespond`."""
        return self._handler.is_async or (self._guard is not None and self._guard.is_async)

    @property
    def body_limit(self) -> int:
        """The largest body that is accepted, bytes."""
        return self._intake.body_limit

    @property
    def background(self) -> Background | None:
        """How handlers run after the answer; None if they run before it."""
        return self._background

    def respond(
        self,
        method: str,
        headers: Headers,
        body: Payload | ReadBody,
        *,
        around: Callable[[], AbstractContextManager[object]] | None = None,
        linger: Linger | None = None,
    ) -> Outcome:
        """Decide what to answer: verify, read, ask the replay guard, then call the handlers or leave them to a background thread.

        headers: all headers of the request; the endpoint goes through them once.
        body: the raw body, or a function that reads it. The function is called with the limit in bytes, and only if method and
            declared length are right. It returns the body, of which it reads no more than the limit and one piece, or a RequestFault.
            If it raises, the body counts as broken off.
        around: makes the context that the handlers run in, such as a transaction. A background thread has no context variables
            of the request.
        linger: told what to wait for after the answer, for an adapter whose server may end the process right after its requests.
        """
        arrival = self.receive(method, headers, body)
        if isinstance(arrival, Outcome):
            return arrival
        if self._background is None:
            return self._run(arrival, around)
        refusal = self._submit(arrival, around, linger, on_threads=True)
        if refusal is not None:
            arrival.give_back()
            return _unavailable(refusal)
        arrival.settle()
        return Outcome.ACCEPTED

    async def arespond(
        self,
        method: str,
        headers: Headers,
        body: Payload | AsyncReadBody,
        *,
        on_threads: bool = False,
        around: Callable[[], AbstractContextManager[object]] | None = None,
        linger: Linger | None = None,
    ) -> Outcome:
        """As `respond`, awaiting async functions. If a handler is async, the background runs in tasks of the running event loop.

        The event loop must be asyncio's: with another one, such as trio's, authentic deliveries are answered 503.

        body: the raw body, or an async function that reads it.
        on_threads: run the background on threads in any case, for a framework that cannot say when its event loop ends.
        around: makes the context for handlers on a thread.
        linger: as for `respond`.
        """
        arrival = await self.areceive(method, headers, body)
        if isinstance(arrival, Outcome):
            return arrival
        if self._background is None:
            return await self._arun(arrival)
        refusal = self._submit(arrival, around, linger, on_threads=on_threads or not self._handler.is_async)
        if refusal is not None:
            await arrival.agive_back()
            return _unavailable(refusal)
        arrival.settle()
        return Outcome.ACCEPTED

    def receive(self, method: str, headers: Headers, body: Payload | ReadBody) -> Arrival | Outcome:
        """Verify a delivery, read its event and ask the replay guard; what to answer if the event is not to be handled.

        For functions of your own that take the event. They end the arrival: `with arrival: ...`.
        """
        admitted = self._admit(method, headers)
        if isinstance(admitted, Outcome):
            return admitted
        try:
            found = body(admitted.body_limit) if callable(body) else body
        except Exception as error:  # noqa: BLE001 - servers have exceptions of their own for a body that breaks off
            found = _broken(error, admitted)
        try:
            arrival = self._arrival(admitted, found)
            if isinstance(arrival, GuardedArrival) and not arrival.is_first():
                return _duplicate(arrival)
            return arrival
        except PylonWebhookError as error:
            self._handlers.tell(error)
            return _failed(error)
        except Exception as error:  # noqa: BLE001 - whatever fails here, the sender must get an answer
            return _failed(error)

    async def areceive(self, method: str, headers: Headers, body: Payload | AsyncReadBody) -> Arrival | Outcome:
        """As `receive`, awaiting async functions: `async with arrival: ...`."""
        admitted = self._admit(method, headers)
        if isinstance(admitted, Outcome):
            return admitted
        try:
            found = await body(admitted.body_limit) if callable(body) else body
        except Exception as error:  # noqa: BLE001 - servers have exceptions of their own for a body that breaks off
            found = _broken(error, admitted)
        try:
            loop = _running_loop()
            arrival = self._arrival(admitted, found, loop)
            if loop is None and isinstance(arrival, Arrival):
                from ._losses import NOT_ASYNCIO

                arrival.settle()
                return _unavailable(NOT_ASYNCIO)
            if isinstance(arrival, GuardedArrival) and not await arrival.ais_first():
                return _duplicate(arrival)
            return arrival
        except PylonWebhookError as error:
            await self._handlers.atell(error)
            return _failed(error)
        except Exception as error:  # noqa: BLE001 - whatever fails here, the sender must get an answer
            return _failed(error)

    def view(self, event_class: type[_E]) -> Callable[[WebhookEvent], _E | None]:
        """A function that gives an event as this class, or None for an event of another class.

        Raises TypeError for a class that is no event class. Raises TypeError for an endpoint with a background: a function of
        your own that takes the event runs before the answer.
        """
        if self._background is not None:
            raise TypeError(
                "a background runs registered handlers, not a function that takes the event: use one of the two"
            )
        return self._handlers.view(event_class)

    def close(self) -> None:
        """Answer 503 from now on, and wait until the background threads have handled the accepted events."""
        self._closing, self._is_open = True, False
        if self._tasks is not None:
            self._tasks.close()
        if self._threads is not None:
            self._threads.drain()

    async def aclose(self) -> None:
        """Answer 503 from now on, and wait until the background has handled the accepted events."""
        self._closing, self._is_open = True, False
        if self._threads is not None:
            self._threads.close()
        if self._tasks is not None:
            await self._tasks.drain()
        if self._threads is not None and self._threads.is_busy:
            from asyncio import to_thread

            await to_thread(self._threads.drain)

    def __enter__(self) -> Self:
        # An app under test starts and ends more than once.
        self._closing, self._is_open = False, True
        for queue in (self._tasks, self._threads):
            if queue is not None:
                queue.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        if _running_loop() is None:
            from ._losses import NOT_ASYNCIO

            # While the server starts, which is better than at the first delivery.
            raise RuntimeError(NOT_ASYNCIO.reason)
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        # Tracebacks show the object whose constructor failed.
        return (
            f"<Endpoint of {self._handler!r}, at most {self.body_limit} bytes>"
            if hasattr(self, "_intake")
            else "<Endpoint>"
        )

    def _admit(self, method: str, headers: Headers) -> Admitted | Outcome:
        admitted = self._intake.admit(method, headers)
        if isinstance(admitted, RequestFault):
            return _refused(admitted)
        if self._closing:
            from ._losses import SHUTTING_DOWN

            return _unavailable(SHUTTING_DOWN)
        return admitted

    def _arrival(
        self, admitted: Admitted, body: Payload | RequestFault, loop: AbstractEventLoop | None = None
    ) -> Arrival | Outcome:
        """The verified event, before the replay store is asked; what to answer if there is none, or a copy is in flight."""
        if isinstance(body, RequestFault):
            return _refused(body)
        received = admitted.receive(body, None if self._guard is None else self._guard.rule)
        if isinstance(received, RequestFault):
            return _refused(received)
        event, key = received
        if self._guard is None:
            return Arrival(event)
        if key is None:
            self._warn_of(event.event_type)
            return Arrival(event)
        if not self._enter(key[0]):
            from ._losses import COPY_IN_FLIGHT

            return _unavailable(COPY_IN_FLIGHT)
        return GuardedArrival(event, self._guard, *key, self._in_flight, loop)

    def _warn_of(self, name: str) -> None:
        """Log, once for each event name, that its events are not guarded."""
        if (told := self._unguarded.first(name)) is not None:
            log().warning("the replay guard cannot identify events named %r, so copies of them are handled again", told)

    def _enter(self, key: str) -> bool:
        """Whether no copy is between the guard and the end of its handlers."""
        with self._lock:
            is_alone = key not in self._in_flight
            self._in_flight.add(key)
        return is_alone

    def _submit(
        self,
        arrival: Arrival,
        around: Callable[[], AbstractContextManager[object]] | None,
        linger: Linger | None,
        *,
        on_threads: bool,
    ) -> Refusal | None:
        """Leave the event to the background; why that refuses it."""
        from ._losses import MADE_LATE, standstill
        from ._process import waits_for_threads

        refusal = standstill()
        if refusal is not None or self._background is None or self._threads is None or self._tasks is None:
            return refusal
        if on_threads and linger is None and not self._is_open and not waits_for_threads():
            return MADE_LATE
        # An endpoint that somebody has opened is closed too, which waits.
        done = (
            None
            if linger is None or self._is_open
            else linger.begin(self._background.drain_seconds, on_threads=on_threads)
        )
        if on_threads:
            refusal = self._threads.submit(lambda: self._run_in_thread(arrival, around), arrival, done)
        else:
            refusal = self._tasks.submit(lambda: self._arun(arrival), arrival, done)
        if refusal is not None and done is not None:
            done()
        return refusal

    def _run(
        self,
        arrival: Arrival,
        around: Callable[[], AbstractContextManager[object]] | None = None,
        run: Callable[[Awaitable[Any]], Any] | None = None,
    ) -> Outcome:
        with arrival:
            try:
                if around is None:
                    self._handler.dispatch(arrival.event, run=run)
                else:
                    # The end of the context, such as a commit, may fail as the handlers may.
                    with around():
                        self._handler.dispatch(arrival.event, run=run)
            except Exception as error:  # noqa: BLE001 - whatever fails here, the sender must get an answer
                # Logged first: a store may take its time.
                outcome = _failed(error)
                arrival.give_back()
                return outcome
        return Outcome.HANDLED

    async def _arun(self, arrival: Arrival) -> Outcome:
        async with arrival:
            try:
                await self._handler.adispatch(arrival.event)
            except Exception as error:  # noqa: BLE001 - whatever fails here, the sender must get an answer
                # Logged first: a store may take its time, and the process may end meanwhile.
                outcome = _failed(error)
                await arrival.agive_back()
                return outcome
        return Outcome.HANDLED

    def _run_in_thread(self, arrival: Arrival, around: Callable[[], AbstractContextManager[object]] | None) -> None:
        if not self._handler.is_async:
            self._run(arrival, around)
            return
        from ._green import runs_coroutines

        # Plain handlers run on the thread itself, outside of the event loop: some of what they call refuses to run in one.
        with runs_coroutines() as run:
            self._run(arrival, around, run)


def _running_loop() -> AbstractEventLoop | None:
    """The running event loop of asyncio's; None where another library runs coroutines."""
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        return None


def _failed(error: Exception) -> Outcome:
    """Log the reason, and give what to answer."""
    if isinstance(error, PylonWebhookError):
        log().warning("Pylon webhook refused (%s): %s", error.code, error)
        return Outcome.of_code(error.code)
    if isinstance(error, PylonWebhookHandlerErrors):
        log().error("Pylon webhook not handled: %s", error, exc_info=error)
    elif isinstance(error, PylonWebhookAsyncHandlerError):
        log().error(
            "Pylon webhook not handled: %s; in a web framework, use an async adapter (ASGI, Django's `async_webhook_view`), "
            "an endpoint with a background, or a plain handler",
            error,
        )
    else:
        log().error("Pylon webhook not handled: something failed before its handlers ran", exc_info=error)
    return Outcome.FAILED


def _refused(fault: RequestFault) -> Outcome:
    """Log the fault, and give what to answer."""
    outcome = fault.outcome
    if outcome == Outcome.FAILED:
        log().error("Pylon webhook not read: %s", fault)
    else:
        log().warning("Pylon webhook refused: %s", fault)
    return outcome


def _broken(error: Exception, admitted: Admitted) -> RequestFault:
    log().debug("reading the body of a Pylon webhook failed", exc_info=error)
    return admitted.broken()


def _duplicate(arrival: Arrival) -> Outcome:
    arrival.settle()
    # As `repr` shows it: the admin who writes the template chooses the name, line feeds included.
    log().info("Pylon webhook not handled again: it is a copy of an earlier delivery (%r)", arrival.event)
    return Outcome.DUPLICATE


def _unavailable(refusal: Refusal) -> Outcome:
    tell = log().error if refusal.is_fault else log().warning
    tell("Pylon webhook turned away: %s", refusal.reason)
    return Outcome.UNAVAILABLE
