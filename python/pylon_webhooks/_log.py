"""What the package says of itself: its logger and its warnings. `logging` and `warnings` are loaded for the first line."""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from logging import Logger


def log() -> Logger:
    """The logger `pylon_webhooks`."""
    from logging import getLogger

    return getLogger("pylon_webhooks")


def warn(message: str, category: type[Warning]) -> None:
    """Warn, pointing at the line outside of this package that led here."""
    import sys
    import warnings

    level, frame = 1, sys._getframe()  # pyright: ignore[reportPrivateUsage] - as `warnings` itself finds the caller
    while frame.f_back is not None and (frame.f_globals.get("__package__") or "").partition(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
