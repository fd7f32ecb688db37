"""A receiver as the first process of a container, or as a subreaper: it inherits the children of processes that have ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from receiver import PATIENCE, Receiver, receiver_program

if TYPE_CHECKING:
    from collections.abc import Callable

#: PR_SET_CHILD_SUBREAPER is 36.
SUBREAPER = (
    sys.executable,
    "-c",
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])",
)
FIRST = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
#: Each run leaves a process behind that ends later and that nobody waits for, and fails with exit code 3 the first time.
CONFIGURATION = """
[[destination]]
name = "script"
command = ["sh", "-c", "(sleep 0.1; echo >> left) & (setsid sleep 0.1 &); [ $PYLON_ATTEMPT -gt 1 ] || exit 3"]
[destination.retry]
first_delay = "10ms"
longest_delay = "20ms"
"""
#: The states of deliveries that have not come to their end.
PENDING = ("waiting", "held", "delivering")


def _may_be_first() -> bool:
    done = subprocess.run([*FIRST, "true"], check=False, capture_output=True)
    return done.returncode == 0


WRAPPERS = [
    pytest.param(SUBREAPER, id="subreaper"),
    pytest.param(
        FIRST, id="first", marks=pytest.mark.skipif(not _may_be_first(), reason="no namespace of processes here")
    ),
]


def _processes() -> dict[int, tuple[str, int]]:
    """State and parent of every process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            found[int(folder.name)] = (state, int(parent))
    return found


def _below(root: int, processes: dict[int, tuple[str, int]]) -> set[int]:
    below = {root}
    while more := {pid for pid, (_, parent) in processes.items() if parent in below and pid not in below}:
        below |= more
    return below


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_orphans_are_reaped_and_commands_keep_their_exit_codes(
    wrapper: tuple[str, ...], start_receiver: Callable[..., Receiver]
) -> None:
    receiver = start_receiver(CONFIGURATION, wrapper=wrapper)
    for number in range(20):
        assert receiver.post(b'{"id":"%d"}' % number) == 200
    deadline = time.monotonic() + PATIENCE
    while any((stats := json.loads(receiver.ask("/api/stats")[1]))["destinations"][0][state] for state in PENDING):
        assert time.monotonic() < deadline, stats
        time.sleep(0.05)
    # Each attempt has left something behind.
    left = receiver.folder / "left"
    while not left.exists() or len(left.read_text()) < 40:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    while True:
        processes = _processes()
        zombies = [pid for pid in _below(receiver.process.pid, processes) if processes.get(pid, ("",))[0] == "Z"]
        if not zombies:
            break
        assert time.monotonic() < deadline, f"zombies: {zombies}"
        time.sleep(0.05)
    events = json.loads(receiver.ask("/api/events")[1])["events"]
    event = json.loads(receiver.ask(f"/api/events/{events[0]['id']}")[1])
    codes = [attempt["status"] for attempt in event["deliveries"][0]["log"]]
    assert codes == [3, 0], event


def test_signals_are_passed_on_and_the_exit_code_comes_back(start_receiver: Callable[..., Receiver]) -> None:
    receiver = start_receiver(wrapper=SUBREAPER)
    children = Path(f"/proc/{receiver.process.pid}/task/{receiver.process.pid}/children").read_text().split()
    assert len(children) == 1
    receiver.process.send_signal(signal.SIGHUP)
    receiver.wait_to_log("reloaded")
    assert receiver.post(b"{}") == 200
    assert receiver.end() == 0
    assert receiver.log[-1]["message"] == "stopped"


def test_the_receiver_ends_with_the_process_that_watches_it(start_receiver: Callable[..., Receiver]) -> None:
    receiver = start_receiver(wrapper=SUBREAPER)
    child = int(Path(f"/proc/{receiver.process.pid}/task/{receiver.process.pid}/children").read_text())
    receiver.process.kill()
    deadline = time.monotonic() + PATIENCE
    while _processes().get(child, ("Z",))[0] != "Z":
        assert time.monotonic() < deadline, "it outlives the process that watches it"
        time.sleep(0.05)


@pytest.mark.skipif(not _may_be_first(), reason="no namespace of processes here")
@pytest.mark.parametrize("name", ["its path", "another name"])
def test_the_first_process_starts_without_proc(name: str, start_receiver: Callable[..., Receiver]) -> None:
    run = 'exec "$@"' if name == "its path" else 'exec -a no-such-program "$@"'
    hidden = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "bash", "-c")
    receiver = start_receiver(wrapper=(*hidden, f"mount -t tmpfs none /proc && {run}", "bash"))
    assert receiver.post(b"{}") == 200
    if name == "another name":
        receiver.wait_to_log("orphans of commands are not reaped")


def test_sockets_for_the_first_process_reach_the_receiver(start_receiver: Callable[..., Receiver]) -> None:
    program, option, code = SUBREAPER
    listening = (
        "import socket; held = socket.create_server(('127.0.0.1', 0)); import os; os.dup2(held.fileno(), 3); "
        "os.set_inheritable(3, True); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); "
    )
    # Nobody can bind this address.
    receiver = start_receiver('listen = "192.0.2.1:1"\n', wrapper=(program, option, listening + code))
    assert receiver.post(b"{}") == 200
    assert receiver.end() == 0


def test_an_end_by_a_signal_is_told_as_a_shell_does(start_receiver: Callable[..., Receiver]) -> None:
    receiver = start_receiver(wrapper=SUBREAPER)
    child = Path(f"/proc/{receiver.process.pid}/task/{receiver.process.pid}/children").read_text().split()[0]
    os.kill(int(child), signal.SIGKILL)
    assert receiver.process.wait(PATIENCE) == 128 + signal.SIGKILL


def test_a_wrong_configuration_ends_with_its_exit_code(tmp_path: Path) -> None:
    program = receiver_program()
    if not program.is_file():
        pytest.skip(f"no {program}: run `cargo build -p pylon-receiver-cli`")
    (tmp_path / "wrong.toml").write_text("lisen = 1\n")
    command = [*SUBREAPER, program, "serve", "--config", tmp_path / "wrong.toml"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 5
    assert done.stderr.startswith("error: ")
