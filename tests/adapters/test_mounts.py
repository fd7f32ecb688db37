"""Two apps in one uWSGI: each in an interpreter of its own, or both in one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from expected import check, expected_of
from running import serve, uwsgi
from wire import CASES, ask

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = ("--manage-script-name", "--mount", "/first=served.wsgi:app", "--mount", "/second=served.flask:app")


@pytest.mark.parametrize(
    "interpreters",
    [
        pytest.param(
            (), marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="a second interpreter is refused")
        ),
        ("--single-interpreter",),
    ],
    ids=["one each", "one"],
)
def test_both_apps_refuse_what_is_forged_and_handle_what_is_not(interpreters: tuple[str, ...], tmp_path: Path) -> None:
    with serve(uwsgi(None, *MOUNTS, *interpreters), tmp_path) as server:
        for name in ["forged", "stale", "valid", "not_json", "unsigned", "handler_raise_errors", "valid"] * 2:
            expected, before = expected_of(CASES[name], server.kind), server.handled
            for path in ("/first/webhook", "/second/webhook"):
                check(ask(server.port, CASES[name], path), expected, server)
            assert server.handled_since(before) == expected.handled * 2
