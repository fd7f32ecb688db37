"""What was accepted in the background, when its process ends or forks; each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SECRET = "tests' secret, long enough to be searched for"
#: How long whatever must happen may take, seconds; nothing waits so long unless it is broken.
LONG = 60
LOST = "accepted Pylon webhook events are lost because the app ended before their handlers: {}"

START = f"""
import asyncio, logging, os, sys, threading
from pylon_webhooks import Background, Endpoint, MemoryReplayStore, ReplayGuard, WebhookHandler, sign
def say(*words):
    os.write(1, (" ".join(words) + chr(10)).encode())  # all at once, and flushed
class Said(logging.Handler):
    def emit(self, record):
        say(record.getMessage())
logging.getLogger("pylon_webhooks").addHandler(Said())
handler = WebhookHandler({SECRET!r})
body = b'{{"event_type": "issue_new"}}'
headers = {{"X-Pylon-Signature": sign({SECRET!r}, body)}}
gate = threading.Event()
def send():
    say(endpoint.respond("POST", headers, body).name)
"""


def run(code: str, status: int = 0) -> list[str]:
    """The lines that a process of this code prints."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", START + code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=LONG)
    assert (done.returncode, done.stderr) == (status, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("end", ["", "sys.exit(3)"], ids=["end", "exit"])
@pytest.mark.parametrize("define", ["def", "async def"])
def test_a_process_that_ends_handles_what_it_accepted(define: str, end: str) -> None:
    lines = run(
        f"""
@handler.on_any
{define} handle(event):
    gate.wait(60)
    say("handled")
endpoint = Endpoint(handler, background=Background(workers=1))
send(); send()
# Let them run when the main thread is at its end.
threading._register_atexit(gate.set)
{end}
""",
        3 if end else 0,
    )
    assert lines == ["accepted", "accepted", "handled", "handled"]


def test_a_process_whose_handler_hangs_ends_and_says_what_is_lost() -> None:
    lines = run(
        """
@handler.on_any
def hang(event):
    gate.wait()
for name in ("one", "two"):
    endpoint = Endpoint(handler, background=Background(workers=1, drain_seconds=0.1))
    send(); send()
"""
    )
    assert lines == ["accepted"] * 4 + [LOST.format(2)] * 2


def test_a_process_whose_loop_was_left_alone_says_what_is_lost() -> None:
    lines = run(
        """
logging.getLogger("asyncio").disabled = True  # it complains of the task when that is collected
import warnings
warnings.simplefilter("ignore", ResourceWarning)
@handler.on_any
async def hang(event):
    await asyncio.Event().wait()
endpoint = Endpoint(handler, background=Background(drain_seconds=0))
loop = asyncio.new_event_loop()
say(loop.run_until_complete(endpoint.arespond("POST", headers, body)).name)
loop.run_until_complete(asyncio.sleep(0))
"""
    )
    assert lines == ["accepted", LOST.format(1)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.parametrize("used", [False, True], ids=["unused", "used"])
def test_an_endpoint_made_before_a_fork_works_after_it(used: bool) -> None:
    # As a server does that loads the app before it forks its workers; the parent is used before only where somebody tries it out.
    lines = run(
        f"""
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later warn of threads where a process forks
@handler.on_any
def handle(event):
    say("handled in", "parent" if os.getpid() == parent else "child")
    done.set()
parent, done = os.getpid(), threading.Event()
endpoint = Endpoint(handler, background=Background(workers=1))
if {used}:
    send()
    done.wait(60)
    done.clear()
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    say("the child has ended")
    sys.exit()
send()
"""
    )
    before = ["accepted", "handled in parent"] if used else []
    # A thread may be quicker than who began it.
    assert sorted(lines[: len(before)]) == before
    assert sorted(lines[len(before) : -1]) == ["accepted", "handled in child"]
    assert lines[-1] == "the child has ended"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_what_waits_when_a_process_forks_is_handled_once_by_the_parent() -> None:
    lines = run(
        """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later warn of threads where a process forks
@handler.on_any
def handle(event):
    gate.wait(60)
    say("handled in", "parent" if os.getpid() == parent else "child")
parent = os.getpid()
endpoint = Endpoint(handler, background=Background(workers=1))
send(); send()
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    gate.set()
"""
    )
    assert lines == ["accepted", "accepted", "handled in parent", "handled in parent"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_child_says_nothing_of_the_tasks_of_its_parent() -> None:
    lines = run(
        """
@handler.on_any
async def handle(event):
    await asyncio.sleep(0)
    say("handled in", "parent" if os.getpid() == parent else "child")
parent = os.getpid()
store = MemoryReplayStore()
endpoint = Endpoint(handler, background=Background(), replay_guard=ReplayGuard.exact_request(store=store))
async def live():
    say((await endpoint.arespond("POST", headers, body)).name)
loop = asyncio.new_event_loop()
loop.run_until_complete(live())
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    loop.run_until_complete(endpoint.aclose())
    loop.close()
else:
    import warnings
    warnings.simplefilter("ignore")  # the loop is the parent's to close
    logging.getLogger("asyncio").disabled = True  # it complains of the task when that is collected
    from pylon_webhooks import _process
    _process._end()
    say("keys in the child:", str(len(store)))
    os._exit(0)
"""
    )
    assert lines == ["accepted", "keys in the child: 1", "handled in parent"]


GETS_ADDRESSES = 'await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)'
USES_A_THREAD = "await asyncio.to_thread(gate.is_set)"


@pytest.mark.parametrize("line", [GETS_ADDRESSES, USES_A_THREAD], ids=["getaddrinfo", "to_thread"])
def test_what_async_handlers_leave_to_threads_works_while_the_process_ends(line: str) -> None:
    lines = run(
        f"""
@handler.on_any
async def handle(event):
    gate.wait(60)
    for _ in range(3):
        {line}
    say("handled")
endpoint = Endpoint(handler, background=Background(workers=1))
send(); send()
# Let them run when the main thread is at its end.
threading._register_atexit(gate.set)
"""
    )
    assert lines == ["accepted", "accepted", "handled", "handled"]
