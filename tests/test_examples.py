"""Each example runs by the line at its top, answers as it should, and prints what its handlers say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pylon_webhooks.testing import WebhookRequest, sample_payload

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from servers import free_port, serve

EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in {".py", ".rs"})
SERVERS = [path for path in EXAMPLES if path.stem != "aws_lambda"]
SECRET = "your-webhook-secret"


def command_of(example: Path, port: int) -> tuple[list[str], dict[str, str]]:
    """The line at the example's top, and the environment that it sets, on this port."""
    line = example.read_text().splitlines()[0]
    found = re.fullmatch(r"(?:#|//) Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret (.+)", line)
    assert found is not None, line
    command = shlex.split(found[1].replace("8000", str(port)))
    if command[0] == "cargo":
        # What the line builds has been built.
        assert command[1:] == ["run", "--example", example.stem, "--features", example.stem.replace("_", "-")]
        folder = os.environ.get("PYLON_EXAMPLES", "")
        if not folder:
            pytest.fail("set PYLON_EXAMPLES to cargo's folder of built examples, or run `make test`, which does")
        command = [f"{folder}/{example.stem}"]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYLON_WEBHOOK_SECRET": SECRET,
        # Those whose line names no port.
        "UVICORN_PORT": str(port),
        "GUNICORN_CMD_ARGS": f"--bind=127.0.0.1:{port}",
        "ADDRESS": f"127.0.0.1:{port}",
    }
    return command, environment


@pytest.mark.parametrize("example", SERVERS, ids=lambda path: path.name)
def test_every_app_runs_by_its_line_and_answers(example: Path) -> None:
    port = free_port()
    command, environment = command_of(example, port)
    body = sample_payload("issue_new", issue_title="Export fails")
    unknown = sample_payload("ticket.created")
    forged = WebhookRequest(body, secret="another-secret")
    unsigned = WebhookRequest(body)
    with serve(command, port, str(ROOT), **environment) as server:
        for request, expected in [
            (WebhookRequest(body, secret=SECRET), 200),
            (forged, 401),
            (unsigned, 401),
            (WebhookRequest(unknown, secret=SECRET), 200),
        ]:
            assert server.post(request.path, request.body, request.headers) == expected
    printed = server.rest
    assert printed.index("New issue: Export fails") < printed.index("Event: issue_new") < printed.index("Event: ticket")
    assert printed.count("New issue") == 1
    assert "matches none of the configured secrets" in printed
    assert "missing signature" in printed


def test_the_lambda_function_runs_by_its_line() -> None:
    command, environment = command_of(ROOT / "examples" / "aws_lambda.py", 0)
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("New issue: Export fails\nEvent: issue_new\n{'statusCode': 200,")


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize("example", [path for path in EXAMPLES if path.suffix == ".rs"], ids=lambda path: path.name)
def test_without_a_secret_a_rust_app_names_the_variable_and_says_what_to_do(example: Path, value: str | None) -> None:
    command, environment = command_of(example, 0)
    del environment["PYLON_WEBHOOK_SECRET"]
    if value is not None:
        environment["PYLON_WEBHOOK_SECRET"] = value
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    found = "not set" if value is None else "empty, or only white space and quotes"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: no secret: the environment variable PYLON_WEBHOOK_SECRET is {found}; set it to the secret that Pylon shows "
        "for the webhook destination\n"
    )
