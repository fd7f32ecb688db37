"""What the table's cases are to be answered, and where that is not the adapter's to say.

The table is for apps with handlers. Where a function takes the event, what it returns and raises is the framework's to answer, and so
are methods that it was not registered for. `EXCEPTIONS` are what servers do before an app is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from running import Kind, Server
    from wire import Answer

#: Stands for whatever the framework says.
ANYTHING: Any = object()


@dataclass
class Expected:
    """An answer: its status, its JSON (None: no body), its `allow`, whether it is JSON, and who was called."""

    status: int
    answer: Any
    allow: Any
    handled: list[str]
    content_type: Any = "application/json"


#: Cases that never reach the app, by server, with the reason.
EXCEPTIONS = {
    (server, case): reason
    for servers, cases, reason in [
        (
            ["django-uvicorn", "django_sync_view-uvicorn"],
            ["too_large_declared", "too_large_declared_by_far"],
            "Django in ASGI reads the whole body before it asks a view, and none is sent",
        ),
    ]
    for server in servers
    for case in cases
}


def expected_of(case: dict[str, Any], kind: Kind) -> Expected:
    """What the case is to be answered by the server."""
    expect = (kind.unpacks and case.get("expect_unpacked")) or case["expect"]
    answer = Expected(expect["status"], expect["answer"], expect.get("allow"), expect["handled"])
    if kind.function is not None:
        _FUNCTIONS[kind.function](answer, case["method"])
    if answer.answer is None and case["method"] != "HEAD":
        # The server answers by itself.
        answer.answer = ANYTHING
    if answer.answer in (None, ANYTHING):
        answer.content_type = ANYTHING
    return answer


def check(answer: Answer, expected: Expected, server: Server) -> None:
    """That the answer is what was expected; who was called is for the caller to check."""
    found = Expected(
        answer.status,
        answer.body
        if expected.answer is ANYTHING or answer.header("content-type") != "application/json"
        else answer.json,
        answer.header("allow"),
        expected.handled,
        answer.header("content-type"),
    )
    if expected.answer is None:
        assert answer.body == b"", server.output
        found.answer = None
    for name in ("answer", "allow", "content_type"):
        if getattr(expected, name) is ANYTHING:
            setattr(found, name, ANYTHING)
    assert found == expected, server.output


def _fastapi(answer: Expected, method: str) -> None:
    if answer.status == 405:
        answer.answer = None if method == "HEAD" else {"detail": "Method Not Allowed"}
        # Starlette names a set of methods, in any order.
        answer.allow = ANYTHING
    elif answer.status == 500:
        answer.answer = answer.content_type = ANYTHING
    elif answer.status != 200:
        answer.answer = {"detail": answer.answer["error"]}


def _flask(answer: Expected, method: str) -> None:
    if method == "OPTIONS":
        answer.status = 200
    if answer.status == 405 or method == "OPTIONS":
        answer.answer = answer.allow = ANYTHING
    if answer.status == 500:
        answer.answer = ANYTHING
    if answer.answer is ANYTHING:
        answer.content_type = ANYTHING


_FUNCTIONS = {"fastapi": _fastapi, "flask": _flask}
