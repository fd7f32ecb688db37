"""Reading a request's body: no more of it than the limit and one piece."""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

#: The size of a piece, bytes.
PIECE = 65_536


def read_body(read: Callable[[int], bytes], limit: int) -> bytes:
    """Joins what `read` returns, until it returns nothing or the limit is passed."""
    body = bytearray()
    while len(body) <= limit and (piece := read(min(PIECE, limit + 1 - len(body)))):
        body += piece
    return bytes(body)


async def aread_body(pieces: AsyncIterable[bytes], limit: int) -> bytes:
    """Joins the pieces, until there are no more or the limit is passed."""
    body = bytearray()
    try:
        async for piece in pieces:
            body += piece
            if len(body) > limit:
                break
        return bytes(body)
    finally:
        # An async generator that is left half-way would otherwise be closed by the garbage collector.
        if (close := getattr(pieces, "aclose", None)) is not None:
            await close()
