"""A verified event between the replay guard and its handlers."""

from __future__ import annotations

from ._guard import WrongAnswerError, not_forgotten

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Self

    from ._guard import Guard
    from .events import WebhookEvent


class Arrival:
    """A verified event on its way to its handlers. End it with `settle`, or with `give_back` if they fail.

    As a context manager, plain or async, it ends so by itself: given back if the block raises, else settled.
    """

    __slots__ = ("event",)

    def __init__(self, event: WebhookEvent) -> None:
        self.event = event

    def settle(self) -> None:
        """The event was handled, or accepted for the background: a copy is a duplicate from now on."""

    def give_back(self) -> None:
        """The event was not handled: the sender may send it again. `settle` does nothing after this."""

    async def agive_back(self) -> None:
        """As `give_back`, awaiting an async replay store."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.settle()
        else:
            self.give_back()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.settle()
        elif issubclass(kind, GeneratorExit):
            # The event loop or the generator was closed: nothing can be awaited.
            self.give_back()
        else:
            await self.agive_back()


class GuardedArrival(Arrival):
    """An arrival that a replay guard knows by its key.

    in_flight: the keys whose events are between the guard and the end of their handlers.
    loop: the event loop in which the store is asked; an async store may work in no other.
    """

    __slots__ = ("_expires", "_guard", "_in_flight", "_is_given_back", "_key", "_loop")

    def __init__(
        self,
        event: WebhookEvent,
        guard: Guard,
        key: str,
        expires: int | None,
        in_flight: set[str],
        loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(event)
        self._guard = guard
        self._key = key
        self._expires = expires
        self._in_flight: set[str] | None = in_flight
        self._loop = loop
        self._is_given_back = False

    def is_first(self) -> bool:
        """Ask the replay store, once; if that fails, the arrival has ended."""
        try:
            return self._guard.first_seen(self._key, self._expires)
        except WrongAnswerError:
            self.settle()
            raise
        except BaseException:
            # The store may remember the key all the same.
            self.give_back()
            raise

    async def ais_first(self) -> bool:
        """As `is_first`, awaiting an async store."""
        try:
            # After a cancellation the guard forgets only what the store remembered just now: an older key is another delivery's.
            return await self._guard.afirst_seen(self._key, self._expires, self._leave)
        except WrongAnswerError:
            self.settle()
            raise
        except Exception:
            # The store may remember the key all the same.
            await self.agive_back()
            raise
        except GeneratorExit:
            # The loop was closed, and nothing can be awaited.
            self.settle()
            raise

    def settle(self) -> None:
        """See `Arrival`."""
        if not self._is_given_back:
            self._leave()

    def give_back(self) -> None:
        """See `Arrival`."""
        if self._is_given_back:
            return
        self._is_given_back = True
        try:
            # While the store is still forgetting, a copy is no duplicate.
            self._guard.forget(self._key, self._loop, self._leave)
        except Exception as error:  # noqa: BLE001 - the failure that led here is the one to report
            not_forgotten(error)
            self._leave()

    async def agive_back(self) -> None:
        """See `Arrival`."""
        from asyncio import get_running_loop

        if self._loop is not None and self._loop is not get_running_loop() and self._loop.is_running():
            self.give_back()
        if self._is_given_back:
            return
        self._is_given_back = True
        try:
            # The guard calls `_leave` even if this is cancelled: while the store is still forgetting, a copy is no duplicate.
            await self._guard.aforget(self._key, self._leave)
        except Exception as error:  # noqa: BLE001 - the failure that led here is the one to report
            not_forgotten(error)
            self._leave()
        except GeneratorExit:
            # The loop was closed.
            self._leave()
            raise

    def _leave(self) -> None:
        # Once: a copy may have entered since, and its mark is its own.
        in_flight, self._in_flight = self._in_flight, None
        if in_flight is not None:
            in_flight.discard(self._key)
