"""Errors for missing packages that an adapter needs."""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from types import TracebackType


class needs:
    """Put around imports: if a package is missing, the error says how to install it."""

    def __init__(self, name: str, extra: str) -> None:
        self._note = f"this module needs {name}: install {name}, or this package with the extra [{extra}]"

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, ModuleNotFoundError):
            error.add_note(self._note)
