"""What can go wrong.

ValueError
 └ PylonWebhookError                  the delivery was not handled, and no handler has run
    ├ PylonWebhookSignatureError      signature missing, malformed, or not ours: answer 401
    ├ PylonWebhookTimestampError      timestamp missing, malformed, stale, or from the future: answer 401
    └ PylonWebhookPayloadError        an authentic body that is not JSON: answer 400
ExceptionGroup
 └ PylonWebhookHandlerErrors          some handlers failed, all have run: answer 500
RuntimeError
 └ PylonWebhookAsyncHandlerError      `handle` met an `async def` handler before any handler has run: call `ahandle`
UserWarning
 ├ PylonWebhookNameWarning            a handler for a name that nobody is likely to send
 └ PylonWebhookUnverifiedWarning      verification is switched off

A handler's own failure is no ValueError, so that `except ValueError` around `handle` never takes a bug for a forgery.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .events import WebhookEvent

__all__ = [
    "PylonWebhookAsyncHandlerError",
    "PylonWebhookError",
    "PylonWebhookHandlerErrors",
    "PylonWebhookNameWarning",
    "PylonWebhookPayloadError",
    "PylonWebhookSignatureError",
    "PylonWebhookTimestampError",
    "PylonWebhookUnverifiedWarning",
]


class PylonWebhookError(ValueError):
    """A delivery that was not handled; `code` is a stable name of the reason, such as `signature_mismatch`."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        return type(self)._rebuild, (self.args[0], self.__dict__.copy())

    @classmethod
    def _rebuild(cls, message: str, state: dict[str, object]) -> PylonWebhookError:
        error = cls.__new__(cls, message)
        error.__dict__.update(state)
        return error


class PylonWebhookSignatureError(PylonWebhookError):
    """The signature is missing, malformed, or fits none of the secrets."""


class PylonWebhookTimestampError(PylonWebhookError):
    """The timestamp is missing, malformed, stale, or from the future.

    `age_seconds` is how old it is (negative when it lies ahead) and `tolerance_seconds` how old it may be; both are None
    where there was no timestamp to compare.
    """

    def __init__(
        self,
        message: str,
        code: str = "",
        age_seconds: int | None = None,
        tolerance_seconds: int | None = None,
    ) -> None:
        super().__init__(message, code)
        self.age_seconds = age_seconds
        self.tolerance_seconds = tolerance_seconds


class PylonWebhookPayloadError(PylonWebhookError):
    """The body is not JSON; `payload` is the body, None where it was not bytes."""

    def __init__(self, message: str, payload: bytes | None = None) -> None:
        super().__init__(message, "payload")
        self.payload = payload


class PylonWebhookHandlerErrors(ExceptionGroup[Exception]):
    """The failures of one event's handlers, in order of registration; `event` is the event."""

    event: WebhookEvent

    @classmethod
    def of(cls, event: WebhookEvent, failures: list[Exception]) -> PylonWebhookHandlerErrors:
        """The group of an event's failures; the list is emptied, for the failures hold the frame that holds it."""
        count = "a handler" if len(failures) == 1 else f"{len(failures)} handlers"
        group = cls(f"{count} failed for {event!r}", tuple(failures))
        group.event = event
        failures.clear()
        return group

    def derive(self, excs: Sequence[Exception], /) -> PylonWebhookHandlerErrors:  # type: ignore[override]
        """Part of the group, as `except*` and `split` make it; it keeps the event."""
        group = type(self)(self.message, excs)
        # One made by hand has no event.
        group.__dict__.update(self.__dict__)
        return group


class PylonWebhookAsyncHandlerError(RuntimeError):
    """`handle` cannot await: an `async def` handler was due, and none has run; or, within PylonWebhookHandlerErrors, a plain
    handler returned something to be awaited."""


class PylonWebhookNameWarning(UserWarning):
    """A handler was registered for a name that nobody is likely to send."""


class PylonWebhookUnverifiedWarning(UserWarning):
    """Verification is switched off: whoever finds the address can send events."""
