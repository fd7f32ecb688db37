"""Proxies in front of a receiver, with the blocks of the page "Run the receiver behind a proxy" as they stand there."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from programs import debian_program, environment_of_programs
from receiver import PATIENCE, SECRET, Receiver

from pylon_webhooks import sign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/behind-a-proxy.md").read_text()
BLOCKS = dict(re.findall(r"(?ms)^```(nginx|haproxy|caddyfile)\n(.*?)^```$", PAGE))
#: A certificate for 127.0.0.1 and its key.
TLS = ROOT / "crates/pylon-receiver/tests/it/transports/tls"
#: The settings of the page, with time-outs that a test can wait for.
SETTINGS = """
trusted_proxies = ["127.0.0.1"]
health = "/healthz"
[limits]
header_timeout = "1s"
"""
LIMIT = 1024 * 1024
#: A signature that is well formed and wrong.
FORGED = "0" * 64


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Proxy:
    """A proxy at work in front of a receiver, on a port of its own."""

    def __init__(self, name: str, folder: Path, block: str, upstream: str, scheme: str = "https") -> None:
        self.name, self.folder, self.scheme = name, folder, scheme
        self.port = free_port()
        folder.mkdir(exist_ok=True)
        settings = {"nginx": self._nginx, "haproxy": self._haproxy, "caddy": self._caddy}[name]
        arguments = settings(block.replace("127.0.0.1:8080", upstream))
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [debian_program(name), *arguments],
                cwd=folder,
                env={**environment_of_programs(), "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait()
        except BaseException:
            self.end()
            raise

    def _nginx(self, block: str) -> list[str | Path]:
        block = block.replace("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl")
        block = re.sub(r"(ssl_certificate +)\S+;", rf"\1{TLS}/certificate.pem;", block)
        block = re.sub(r"(ssl_certificate_key +)\S+;", rf"\1{TLS}/key.pem;", block)
        temporary = "".join(
            f"{kind}_temp_path {self.folder};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {self.folder}/pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off; {temporary}\n{block}}}\n"
        )
        return ["-e", "stderr", "-p", self.folder, "-c", self.folder / "nginx.conf"]

    def _haproxy(self, block: str) -> list[str | Path]:
        both = self.folder / "both.pem"
        both.write_text((TLS / "certificate.pem").read_text() + (TLS / "key.pem").read_text())
        block = re.sub(r"bind :443 ssl crt \S+", f"bind 127.0.0.1:{self.port} ssl crt {both}", block)
        (self.folder / "haproxy.cfg").write_text(f"global\n    nbthread 1\n    log stderr local0\n{block}")
        return ["-db", "-f", self.folder / "haproxy.cfg"]

    def _caddy(self, block: str) -> list[str | Path]:
        tls = f"    tls {TLS}/certificate.pem {TLS}/key.pem\n"
        block = block.replace(
            "webhooks.example.com {\n", f"https://127.0.0.1:{self.port} {{\n    bind 127.0.0.1\n{tls}"
        )
        (self.folder / "Caddyfile").write_text(f"{{\n    admin off\n    auto_https disable_redirects\n}}\n{block}")
        return ["run", "--config", self.folder / "Caddyfile", "--adapter", "caddyfile"]

    def connect(self, source: str = "127.0.0.1") -> http.client.HTTPConnection:
        """A connection, which is kept."""
        if self.scheme == "http":
            return http.client.HTTPConnection("127.0.0.1", self.port, PATIENCE, (source, 0))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(TLS / "authority.pem")
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE, source_address=(source, 0), context=context
        )

    def post(self, body: bytes, signature: str = "", source: str = "127.0.0.1") -> int:
        """The status of a webhook's answer, on a connection of its own."""
        with closing(self.connect(source)) as connection:
            return post(connection, body, signature)

    def _wait(self) -> None:
        """Until the receiver is reached: HAProxy checks it first."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                status = self.post(b"", signature="none")
            except OSError:
                status = 0
            if status == 401:
                return
            is_late = time.monotonic() > deadline or self.process.poll() is not None
            assert not is_late, f"{self.name} answers {status}; it wrote:\n{self.log.read_text()}"
            time.sleep(0.02)

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def post(connection: http.client.HTTPConnection, body: bytes, signature: str = "", *, chunked: bool = False) -> int:
    """The status of a webhook's answer; a body that is refused early may not be taken to its end."""
    headers = {"X-Pylon-Signature": signature or sign(SECRET, body), "Content-Type": "application/json"}
    if chunked:
        pieces = [body[start : start + 5000] for start in range(0, len(body), 5000)]
        connection.request("POST", "/webhook", iter(pieces), headers, encode_chunked=True)
    else:
        connection.request("POST", "/webhook", body, headers)
    response = connection.getresponse()
    response.read()
    return response.status


@pytest.fixture
def start_proxy(tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    started: list[Proxy] = []

    def start(name: str, receiver: Receiver, change: Callable[[str], str] = lambda block: block) -> Proxy:
        block = BLOCKS["caddyfile" if name == "caddy" else name]
        folder = tmp_path / f"proxy-{len(started)}"
        started.append(Proxy(name, folder, change(block), f"127.0.0.1:{receiver.webhooks}"))
        return started[-1]

    yield start
    for proxy in started:
        proxy.end()


@pytest.fixture(params=["nginx", "haproxy", "caddy"])
def proxied(
    request: pytest.FixtureRequest, start_receiver: Callable[..., Receiver], start_proxy: Callable[..., Proxy]
) -> tuple[Receiver, Proxy]:
    """A receiver behind the proxy of the page."""
    debian_program(request.param)
    receiver = start_receiver(SETTINGS)
    return receiver, start_proxy(request.param, receiver)


def refused_remotes(receiver: Receiver, count: int) -> list[str]:
    """Who sent the forged requests, as the log has it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        lines = [line for line in receiver.log if line.get("code") == "signature_mismatch"]
        if len(lines) >= count:
            return [line["remote"] for line in lines]
        assert time.monotonic() < deadline, receiver.log
        time.sleep(0.01)


def test_webhooks_come_through(proxied: tuple[Receiver, Proxy]) -> None:
    receiver, proxy = proxied
    with closing(proxy.connect()) as connection:
        for number in range(100):
            assert post(connection, b'{"id":"%d"}' % number) == 200
        for number in range(20):
            assert proxy.post(b'{"id":"again %d"}' % number) == 200
        assert post(connection, b'{"text":"%s"}' % (b"x" * 200_000), chunked=True) == 200
        assert json.loads(receiver.ask("/api/stats")[1])["events"] == 121
        connection.request("GET", "/other")
        assert connection.getresponse().status == 404
    assert not [line for line in receiver.log if line["message"] == "a connection was refused"]


def test_bodies_up_to_the_limit_come_through_and_no_larger_ones(proxied: tuple[Receiver, Proxy]) -> None:
    receiver, proxy = proxied
    assert proxy.post(b" " * LIMIT) == 200
    try:
        status = proxy.post(b" " * (LIMIT + 1))
    except OSError:
        # The proxy closed before it had read all, and its answer with it.
        status = 413
    assert status == 413
    assert json.loads(receiver.ask("/api/stats")[1])["events"] == 1


def test_an_idle_connection_of_the_proxy_outlives_the_time_for_a_head(proxied: tuple[Receiver, Proxy]) -> None:
    receiver, proxy = proxied
    # Without `trusted_proxies` the log names the proxy's connection.
    text = receiver.file.read_text()
    receiver.file.write_text(re.sub(r"(?m)^trusted_proxies.*\n", "", text))
    receiver.process.send_signal(1)
    receiver.wait_to_log("reloaded")
    with closing(proxy.connect()) as connection:
        for _ in range(2):
            assert post(connection, b"{}", signature=FORGED) == 401
            # Longer than a head may take.
            time.sleep(1.3)
            assert post(connection, b"{}", signature=FORGED) == 401
    remotes = refused_remotes(receiver, 4)
    # The first request of a client has a connection of its own in HAProxy; then one is used again.
    assert len(set(remotes[1:])) == 1, remotes


def test_the_receiver_keeps_idle_connections_longer_than_the_proxies() -> None:
    # The page says so, and these are the blocks' own values.
    seconds = [int(value) for value in re.findall(r"\bkeepalive(?:_timeout)? (\d+)s", PAGE)]
    reference = (ROOT / "docs/reference/configuration.md").read_text()
    default = re.search(r"\| `limits.idle_timeout` \| duration \| `1m(\d+)s` \|", reference)
    assert default is not None
    assert len(seconds) == 2
    assert max(seconds) < 60 + int(default[1])


def test_the_address_of_the_client_is_passed_on(proxied: tuple[Receiver, Proxy]) -> None:
    receiver, proxy = proxied
    assert proxy.post(b"{}", signature=FORGED, source="127.0.0.5") == 401
    assert refused_remotes(receiver, 1) == ["127.0.0.5"]


def test_a_receiver_that_is_not_ready_gets_nothing_from_haproxy(
    start_receiver: Callable[..., Receiver], start_proxy: Callable[..., Proxy]
) -> None:
    debian_program("haproxy")
    receiver = start_receiver(SETTINGS)
    proxy = start_proxy(
        "haproxy", receiver, lambda block: block.replace(" check\n", " check inter 100ms fall 1 rise 1\n")
    )
    assert proxy.post(b"{}") == 200
    receiver.end()
    deadline = time.monotonic() + PATIENCE
    while (status := proxy.post(b"{}")) != 503:
        assert time.monotonic() < deadline, status
        time.sleep(0.05)


def test_nginx_reaches_a_unix_socket(
    tmp_path: Path, start_receiver: Callable[..., Receiver], start_proxy: Callable[..., Proxy]
) -> None:
    debian_program("nginx")
    path = tmp_path / "webhooks.sock"
    receiver = start_receiver(f'listen = "unix:{path}"\n{SETTINGS}')
    proxy = start_proxy("nginx", receiver, lambda block: block.replace("127.0.0.1:8080", f"unix:{path}"))
    with closing(proxy.connect(source="127.0.0.5")) as connection:
        for number in range(20):
            assert post(connection, b'{"id":"%d"}' % number) == 200
        assert post(connection, b"{}", signature=FORGED) == 401
    assert refused_remotes(receiver, 1) == ["127.0.0.5"]


def test_nginx_sends_webhooks_to_the_receiver_that_is_left(
    start_receiver: Callable[..., Receiver], start_proxy: Callable[..., Proxy]
) -> None:
    debian_program("nginx")
    one, two = start_receiver(SETTINGS), start_receiver(SETTINGS)
    page = (ROOT / "docs/how-to/scale.md").read_text()
    (upstream,) = re.findall(r"(?ms)^```nginx\n(upstream .*?^}\n)", page)
    for server, receiver in {"10.0.0.11:8080": one, "10.0.0.12:8080": two}.items():
        assert server in upstream
        upstream = upstream.replace(server, f"127.0.0.1:{receiver.webhooks}")
    proxy = start_proxy("nginx", one, lambda block: re.sub(r"(?ms)^upstream .*?^}\n", upstream, block))
    assert [proxy.post(b'{"id":"%d"}' % number) for number in range(20)] == [200] * 20
    shares = [json.loads(receiver.ask("/api/stats")[1])["events"] for receiver in (one, two)]
    assert sum(shares) == 20
    assert min(shares) > 0
    one.end(signal.SIGKILL)
    assert [proxy.post(b'{"after":"%d"}' % number) for number in range(20)] == [200] * 20
    assert json.loads(two.ask("/api/stats")[1])["events"] == shares[1] + 20


#: What is wrong in the proxy: its name, the change of its block, and the cause that the receiver names.
MISTAKES = [
    ("nginx", ("http://pylon_receiver", "https://pylon_receiver"), "tls"),
    ("haproxy", (" check\n", " ssl verify none\n"), "tls"),
    ("caddy", ("transport http {\n", "transport http {\n                tls_insecure_skip_verify\n"), "tls"),
    ("haproxy", (" check\n", " send-proxy\n"), "proxy_protocol"),
    ("haproxy", (" check\n", " send-proxy-v2\n"), "proxy_protocol"),
    ("haproxy", (" check\n", " proto h2\n"), "http2"),
    ("caddy", ("transport http {\n", "transport http {\n                versions h2c\n"), "http2"),
]


@pytest.mark.parametrize(("name", "change", "cause"), MISTAKES)
def test_the_log_names_what_is_wrong_in_the_proxy(
    name: str,
    change: tuple[str, str],
    cause: str,
    start_receiver: Callable[..., Receiver],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    debian_program(name)
    receiver = start_receiver(SETTINGS)
    monkeypatch.setattr(Proxy, "_wait", lambda _: None)
    block = BLOCKS["caddyfile" if name == "caddy" else name]
    assert change[0] in block
    proxy = Proxy(name, tmp_path / "proxy", block.replace(*change), f"127.0.0.1:{receiver.webhooks}")
    try:
        deadline = time.monotonic() + PATIENCE
        causes: set[str] = set()
        while cause not in causes:
            try:
                assert proxy.post(b"{}") in {400, 502, 503}
            except OSError:
                time.sleep(0.05)
            causes = {line["cause"] for line in receiver.log if line["message"] == "a connection was refused"}
            assert time.monotonic() < deadline, (causes, proxy.log.read_text())
    finally:
        proxy.end()
    metrics = receiver.ask("/metrics")[1].decode()
    assert re.search(rf'connections_refused_total{{listener="listen",cause="{cause}"}} [1-9]', metrics)
