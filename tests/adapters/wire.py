"""Sends one request of `vectors/requests.json` over a raw socket, as it stands, and reads the answer.

HTTP libraries mend what they send: they join headers, refuse bytes, declare lengths. Here nothing is mended. Answers may come before
the whole request was sent, and servers may hang up on the rest: both are answers like any other.
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import select
import socket
import struct
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

#: How long an answer may take, seconds.
PATIENCE = 30
TABLE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "requests.json").read_text(encoding="utf-8")
)
CASES: dict[str, dict[str, Any]] = {case["id"]: case for case in TABLE["cases"]}
#: Bodies without a declared length and without pieces of their own go in chunks of so many bytes.
_CHUNK = 65_536
#: Where Linux says what the other side has not read yet.
_CONNECTIONS = Path("/proc/net/tcp")


class NoAnswer(Exception):
    """The server hung up, or let the time pass, without a whole answer."""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    #: Whether the connection can take another request.
    reusable: bool = False

    def header(self, name: str) -> str | None:
        """The text of a header, None where it is absent; it must not come twice."""
        values = [value for found, value in self.headers if found == name]
        assert len(values) < 2, f"{name} comes twice: {values}"
        return values[0] if values else None

    @property
    def json(self) -> Any:
        """The body's JSON; None where there is no body."""
        return json.loads(self.body) if self.body else None


@dataclass
class Request:
    """A request as the bytes that are sent, one segment after the other."""

    method: str
    segments: list[bytes]
    #: Whether these are all the bytes that the request says it has.
    whole: bool = True


def body_of(case: dict[str, Any]) -> bytes | None:
    """The body's bytes; None where the request has none."""
    if "body_base64" in case:
        return base64.b64decode(case["body_base64"], validate=True)
    if "body_repeat" in case:
        return "".join(text * count for text, count in case["body_repeat"]).encode()
    return case["body"].encode() if "body" in case else None


def request_of(case: dict[str, Any], path: str = "/webhook") -> Request:
    """The case as bytes."""
    body, transfer, pieces = body_of(case), case.get("transfer"), case.get("pieces")
    headers = [("Host", "127.0.0.1"), *map(tuple, case["headers"])]
    whole, parts = True, []
    if transfer == "chunked":
        assert body is not None
        headers.append(("Transfer-Encoding", "chunked"))
        count = pieces or len(body) // _CHUNK + 1
        parts = [b"%x\r\n%b\r\n" % (len(part), part) for part in cut(body, count)] + [b"0\r\n\r\n"]
    elif isinstance(transfer, dict):
        headers.append(("Content-Length", str(transfer["declared"])))
        whole = False
    elif body is not None:
        headers.append(("Content-Length", str(len(body))))
        parts = cut(body, pieces or 1)
    lines = [f"{case['method']} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    head = "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"
    # In pieces, each goes on its own; otherwise all at once, as clients do.
    segments = [head, *parts] if pieces else [b"".join([head, *parts])]
    return Request(case["method"], segments, whole)


def cut(body: bytes, count: int) -> list[bytes]:
    """The body in so many parts, none of which is empty where the body is long enough."""
    ends = [len(body) * number // count for number in range(count + 1)]
    return [part for start, end in itertools.pairwise(ends) if (part := body[start:end])]


@dataclass
class Connection:
    """A connection to a server on the loopback interface, for one request after the other."""

    port: int
    _received: bytearray = field(default_factory=bytearray)
    _ended: bool = False

    def __post_init__(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._deadline = time.monotonic() + PATIENCE

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def ask(self, request: Request) -> Answer:
        """Send the request, or as much of it as the server takes, and read the answer."""
        self._deadline = time.monotonic() + PATIENCE
        sent = all(self.send(segment, wait=len(request.segments) > 1) for segment in request.segments)
        answer = self._answer(request.method)
        answer.reusable = answer.reusable and sent and request.whole and not self._ended
        return answer

    def send(self, segment: bytes, *, wait: bool = False) -> bool:
        """Send bytes; False where the server answers or hangs up before it has them all.

        wait: until the server has read them too, so that what is sent next does not come together with them.
        """
        left = memoryview(segment)
        while left:
            readable, writable = self._ready(writing=True)
            if readable and (self._receive() or self._has_answer()):
                return False
            if writable:
                try:
                    left = left[self._socket.send(left) :]
                except BlockingIOError:
                    continue
                except (BrokenPipeError, ConnectionResetError):
                    return False
        while wait and not self._has_been_read():
            # Nothing tells when the other side reads: asked for again and again, unless it answers before.
            if select.select([self._socket], [], [], 0.001)[0] and (self._receive() or self._has_answer()):
                return False
            self._check_time()
        return True

    def end(self) -> bytes:
        """Send nothing more, and wait until the server hangs up; what it has sent until then, beyond answers read."""
        self._deadline = time.monotonic() + PATIENCE
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:  # the server has hung up already
            self._ended = True
        while not self._ended:
            self._ready()
            self._receive()
        return bytes(self._received)

    def _answer(self, method: str) -> Answer:
        while not self._has_answer():
            self._receive_more()
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        self._received[:] = rest
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ", 2)[:2]
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        answer = Answer(int(status), headers, b"")
        answer.reusable = version == "HTTP/1.1" and (answer.header("connection") or "").lower() != "close"
        if method == "HEAD" or answer.status in (204, 304):
            return answer
        if (answer.header("transfer-encoding") or "").lower() == "chunked":
            answer.body = self._chunks()
        elif (length := answer.header("content-length")) is not None:
            answer.body = self._take(int(length))
        else:
            answer.reusable = False
            answer.body = self._rest()
        return answer

    def _has_answer(self) -> bool:
        """Whether an answer's head is there; those that only say `go on` are thrown away."""
        while self._received.startswith(b"HTTP/1.1 1"):
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return False
            del self._received[: end + 4]
        return b"\r\n\r\n" in self._received

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._line(), 16):
            body += self._take(size)
            assert self._line() == b""
        while self._line():
            pass
        return body

    def _line(self) -> bytes:
        while b"\r\n" not in self._received:
            self._receive_more()
        line, _, rest = bytes(self._received).partition(b"\r\n")
        self._received[:] = rest
        return line

    def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            self._receive_more()
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _rest(self) -> bytes:
        while not self._ended:
            self._ready()
            self._receive()
        return self._take(len(self._received))

    def _receive_more(self) -> None:
        if self._ended:
            raise NoAnswer(f"the server hung up after {bytes(self._received)!r}")
        self._ready()
        self._receive()

    def _receive(self) -> bool:
        """Take what has come; whether the other side has hung up."""
        try:
            data = self._socket.recv(65_536)
        except BlockingIOError:
            return self._ended
        except ConnectionResetError:
            # What came before it has been taken before.
            data = b""
        self._received += data
        self._ended = not data
        return self._ended

    def _ready(self, *, writing: bool = False) -> tuple[bool, bool]:
        left = max(0.0, self._deadline - time.monotonic())
        readable, writable, _ = select.select([self._socket], [self._socket] if writing else [], [], left)
        if not (readable or writable):
            self._check_time()
        return bool(readable), bool(writable)

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise NoAnswer(f"nothing in {PATIENCE} seconds after {bytes(self._received)!r}")

    def _has_been_read(self) -> bool:
        """Whether all that was sent has arrived, and, where the system says so, been read by the server."""
        (waiting,) = struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0\0\0\0"))
        if waiting:
            return False
        if not _CONNECTIONS.exists():
            return True
        ends = [f":{port:04X}" for port in (self.port, self._socket.getsockname()[1])]
        for line in _CONNECTIONS.read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if local.endswith(ends[0]) and remote.endswith(ends[1]):
                return queues.endswith(":00000000")
        return True


def ask(port: int, case: dict[str, Any], path: str = "/webhook") -> Answer:
    """Send one case over a connection of its own."""
    with Connection(port) as connection:
        answer = connection.ask(request_of(case, path))
        if case["method"] == "HEAD":
            # A body that should not be there comes after the answer.
            assert connection.end() == b""
        return answer
