"""Types for annotations. Nothing loads this module at run time, except when `ReplayStore` is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol, TypeAlias

from ._native import RequestFault


class HasItems(Protocol):
    """A mapping, or a header class of a web framework."""

    def items(self) -> Iterable[tuple[str | bytes, object]]:
        """The names and values."""
        ...


class ReplayStore(Protocol):
    """Remembers keys. A store that several processes share makes the guard work across all of them.

    A key is 64 hexadecimal digits and reveals nothing of the delivery. In an async framework, both methods may be `async def`.
    With Redis, `first_seen` is `SET key 1 NX EXAT expires`, and `forget` is `DEL key`.
    """

    def first_seen(self, key: str, expires: int | None, /) -> bool | Awaitable[bool]:
        """Remember the key. Returns True if it is new; of several calls at the same time, exactly one returns True.

        expires: the Unix second at which the key may be forgotten. None: never, as long as there is room.
        """
        ...

    def forget(self, key: str, /) -> object:
        """Forget the key: its delivery was not handled, and the sender may send it again."""
        ...


#: A request's body: its raw bytes, or text that stands for its UTF-8.
Payload: TypeAlias = bytes | bytearray | memoryview | str
#: Reads a body: called with the limit in bytes, it returns the body, at most one piece beyond the limit, or why there is none.
ReadBody: TypeAlias = Callable[[int], Payload | RequestFault]
#: As `ReadBody`, to be awaited.
AsyncReadBody: TypeAlias = Callable[[int], Awaitable[Payload | RequestFault]]
#: A request's headers, all of them.
Headers: TypeAlias = HasItems | Iterable[tuple[str | bytes, object]]

#: What a background thread runs.
Work: TypeAlias = Callable[[], object]
#: What a background task awaits.
AsyncWork: TypeAlias = Callable[[], Awaitable[object]]

# Of ASGI.
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
