"""The exceptions and warnings.

ValueError
 └ PylonWebhookError                  the delivery was not handled, and no handler has run
    ├ PylonWebhookSignatureError      signature missing, malformed, or of no configured secret: answer 401
    ├ PylonWebhookTimestampError      timestamp missing, malformed, stale, or from the future: answer 401
    └ PylonWebhookPayloadError        an authentic body that is not JSON: answer 400
ExceptionGroup
 └ PylonWebhookHandlerErrors          all handlers have run, some failed: answer 500
RuntimeError
 └ PylonWebhookAsyncHandlerError      `handle` found an `async def` handler, and no handler has run: call `ahandle`
UserWarning
 ├ PylonWebhookNameWarning            a handler for a name that is probably misspelled
 └ PylonWebhookUnverifiedWarning      verification is switched off

The failure of a handler is no ValueError: `except ValueError` around `handle` never takes a bug for a forgery.
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
    """A delivery that was not handled. `code` is the stable name of the reason, such as `signature_mismatch`."""

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
    """The signature is missing or malformed, or matches none of the secrets."""


class PylonWebhookTimestampError(PylonWebhookError):
    """The timestamp is missing, malformed, stale, or from the future.

    `age_seconds` is the age of the timestamp, negative if it lies in the future; `tolerance_seconds` is the age that is allowed.
    Both are None if there was no timestamp to compare.
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
    """The body is not JSON. `payload` is the body as bytes, None if it was neither bytes nor text."""

    def __init__(self, message: str, payload: bytes | None = None) -> None:
        super().__init__(message, "payload")
        self.payload = payload


class PylonWebhookHandlerErrors(ExceptionGroup[Exception]):
    """The failures of the handlers of one event, in order of registration. `event` is the event."""

    event: WebhookEvent

    def derive(self, excs: Sequence[Exception], /) -> PylonWebhookHandlerErrors:  # type: ignore[override]
        """Part of the group, as `except*` and `split` make it, with the same event."""
        group = type(self)(self.message, excs)
        # A group made by hand has no event.
        group.__dict__.update(self.__dict__)
        return group


class PylonWebhookAsyncHandlerError(RuntimeError):
    """`handle` cannot await an `async def` handler; no handler has run.

    Within PylonWebhookHandlerErrors: a plain handler returned something to be awaited.
    """


class PylonWebhookNameWarning(UserWarning):
    """A handler was registered for a name that is probably misspelled."""


class PylonWebhookUnverifiedWarning(UserWarning):
    """Verification is switched off: anyone who finds the address can send events."""
