"""Reading a request's body, never more of it than the limit and one piece."""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

#: How much is asked for at once, bytes.
PIECE = 65_536


def read_body(read: Callable[[int], bytes], limit: int) -> bytes | None:
    """What `read` gives, piece by piece, until it gives nothing; None where that is more than the limit."""
    body = bytearray()
    while piece := read(min(PIECE, limit + 1 - len(body))):
        body += piece
        if len(body) > limit:
            return None
    return bytes(body)


async def aread_body(pieces: AsyncIterable[bytes], limit: int) -> bytes | None:
    """The pieces together; None as soon as they are more than the limit."""
    body = bytearray()
    try:
        async for piece in pieces:
            body += piece
            if len(body) > limit:
                return None
        return bytes(body)
    finally:
        # A generator that is left half-way would else be closed by whoever finds it.
        if (close := getattr(pieces, "aclose", None)) is not None:
            await close()
