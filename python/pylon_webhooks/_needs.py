"""What an adapter needs that this package does not bring."""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from types import TracebackType


class needs:
    """Around imports: where one is missing, the error says how to get it."""

    def __init__(self, name: str, extra: str) -> None:
        self._note = f"this module is for {name}: install it, or this package with its extra [{extra}]"

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, ModuleNotFoundError):
            error.add_note(self._note)
