"""A verified event between the replay guard and whoever handles it."""

from __future__ import annotations

from .replay import not_forgotten

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from .events import WebhookEvent
    from .replay import ReplayGuard


class Arrival:
    """A verified event on its way to whoever handles it, to be ended by `settle` or by giving it back."""

    __slots__ = ("_guard", "_in_flight", "_key", "_loop", "event")

    def __init__(
        self,
        event: WebhookEvent,
        guard: ReplayGuard | None = None,
        key: str | None = None,
        in_flight: set[str] | None = None,
        loop: AbstractEventLoop | None = None,
    ) -> None:
        self.event = event
        self._guard = guard
        self._key = key
        # The keys of which nobody knows yet whether they will be handled.
        self._in_flight = in_flight
        # Where the store was asked: one that is async may work in no other.
        self._loop = loop

    def settle(self) -> None:
        """It was handled, or accepted: a copy is a duplicate from now on."""
        # Once: the mark of a copy that came meanwhile is the copy's.
        in_flight, self._in_flight = self._in_flight, None
        if in_flight is not None and self._key is not None:
            in_flight.discard(self._key)

    def give_back(self) -> None:
        """Let it come again: it was not handled."""
        if self._guard is not None and self._key is not None:
            try:
                # A copy must not be told that it was handled while the store yet forgets.
                self._guard.forget(self._key, self._loop, self.settle)
            except Exception as error:  # noqa: BLE001 - the failure that led here is the one to be told
                not_forgotten(error)
                self.settle()
        else:
            self.settle()

    async def agive_back(self) -> None:
        """As `give_back`, awaiting a store that is async."""
        if self._guard is not None and self._key is not None:
            from asyncio import get_running_loop

            if self._loop is not None and self._loop is not get_running_loop() and self._loop.is_running():
                self.give_back()
                return
            try:
                # Where this is cancelled, a copy must not be told that it was handled while the store yet forgets.
                await self._guard.aforget(self._key, self.settle)
            except Exception as error:  # noqa: BLE001 - the failure that led here is the one to be told
                not_forgotten(error)
                self.settle()
            except GeneratorExit:
                # The loop was closed under it.
                self.settle()
                raise
        else:
            self.settle()
