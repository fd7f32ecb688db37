"""What is in `deploy` holds: the sample configuration, the systemd unit, what containers are started by, and the pages that name
their settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    # The sample has both ledgers; the settings of PostgreSQL's are the more.
    settings = re.sub(r'(?m)^ledger = "sqlite:.*\n', "", settings).replace("db.example.com", "127.0.0.1:1")
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


COMPOSE, KUBERNETES = DEPLOY / "compose.yaml", DEPLOY / "kubernetes.yaml"
#: As the other YAML of this folder is written.
YAML_STYLE = (
    "{extends: default, rules: {line-length: {max: 150}, document-start: disable, "
    "braces: {min-spaces-inside: 1, max-spaces-inside: 1}}}"
)
#: The first and the latest version of Kubernetes that the manifest is for.
CHECKERS = {
    COMPOSE: [["check_jsonschema", "--builtin-schema", "vendor.compose-spec"]],
    KUBERNETES: [
        ["kubernetes_validate", "--strict", "--kubernetes-version", version, "--quiet"] for version in ("1.29", "1.37")
    ],
}
CHECKS = [(file, checker) for file, checkers in CHECKERS.items() for checker in checkers]


def checked(checker: list[str], file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *checker, file], check=False, capture_output=True, text=True)


@pytest.mark.parametrize("file", sorted(DEPLOY.glob("*.y*ml")), ids=lambda file: file.name)
def test_the_yaml_is_well_written(file: Path) -> None:
    done = checked(["yamllint", "--strict", "--config-data", YAML_STYLE], file)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("file", "checker"), CHECKS)
def test_the_schema_takes_what_containers_are_started_by(file: Path, checker: list[str], tmp_path: Path) -> None:
    done = checked(checker, file)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(file.read_text().replace("stop_grace_period:", "stop_grace:").replace("replicas:", "replica:"))
    assert checked(checker, wrong).returncode != 0


def kubernetes(kind: str, name: str = "pylon-receiver") -> dict[str, Any]:
    """The object of the manifest."""
    objects = yaml.safe_load_all(KUBERNETES.read_text())
    return next(there for there in objects if (there["kind"], there["metadata"]["name"]) == (kind, name))


def compose() -> dict[str, Any]:
    composed: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return composed


CONFIGURATIONS = {
    COMPOSE: lambda: compose()["configs"]["receiver"]["content"],
    KUBERNETES: lambda: kubernetes("ConfigMap")["data"]["pylon-receiver.toml"],
}


@needs_the_program
@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.name)
def test_the_receivers_take_the_configuration_of_the_containers(file: Path, tmp_path: Path) -> None:
    # Nothing of the network is asked here.
    text = re.sub(r"postgres://pylon@[\w.]+/", "postgres://pylon@127.0.0.1:1/", CONFIGURATIONS[file]())
    held = tomllib.loads(what_holds(text.replace("/data/", f"{tmp_path}/"), tmp_path))
    assert held["ledger"].startswith("postgres://pylon@127.0.0.1:1/pylon")
    assert held["spool"] == f"{tmp_path}/spool.db"


def test_no_two_receivers_of_the_composition_share_a_spool() -> None:
    composed = compose()
    spool = tomllib.loads(CONFIGURATIONS[COMPOSE]())["spool"]
    receivers = [service for name, service in composed["services"].items() if name.startswith("receiver-")]
    volumes = [volume.split(":") for receiver in receivers for volume in receiver["volumes"]]
    assert len({name for name, _ in volumes}) == len(receivers) == 2
    assert {name for name, _ in volumes} < composed["volumes"].keys()
    assert all(Path(spool).is_relative_to(folder) for _, folder in volumes)


class Readiness(BaseHTTPRequestHandler):
    """Answers as the receiver's admin API does."""

    status = 200

    def do_GET(self) -> None:
        body = b'{"status":"ready"}'
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1), (None, 1)])
def test_the_health_check_of_the_composition_hears_whether_a_receiver_is_ready(
    status: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    word, *command = compose()["services"]["receiver-1"]["healthcheck"]["test"]
    assert word == "CMD"
    with HTTPServer(("127.0.0.1", 0), Readiness) as server:
        port = server.server_port
        if status is None:
            server.server_close()
        else:
            monkeypatch.setattr(Readiness, "status", status)
            threading.Thread(target=server.handle_request, daemon=True).start()
        # Composition halves the dollar signs.
        command = [part.replace("/8081", f"/{port}").replace("$$", "$") for part in command]
        done = subprocess.run(command, check=False, capture_output=True, timeout=30)
    assert done.returncode == expected, done.stderr


def test_the_containers_give_a_shutdown_the_time_that_it_may_take() -> None:
    shutdown = re.search(r'shutdown_timeout = "(\d+)s"', SAMPLE)
    assert shutdown is not None
    for text in (CONFIGURATIONS[COMPOSE](), CONFIGURATIONS[KUBERNETES]()):
        assert "shutdown_timeout" not in text
    pod = kubernetes("StatefulSet")["spec"]["template"]["spec"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + int(shutdown[1])
    for name, service in compose()["services"].items():
        if name.startswith("receiver-"):
            assert int(service["stop_grace_period"].removesuffix("s")) > int(shutdown[1])


def test_the_manifest_probes_and_selects_what_is_there() -> None:
    spec = kubernetes("StatefulSet")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    selectors = [
        spec["selector"]["matchLabels"],
        kubernetes("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        kubernetes("Service")["spec"]["selector"],
        kubernetes("Service", spec["serviceName"])["spec"]["selector"],
    ]
    assert all(selector == labels for selector in selectors)
    receiver = spec["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in receiver["ports"]}
    configuration = tomllib.loads(CONFIGURATIONS[KUBERNETES]())
    for key, name in {"listen": "webhooks", "admin": "admin"}.items():
        assert configuration[key] == f"0.0.0.0:{ports[name]}"
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = receiver[probe]["httpGet"]
        assert asked["port"] == "admin"
        assert f"- `{asked['path']}`: " in page
    # More than one receiver stays, and each has a disk of its own that has room for its spool.
    assert spec["replicas"] > kubernetes("PodDisruptionBudget")["spec"]["maxUnavailable"]
    (claim,) = spec["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in receiver["volumeMounts"]}
    assert Path(configuration["spool"]).is_relative_to(mounts[claim["metadata"]["name"]])
    room, size = claim["spec"]["resources"]["requests"]["storage"], configuration["spool_size"]
    assert int(room.removesuffix("Gi")) > int(size.removesuffix("GiB"))
