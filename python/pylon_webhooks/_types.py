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
    """Remembers keys; one that several processes share makes the guard hold for all of them.

    A key is 64 hexadecimal digits and tells nothing of the delivery. Both methods may be `async def` where the endpoint
    serves an async framework. With Redis, `first_seen` is `SET key 1 NX EXAT expires`, and `forget` is `DEL key`.
    """

    def first_seen(self, key: str, expires: int | None, /) -> bool | Awaitable[bool]:
        """Remember the key, and say whether it was not remembered already: of several calls at once, one is told so.

        expires: the Unix second from which on it may be forgotten; None: never, as far as there is room.
        """
        ...

    def forget(self, key: str, /) -> object:
        """Forget the key: its delivery was not handled, and may come again."""
        ...


#: A request's body: its raw bytes, or text that stands for its UTF-8.
Payload: TypeAlias = bytes | bytearray | memoryview | str
#: What reads a body: called with the limit in bytes, it returns no more than that and one piece, or why there is no body.
ReadBody: TypeAlias = Callable[[int], Payload | RequestFault]
#: As `ReadBody`, to be awaited.
AsyncReadBody: TypeAlias = Callable[[int], Awaitable[Payload | RequestFault]]
#: A request's headers, all of them.
Headers: TypeAlias = HasItems | Iterable[tuple[str | bytes, object]]

#: What a background thread runs.
Work: TypeAlias = Callable[[], object]
#: What a background task awaits.
AsyncWork: TypeAlias = Callable[[], Awaitable[object]]

# ASGI's.
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
