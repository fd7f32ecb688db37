"""The logger of the package. `logging` is loaded for the first line."""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from logging import Logger


def log() -> Logger:
    """The logger `pylon_webhooks`."""
    from logging import getLogger

    return getLogger("pylon_webhooks")
