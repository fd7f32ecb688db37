"""What is in `deploy` holds: the sample configuration, the systemd unit, and the pages that name their settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
SAMPLE = (DEPLOY / "pylon-receiver.toml").read_text()
PROGRAM = Path(
    os.environ.get(
        "PYLON_RECEIVER", Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "debug", "pylon-receiver")
    )
)

needs_the_program = pytest.mark.skipif(
    not PROGRAM.is_file(), reason=f"no {PROGRAM}: run `cargo build -p pylon-receiver-cli`"
)


def with_settings(*, examples: bool) -> str:
    """The sample with its settings switched on; examples are those of which a comment says "for instance"."""
    lines = []
    is_example = is_table = False
    for line in SAMPLE.splitlines():
        is_setting = re.match(r"#[^ ]", line) is not None
        if not is_setting and (not line or not is_table):
            is_example, is_table = "or instance:" in line, False
        # The comments within a table that is an example do not end it.
        is_table = is_table or (is_example and line.startswith("#["))
        lines.append(line[1:] if is_setting and (examples or not is_example) else line)
    return "\n".join(lines)


def what_holds(text: str, folder: Path) -> str:
    """What `check-config` says of a configuration, all of whose secrets are missing."""
    file = folder / "pylon-receiver.toml"
    file.write_text(text)
    done = subprocess.run(
        [PROGRAM, "check-config", "--config", file],
        env={"PATH": os.environ["PATH"]},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


@needs_the_program
def test_every_setting_of_the_sample_is_one_that_the_receiver_takes(tmp_path: Path) -> None:
    # `check-config` refuses traces in a build without them; a test of the crate reads that setting.
    settings = re.sub(r"(?m)^traces = .*\n", "", with_settings(examples=True))
    held = tomllib.loads(what_holds(settings, tmp_path))
    names = [destination["name"] for destination in held["destination"]]
    assert names == ["app", "script", "archive", "bus", "other-bus", "elsewhere", "here"]


@needs_the_program
def test_what_the_sample_gives_as_a_default_holds_without_it(tmp_path: Path) -> None:
    assert what_holds(with_settings(examples=False), tmp_path) == what_holds(SAMPLE, tmp_path)


def test_the_sample_names_every_key_of_the_configuration() -> None:
    # A test of the crate holds the table in the page to the keys that are declared.
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    keys = {key.rpartition(".")[2] for key in re.findall(r"(?m)^\| `([\w.]+)` \|", page)}
    assert len(keys) > 40
    assert not {key for key in keys if not re.search(rf"\b{key}\b", SAMPLE)}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in ("pylon-receiver.service", "pylon-receiver.socket"):
        # The program is not installed where tests run.
        text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", (DEPLOY / name).read_text())
        (tmp_path / name).write_text(text)
    units = sorted(tmp_path.iterdir())
    done = subprocess.run(["systemd-analyze", "verify", *units], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def settings_of(name: str) -> dict[str, str]:
    return dict(re.findall(r"(?m)^(\w+)=(.*)$", (DEPLOY / name).read_text()))


def test_the_units_use_the_socket_and_tell_systemd() -> None:
    service, socket = settings_of("pylon-receiver.service"), settings_of("pylon-receiver.socket")
    assert service["Type"] == "notify"
    assert "-HUP $MAINPID" in service["ExecReload"]
    # The receiver reaches NOTIFY_SOCKET.
    assert "AF_UNIX" in service["RestrictAddressFamilies"].split()
    listen = re.search(r'(?m)^#listen = "(.*)"$', SAMPLE)
    assert listen is not None
    assert socket["ListenStream"] == listen[1]
    # systemd passes the listening socket on, and does not accept by itself.
    assert socket.get("Accept", "no") == "no"


def test_the_unit_gives_a_shutdown_the_time_that_it_may_take() -> None:
    unit = (DEPLOY / "pylon-receiver.service").read_text()
    shutdown = re.search(r'shutdown_timeout = "(\d+)s"', SAMPLE)
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert shutdown is not None
    assert stop is not None
    assert int(stop[1]) > int(shutdown[1])
