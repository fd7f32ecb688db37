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


@pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 2), reason="these Pythons start no thread while they end (gh-113964)"
)
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


SIGTERM = -15


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("define", ["def", "async def"])
def test_a_signal_that_would_kill_the_process_at_once_does_so_once_all_is_handled(define: str) -> None:
    lines = run(
        f"""
import signal
@handler.on_any
{define} handle(event):
    gate.wait(60)
    say("handled")
endpoint = Endpoint(handler, background=Background(workers=1))
send(); send()
os.kill(os.getpid(), signal.SIGTERM)
send()
gate.set()
threading.Event().wait(60)
say("not ended")
""",
        SIGTERM,
    )
    # The one that came late may be refused by either: the signal is dealt with soon, not at once.
    assert lines[:2] == ["accepted", "accepted"]
    assert lines.count("accepted") == lines.count("handled")
    assert "not ended" not in lines


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM")
def test_a_signal_lets_tasks_of_a_loop_that_runs_end() -> None:
    lines = run(
        """
import signal
@handler.on_any
async def handle(event):
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.05)
    say("handled")
endpoint = Endpoint(handler, background=Background())
async def live():
    say((await endpoint.arespond("POST", headers, body)).name)
    await asyncio.sleep(60)
asyncio.run(live())
""",
        SIGTERM,
    )
    assert lines == ["accepted", "handled"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM")
def test_after_a_signal_a_handler_that_hangs_is_told_to_be_lost() -> None:
    lines = run(
        """
import signal
@handler.on_any
def hang(event):
    gate.wait()
endpoint = Endpoint(handler, background=Background(workers=1, drain_seconds=0.1))
send(); send()
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait(60)
""",
        SIGTERM,
    )
    assert lines == ["accepted", "accepted", LOST.format(2)]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_signal_that_the_app_handles_itself_is_left_to_it(when: str) -> None:
    lines = run(
        f"""
import signal
def own():
    signal.signal(signal.SIGTERM, lambda *_: say("the app's own"))
{"own()" if when == "before" else ""}
handler.on_any(lambda event: say("handled"))
endpoint = Endpoint(handler, background=Background(workers=1))
{"own()" if when == "after" else ""}
os.kill(os.getpid(), signal.SIGTERM)
send()
"""
    )
    assert lines[0] == "the app's own"
    assert sorted(lines[1:]) == ["accepted", "handled"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no fork")
def test_a_fork_that_nobody_tells_python_of_has_threads_of_its_own() -> None:
    # As uWSGI forks its workers.
    lines = run(
        """
import ctypes
@handler.on_any
def handle(event):
    say("handled in", "parent" if os.getpid() == parent else "child")
    done.set()
parent, done = os.getpid(), threading.Event()
endpoint = Endpoint(handler, background=Background(workers=1))
send()
done.wait(60)
done.clear()
child = ctypes.PyDLL(None).fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    say("the child has ended")
    sys.exit()
send()
done.wait(60)
os._exit(0)
"""
    )
    assert sorted(lines[:2]) == ["accepted", "handled in parent"]
    assert sorted(lines[2:-1]) == ["accepted", "handled in child"]
    assert lines[-1] == "the child has ended"


NO_THREAD = (
    "Pylon webhook turned away: no thread can be started (can't start new thread): "
    "allow the app more (`ulimit -u`, or the container's limit on processes)"
)


@pytest.mark.skipif(not os.path.exists("/proc/self/limits"), reason="only Linux counts threads as processes")
@pytest.mark.parametrize("define", ["def", "async def"])
def test_where_the_system_gives_no_thread_nothing_is_accepted(define: str) -> None:
    # As root, a limit on processes holds for nobody: threads too large for the memory are refused alike.
    lines = run(
        f"""
import resource
@handler.on_any
{define} handle(event):
    say("handled")
endpoint = Endpoint(handler, background=Background(workers=1))
threading.stack_size(1 << 40)
send()
threading.stack_size(0)
send()
"""
    )
    assert lines[:2] == [NO_THREAD, "unavailable"]
    assert sorted(lines[2:]) == ["accepted", "handled"]


UWSGI = "uWSGI runs no threads of the app's, so `Background` cannot work: set `enable-threads = true` in uWSGI's configuration"
UWSGI_ASYNC = (
    "uWSGI with `gevent`, `asyncio` or `async` ends without waiting for `Background`: "
    "use `threads` in uWSGI's configuration instead"
)
LAMBDA = (
    "AWS Lambda freezes the process after the answer, so `Background` cannot work: "
    "send the event to a queue in a handler instead"
)
STANDSTILLS = {
    "uwsgi": ("import types; sys.modules['uwsgi'] = types.SimpleNamespace(has_threads=0)", UWSGI),
    "lambda": ("os.environ['AWS_LAMBDA_FUNCTION_NAME'] = 'webhook'", LAMBDA),
    "uwsgi with gevent": (
        "import types; sys.modules['uwsgi'] = types.SimpleNamespace(has_threads=1, opt={'gevent': b'5'})",
        UWSGI_ASYNC,
    ),
    # In a real one, the app can come before the body of its request, which is 400.
    "uwsgi with async": (
        "import types; sys.modules['uwsgi'] = types.SimpleNamespace(has_threads=1, opt={'async': b'4'})",
        UWSGI_ASYNC,
    ),
    "uwsgi with threads": ("import types; sys.modules['uwsgi'] = types.SimpleNamespace(has_threads=1)", None),
    "a file of the app's": ("import types; sys.modules['uwsgi'] = types.ModuleType('uwsgi')", None),
}


@pytest.mark.parametrize("define", ["def", "async def"])
@pytest.mark.parametrize(("line", "reason"), STANDSTILLS.values(), ids=STANDSTILLS)
def test_where_the_process_stands_still_after_the_answer_nothing_is_accepted(
    line: str, reason: str | None, define: str
) -> None:
    lines = run(
        f"""
{line}
@handler.on_any
{define} handle(event):
    say("handled")
store = MemoryReplayStore()
endpoint = Endpoint(handler, background=Background(), replay_guard=ReplayGuard.exact_request(store=store))
say((asyncio.run(endpoint.arespond("POST", headers, body))).name if {reason is not None} else "")
send()
say("keys:", str(len(store)))
say(endpoint.respond("POST", {{}}, body).name)
"""
    )
    if reason is None:
        assert {"accepted", "handled", "keys: 1"} < {*lines}
        assert "unavailable" not in lines
        return
    turned_away = [f"Pylon webhook turned away: {reason}", "unavailable"]
    assert lines[:5] == [f"every Pylon webhook will be turned away: {reason}", *turned_away, *turned_away]
    assert lines[5] == "keys: 0"
    assert lines[-1] == "unauthorized"
