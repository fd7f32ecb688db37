"""Every adapter, in its framework's own server, answers every request of `vectors/requests.json` as the table says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from expected import EXCEPTIONS, check, expected_of
from kinds import AIOHTTP, PYTHON, RUST
from running import Kind, Server, serve
from wire import CASES, Connection, ask, request_of

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = [*PYTHON, *RUST]
#: Servers that never ask the app where the body does not come whole, or that print no log.
TELLS_NOBODY = ("django-uvicorn", "django_sync_view-uvicorn", *(kind.name for kind in RUST))


@pytest.fixture(scope="session", params=KINDS, ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Each server once; pytest sorts the tests so that one runs at a time."""
    with serve(request.param, tmp_path_factory.mktemp("server")) as server:
        yield server


def test_every_exception_is_of_a_server_and_a_case_that_there_are() -> None:
    for server, case in EXCEPTIONS:
        assert server in {kind.name for kind in KINDS}
        assert case in CASES


@pytest.mark.parametrize("name", CASES)
def test_every_request_is_answered_as_the_table_says(server: Server, name: str) -> None:
    case = CASES[name]
    before = server.handled
    if (server.kind.name, name) in EXCEPTIONS:
        # Nobody is asked, and nobody answers, until the sender hangs up.
        with Connection(server.port) as connection:
            for segment in request_of(case, server.kind.path).segments:
                connection.send(segment)
            assert connection.end() == b""
        assert server.handled == before
        return
    expected = expected_of(case, server.kind)
    check(ask(server.port, case, server.kind.path), expected, server)
    assert server.handled_since(before) == expected.handled, server.output


def path_of(kind: Kind, name: str) -> str:
    return f"{kind.path}_{name}" if kind.name.startswith("django") else f"/{name}"


def served_by(kinds: list[Kind]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("server", kinds, ids=[kind.name for kind in kinds], indirect=True, scope="session")


POSTED = pytest.mark.parametrize(
    "name",
    ["valid", "form_content_type", "multipart_content_type", "valid_slow_body", "as_large_as_the_limit", "forged"],
)


@served_by([kind for kind in PYTHON if kind.reads])
@POSTED
def test_a_body_that_was_read_before_and_kept_is_answered_as_if_it_had_not_been(server: Server, name: str) -> None:
    before = server.handled
    expected = expected_of(CASES[name], server.kind)
    check(ask(server.port, CASES[name], path_of(server.kind, "read")), expected, server)
    assert server.handled_since(before) == expected.handled


@served_by([kind for kind in PYTHON if kind.consumed is not None])
@POSTED
def test_a_body_that_was_consumed_before_is_not_handled_and_no_forgery(server: Server, name: str) -> None:
    before = server.handled
    answer = ask(server.port, CASES[name], path_of(server.kind, "consumed"))
    said = {400: "unreadable", 500: "failed"}
    assert answer.status == server.kind.consumed, server.output
    assert answer.json in [{"error": said[answer.status]}, {"detail": said[answer.status]}], server.output
    assert server.handled == before


@pytest.mark.parametrize("transfer", [None, "chunked"], ids=["declared", "chunked"])
def test_a_sender_that_hangs_up_in_mid_body_is_not_handled_and_others_are(server: Server, transfer: str | None) -> None:
    case = {**CASES["valid"], "transfer": transfer, "pieces": 4}
    before, printed = server.handled, server.output
    with Connection(server.port) as connection:
        head, first, second, *_ = request_of(case, server.kind.path).segments
        assert all(connection.send(segment, wait=True) for segment in (head, first, second[:-5]))
        # Some servers tell the app nothing before it has read that the body ends, some do not even answer.
        assert connection.end()[:13] in (b"", b"HTTP/1.1 400 ")
    if server.kind.name not in TELLS_NOBODY:
        server.wait_to_print("incomplete body: ", printed)
    assert server.handled == before
    expected = expected_of(CASES["valid"], server.kind)
    check(ask(server.port, CASES["valid"], server.kind.path), expected, server)
    assert server.handled_since(before) == expected.handled


@served_by([kind for kind in PYTHON if kind.paths])
@pytest.mark.parametrize("name", ["valid", "put", "forged", "unsigned", "too_large", "get", "handler_raise_errors"])
def test_at_paths_with_values_and_prefixes_the_answers_are_the_same(server: Server, name: str) -> None:
    expected = expected_of(CASES[name], server.kind)
    for path in server.kind.paths:
        before = server.handled
        check(ask(server.port, CASES[name], path), expected, server)
        assert server.handled_since(before) == expected.handled, path


ENCODED = [
    name
    for name, case in CASES.items()
    if "gzip" in dict(case["headers"]).values() and case["expect"]["status"] in (400, 401)
]


@served_by(PYTHON)
@pytest.mark.parametrize("name", ENCODED)
def test_the_log_names_the_encoding_of_a_body_that_is_refused(server: Server, name: str) -> None:
    expected, printed = expected_of(CASES[name], server.kind), server.output
    check(ask(server.port, CASES[name], server.kind.path), expected, server)
    if expected.status in (400, 401) and name != "encoded_not_json":
        server.wait_to_print("gzip", printed)


# What anybody can send without knowing a secret, hanging up after it: bodies that are declared and not there.
STRANGE = {
    "declared": ["Content-Length: 10"],
    "declared and chunked": ["Content-Length: 10", "Transfer-Encoding: chunked"],
    "chunked and declared": ["Transfer-Encoding: chunked", "Content-Length: 10"],
    "chunked": ["Transfer-Encoding: chunked"],
    "declared and an upgrade": ["Content-Length: 10", "Connection: Upgrade", "Upgrade: websocket"],
    "declared and a form": ["Content-Length: 10", "Content-Type: application/x-www-form-urlencoded"],
    "declared and in parts": ["Content-Length: 10", "Content-Type: multipart/form-data; boundary=x"],
    "declared and compressed": ["Content-Length: 10", "Content-Encoding: gzip"],
}


@pytest.mark.parametrize("headers", STRANGE.values(), ids=STRANGE)
def test_a_body_that_is_declared_and_not_there_is_no_error_of_the_servers(server: Server, headers: list[str]) -> None:
    before, printed = server.handled, server.output
    end = "0\r\n\r\n" if "Transfer-Encoding: chunked" in headers else ""
    lines = [f"POST {server.kind.path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", end]
    with Connection(server.port) as connection:
        connection.send("\r\n".join(lines).encode())
        answer = connection.end()
    # Some servers do not answer who hangs up.
    assert re.match(rb"$|HTTP/1\.[01] 4", answer), (answer, server.output)
    # What comes after it is answered when all that is said of it has been said.
    expected = expected_of(CASES["valid"], server.kind)
    check(ask(server.port, CASES["valid"], server.kind.path), expected, server)
    assert server.handled_since(before) == expected.handled
    said = server.output[len(printed) :]
    if server.kind is AIOHTTP:
        # Of a request that it does not take for HTTP, aiohttp itself tells as of an error, and asks no app.
        said = re.sub(r"ERROR aiohttp\.server Error handling request [^\0]*?BadHttpMessage: 400", "", said)
        # What an earlier request sent as gzip and is none, aiohttp reads on when it has been answered, and tells then.
        said = re.sub(
            r"ERROR aiohttp\.server Unhandled exception[^\0]*?RequestPayloadError: 400[^\n]*\n[^\n]*", "", said
        )
    assert not [word for word in ("ERROR", "CRITICAL", "Traceback", "panicked") if word in said], said
