"""The description of the admin API, and the API itself: Schemathesis asks for what is described, and for what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from receiver import Receiver

#: How long a run may take, seconds. It takes ten.
PATIENCE = 300
DESTINATION = """
[[destination]]
name = "app"
url = "http://127.0.0.1:1/webhook"
retry = { attempts = 1 }
"""
#: A POST that is not JSON is refused before anybody looks at its path, so that no form of another site does anything.
NEVER = "unsupported_method"


@pytest.mark.parametrize(
    ("method", "unchecked"),
    [
        ("GET", [NEVER]),
        # Which fields belong together, and which destinations there are, is not in the schema.
        ("POST", [NEVER, "positive_data_acceptance"]),
    ],
)
def test_the_api_does_what_its_description_says(
    start_receiver: Callable[..., Receiver], tmp_path: Path, method: str, unchecked: list[str]
) -> None:
    receiver = start_receiver(DESTINATION)
    for number in range(3):
        body = {"event_type": "issue_new", "issue_id": f"id-{number}", "issue_number": number, "issue_title": "Export"}
        assert receiver.post(json.dumps(body).encode()) == 200
    assert receiver.post(b"{}", path="/elsewhere") == 404
    options = ["--include-method", method, "--exclude-checks", ",".join(unchecked)]
    options += ["--max-examples", "20", "--seed", "1", "--generation-database", "none", "--no-color"]
    url = f"http://127.0.0.1:{receiver.admin}/api/openapi.json"
    ran = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", url, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
