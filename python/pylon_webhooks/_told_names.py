"""The event names that the log has told of: each once."""

from __future__ import annotations

from _thread import allocate_lock

#: How many names are told, and how many characters of each. Senders choose names, so there must be a limit.
_MOST = 100
_LONGEST = 100


class ToldNames:
    """The names told so far."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._names: set[str] = set()

    def first(self, name: str) -> str | None:
        """The beginning of the name, if the log is to tell of it: the first time, while there is room."""
        name = name[:_LONGEST]
        with self._lock:
            if name in self._names or len(self._names) >= _MOST:
                return None
            self._names.add(name)
        return name
