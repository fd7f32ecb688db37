"""Bodies with and without a declared length, in servers that give both to an app, and in servers that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from deliveries import LENGTH_REQUIRED
from expected import Expected, check
from kinds import GIVING, WITHHOLDING
from running import Server, serve
from wire import CASES, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

HANDLED = Expected(200, {"status": "handled"}, None, ["issue_new"])
REFUSED = Expected(401, {"error": "unauthorized"}, None, [])
UNREADABLE = Expected(400, {"error": "unreadable"}, None, [])
WITHHELD = Expected(411, {"error": "length_required"}, None, [])
METHOD = Expected(405, {"error": "method_not_allowed"}, "POST, PUT, PATCH", [])
MISMATCH = "signature mismatch: the signature matches none of the configured secrets; "
EMPTY = f"Pylon webhook refused (signature_mismatch): {MISMATCH}the body is empty: "
#: What is asked, the answer of a server that gives the body and its line in the log, and the same of one that withholds it.
TABLE: list[tuple[str, dict[str, Any], Expected, str, Expected, str]] = [
    ("declared", CASES["valid"], HANDLED, "", HANDLED, ""),
    ("chunked", CASES["valid_chunked"], HANDLED, "", WITHHELD, LENGTH_REQUIRED),
    ("chunked in pieces", CASES["valid_slow_chunked_body"], HANDLED, "", WITHHELD, LENGTH_REQUIRED),
    ("chunked by PUT", CASES["put_chunked"], HANDLED, "", WITHHELD, LENGTH_REQUIRED),
    (
        "chunked and forged",
        {**CASES["forged"], "transfer": "chunked"},
        REFUSED,
        "signature mismatch",
        WITHHELD,
        LENGTH_REQUIRED,
    ),
    (
        "chunked and unsigned",
        {**CASES["unsigned"], "transfer": "chunked"},
        REFUSED,
        "missing signature",
        WITHHELD,
        LENGTH_REQUIRED,
    ),
    (
        "chunked and empty",
        {**CASES["empty_body"], "transfer": "chunked"},
        UNREADABLE,
        "empty body",
        WITHHELD,
        LENGTH_REQUIRED,
    ),
    (
        "none",
        {key: value for key, value in CASES["valid"].items() if key != "body"},
        REFUSED,
        EMPTY,
        WITHHELD,
        LENGTH_REQUIRED,
    ),
    ("of no bytes", {**CASES["valid"], "body": ""}, REFUSED, EMPTY, REFUSED, EMPTY),
    ("of no bytes, signed so", CASES["empty_body"], UNREADABLE, "empty body", UNREADABLE, "empty body"),
    ("of a method that is not for webhooks", CASES["get"], METHOD, "wrong method", METHOD, "wrong method"),
]


@pytest.fixture(scope="module", params=[*GIVING, *WITHHOLDING], ids=lambda kind: kind.name)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(request.param, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_a_body_that_the_server_withholds_is_411_and_any_other_what_it_is(
    server: Server, row: tuple[str, dict[str, Any], Expected, str, Expected, str]
) -> None:
    name, case, given, said, withheld, said_of_withheld = row
    # cheroot gives a body without a length if it is chunked, and says nothing of one that is not there.
    withholds = server.kind.withholds or (server.kind.name, name) == ("wsgi-cheroot", "none")
    expected, line = (withheld, said_of_withheld) if withholds else (given, said)
    before, printed = server.handled, server.output
    check(ask(server.port, case, server.kind.path), expected, server)
    assert server.handled_since(before) == expected.handled
    if line:
        server.wait_to_print(line, printed)
