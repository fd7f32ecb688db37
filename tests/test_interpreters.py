"""Several interpreters in one process, as mod_wsgi and uWSGI have them for several apps: each has classes of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

# What an app does, in whichever interpreter it runs: every kind of error, every value that native code takes from Python.
APP = """
import datetime, pickle
import pylon_webhooks as p
from pylon_webhooks.testing import sample_payload

body, seen = sample_payload("issue_new"), []
handler = p.WebhookHandler("secret")
handler.on_any(seen.append)

def code(*arguments):
    try:
        return handler.handle(*arguments)
    except p.PylonWebhookError as error:
        assert isinstance(error, ValueError)
        return type(error).__name__, error.code

no_json = b"no JSON"
assert code(body, "0" * 64) == ("PylonWebhookSignatureError", "signature_mismatch")
assert code(body, None) == ("PylonWebhookSignatureError", "signature_missing")
assert code(body, p.sign("secret", body, 1), "1") == ("PylonWebhookTimestampError", "timestamp_stale")
assert code(no_json, p.sign("secret", no_json)) == ("PylonWebhookPayloadError", "payload")
assert code({}, p.sign("secret", body)) == ("PylonWebhookPayloadError", "payload")
endpoint = p.Endpoint(handler, replay_guard=p.ReplayGuard.exact_request())
headers = {"X-Pylon-Signature": p.sign("secret", body)}
outcomes = [endpoint.respond("POST", sent, body).name for sent in ({"X-Pylon-Signature": "0" * 64}, headers, headers)]
assert outcomes == ["unauthorized", "handled", "duplicate"], outcomes
(event,) = seen
assert type(event) is p.IssueNewEvent and isinstance(event, p.WebhookEvent)
times = [value for value in event.model_dump().values() if isinstance(value, datetime.datetime)]
assert times and all(time.tzinfo == datetime.timezone.utc for time in times)
assert event.payload["event_type"] == "issue_new" and event.model_dump_json()
assert pickle.loads(pickle.dumps(event)) == event == p.IssueNewEvent.model_validate(event.payload)
assert p.WebhookEvent.__get_pydantic_json_schema__(None, None)["title"] == "WebhookEvent"
print("well", flush=True)
"""
PROGRAM = """
import sys
try:
    import _interpreters
    new = lambda: _interpreters.create("legacy")
    run, end = _interpreters.run_string, _interpreters.destroy
except ModuleNotFoundError:
    import _xxsubinterpreters
    new = lambda: _xxsubinterpreters.create(isolated=False)
    run, end = _xxsubinterpreters.run_string, _xxsubinterpreters.destroy
path, app, order = %r, %r, %r
app = f"import sys; sys.path[:0] = {path!r}{app}"
others = {}
for step in order:
    if step == "main":
        exec(app)
    elif step.startswith("end "):
        end(others.pop(step[4:]))
    else:
        # What is wrong in there is raised here, or told.
        told = run(others[step] if step in others else others.setdefault(step, new()), app)
        if told:
            sys.exit(told.formatted)
"""
ORDERS = [
    ["main", "first", "main", "first"],
    ["first", "second", "first", "second"],
    ["main", "first", "second", "end first", "second", "main"],
    ["first", "end first", "second", "main"],
]
REFUSED = (
    "ImportError: pylon_webhooks is loaded by another interpreter of this process, and from Python 3.12 on one alone can have it: "
    "set `WSGIApplicationGroup %{GLOBAL}` for mod_wsgi, or `single-interpreter = true` for uWSGI, or run each app in a process of "
    "its own"
)
#: Where interpreters cannot share the classes of native modules, the second one is refused.
SHARES = sys.version_info < (3, 12)


def run(order: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM % (sys.path, APP, order)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.skipif(not SHARES, reason="from Python 3.12 on, a second interpreter is refused")
@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
def test_in_each_of_several_interpreters_refusals_are_refusals_and_events_are_events(order: list[str]) -> None:
    done = run(order)
    runs = [step for step in order if not step.startswith("end ")]
    assert (done.returncode, done.stdout.split()) == (0, ["well"] * len(runs)), done.stderr


@pytest.mark.skipif(SHARES, reason="before Python 3.12, interpreters share classes")
@pytest.mark.parametrize("order", [["main", "first"], ["first", "second"], ["first", "main"]], ids=", ".join)
def test_a_second_interpreter_is_refused_where_it_cannot_share_classes(order: list[str]) -> None:
    done = run(order)
    assert (done.returncode, done.stdout.split()) == (1, ["well"])
    assert REFUSED in done.stderr.replace(">: ", ": ").replace("<class 'ImportError'", "ImportError")
