"""The metrics as Prometheus reads them, and the rules and the dashboard that are made of them."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from programs import debian_program, environment_of_programs
from receiver import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from receiver import Receiver

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus-rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana-dashboard.json"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
DESTINATION = '[[destination]]\nname = "archive"\njsonl = "events.jsonl"\n'


def run(*command: str | Path, text: str = "") -> None:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        input=text,
        env=environment_of_programs(),
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def metrics_of(receiver: Receiver, accept: str | None = None) -> tuple[str, str]:
    """What `/metrics` answers to this `Accept`: the content type and the text."""
    headers = {} if accept is None else {"Accept": accept}
    request = urllib.request.Request(f"http://127.0.0.1:{receiver.admin}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.headers["content-type"], answer.read().decode()


def certificate(folder: Path) -> str:
    """The table of a certificate that is made in the folder."""
    key, chain = folder / "key.pem", folder / "certificate.pem"
    made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3"]
    run(debian_program("openssl"), "req", *made, "-keyout", key, "-out", chain, "-subj", "/CN=localhost")
    return f'[tls]\ncertificate = "{chain}"\nkey = "{key}"\n'


def test_promtool_takes_the_rules_and_their_tests_hold() -> None:
    promtool = debian_program("promtool")
    run(promtool, "check", "rules", RULES)
    run(promtool, "test", "rules", Path(__file__).with_name("prometheus-rules.test.yml"))


def test_every_alert_has_a_test() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", RULES.read_text()))
    tests = Path(__file__).with_name("prometheus-rules.test.yml").read_text()
    assert alerts == set(re.findall(r"alertname: (\w+)", tests))


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "text/plain;version=0.0.4"])
def test_promtool_takes_the_metrics(
    start_receiver: Callable[..., Receiver], tmp_path: Path, accept: str | None
) -> None:
    promtool = debian_program("promtool")
    receiver = start_receiver(certificate(tmp_path) + DESTINATION)
    content_type, text = metrics_of(receiver, accept)
    assert content_type == TEXT
    run(promtool, "check", "metrics", text=text)


def test_open_metrics_is_for_who_asks_for_it(start_receiver: Callable[..., Receiver]) -> None:
    content_type, text = metrics_of(start_receiver(), "application/openmetrics-text; version=1.0.0")
    assert (content_type, text[-6:]) == (OPEN_METRICS, "# EOF\n")


def expressions() -> list[str]:
    """Every PromQL expression of the rules and the dashboard."""
    rules = re.findall(r"(?m)^        expr: (?:>-\n((?:          .*\n)+)|(.*)\n)", RULES.read_text())
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries = [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"
    ]
    return [*("".join(parts) for parts in rules), *panels, *queries]


def test_every_metric_and_label_of_the_rules_and_the_dashboard_is_there_from_the_start(
    start_receiver: Callable[..., Receiver], tmp_path: Path
) -> None:
    receiver = start_receiver(certificate(tmp_path) + DESTINATION)
    _, text = metrics_of(receiver)
    samples = {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    names = {sample.partition("{")[0] for sample in samples}
    found = expressions()
    assert len(found) > 30
    for expression in found:
        for name in re.findall(r"\bpylon_receiver_\w+", expression):
            assert name in names, expression
        # What Prometheus itself adds is not the receiver's.
        for name, selector in re.findall(r"\b(pylon_receiver_\w+)\{([^}]*)\}", expression):
            for label, sign, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', selector):
                if label == "instance":
                    continue
                values = {
                    match[1]
                    for sample in samples
                    if sample.startswith(f"{name}{{") and (match := re.search(rf'[{{,]{label}="([^"]*)"', sample))
                }
                fits = [other for other in values if sign == "!=" or re.fullmatch(value, other)]
                assert fits, f"{label}{sign}{value!r} fits none of {values} in {expression}"


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


class Prometheus:
    """Prometheus at work on one receiver."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        configuration = folder / "prometheus.yml"
        configuration.write_text(
            f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{RULES}']\nscrape_configs:\n"
            f"- {{job_name: pylon-receiver, static_configs: [{{targets: ['127.0.0.1:{receiver.admin}']}}]}}\n"
        )
        self.log = folder / "prometheus.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    debian_program("prometheus"),
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment_of_programs(),
            )

    def ask(self, path: str) -> Any:
        """The data of an answer of its API; None while it does not answer."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}") as answer,
        ):
            return json.load(answer)["data"]
        return None

    def wait_for(self, path: str, is_there: Callable[[Any], bool]) -> Any:
        """The data, once they are there."""
        deadline = time.monotonic() + PATIENCE
        while True:
            data = self.ask(path)
            if data is not None and is_there(data):
                return data
            is_late = time.monotonic() > deadline or self.process.poll() is not None
            assert not is_late, f"{path}: {data}\n{self.log.read_text()}"
            time.sleep(0.1)


@pytest.fixture
def prometheus(start_receiver: Callable[..., Receiver], tmp_path: Path) -> Iterator[tuple[Prometheus, Receiver]]:
    debian_program("prometheus")
    receiver = start_receiver(certificate(tmp_path) + DESTINATION)
    started = Prometheus(tmp_path, receiver)
    yield started, receiver
    started.process.kill()
    started.process.wait()


def test_prometheus_scrapes_the_receiver_and_evaluates_the_rules(prometheus: tuple[Prometheus, Receiver]) -> None:
    server, _ = prometheus
    # It asks for OpenMetrics, whose parser is strict.
    targets = server.wait_for("targets", lambda data: any(t["health"] != "unknown" for t in data["activeTargets"]))
    assert [(target["health"], target["lastError"]) for target in targets["activeTargets"]] == [("up", "")]
    query = quote('pylon_receiver_accepted_total{endpoint="webhook"}')
    found = server.wait_for(f"query?query={query}", lambda data: data["result"])
    assert found["result"][0]["value"][1] == "0"

    def has_evaluated(data: Any) -> bool:
        return bool(data["groups"]) and all(rule["health"] != "unknown" for rule in data["groups"][0]["rules"])

    rules = server.wait_for("rules", has_evaluated)["groups"][0]["rules"]
    assert {(rule["name"], rule["health"]) for rule in rules if rule["health"] != "ok"} == set()
    # The certificate is for three days.
    firing = {rule["name"] for rule in rules if rule["state"] == "firing"}
    assert firing <= {"PylonReceiverCertificateExpires"}
    server.wait_for(
        "alerts", lambda data: [a["labels"]["alertname"] for a in data["alerts"]] == ["PylonReceiverCertificateExpires"]
    )
