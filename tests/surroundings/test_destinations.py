"""Apps that a receiver reaches through other people's programs: a forward proxy, a WSGI server at a Unix socket."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from programs import debian_program, environment_of_programs
from receiver import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from receiver import Receiver

BODY = b'{"event_type":"issue_new","issue_id":"1"}'
#: `openssl passwd -apr1 'pass word'`
_HASHED = "$apr1$receiver$g70tto21ysSLlA3zRzhmK0"
#: A certificate for 127.0.0.1, its key and its authority.
_TLS = Path(__file__).resolve().parents[2] / "crates/pylon-receiver/tests/it/transports/tls"


class _App:
    """An HTTP server on a free port that notes the paths of requests."""

    def __init__(self, *, tls: bool) -> None:
        self.paths: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler) -> None:
                handler.rfile.read(int(handler.headers["Content-Length"]))
                self.paths.append(handler.path)
                handler.send_response(204)
                handler.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(_TLS / "certificate.pem", _TLS / "key.pem")
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _attempts(receiver: Receiver) -> list[dict[str, Any]]:
    """The attempts of the only event so far."""
    events = json.loads(receiver.ask("/api/events")[1])["events"]
    event = json.loads(receiver.ask(f"/api/events/{events[0]['id']}")[1])
    return [attempt for delivery in event["deliveries"] for attempt in delivery["log"]]


def _wait_for_attempt(receiver: Receiver) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while not (attempts := _attempts(receiver)):
        assert time.monotonic() < deadline, receiver.log
        time.sleep(0.01)
    return attempts[0]


@pytest.fixture
def squid() -> Iterator[tuple[int, Path]]:
    """A proxy that asks for `user` and `pass word`: its port, and its log of requests."""
    program = debian_program("squid")
    # The folder in which the package lies, `/` where it is installed.
    root = program.parents[2]
    # squid gives up root, and must still reach its files.
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "passwords").write_text(f"user:{_HASHED}\n")
    (folder / "squid.conf").write_text(
        f"""
        http_port 127.0.0.1:{port}
        auth_param basic program {root}/usr/lib/squid/basic_ncsa_auth {folder}/passwords
        acl known proxy_auth REQUIRED
        http_access allow known
        http_access deny all
        cache deny all
        error_directory {root}/usr/share/squid-langpack/en
        icon_directory {root}/usr/share/squid/icons
        mime_table {root}/usr/share/squid/mime.conf
        err_page_stylesheet {root}/etc/squid/errorpage.css
        pid_filename none
        access_log stdio:{folder}/access.log
        cache_log {folder}/cache.log
        shutdown_lifetime 0 seconds
        """.replace("\n        ", "\n")
    )
    process = subprocess.Popen(
        [program, "-N", "-f", folder / "squid.conf"],
        env=environment_of_programs(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_open(port, process)
        yield port, folder / "access.log"
    finally:
        process.terminate()
        process.wait(PATIENCE)
        shutil.rmtree(folder)


def _wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "the proxy did not start"
            time.sleep(0.05)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_real_proxy_passes_deliveries_on(
    scheme: str, squid: tuple[int, Path], start_receiver: Callable[..., Receiver]
) -> None:
    port, access_log = squid
    app = _App(tls=scheme == "https")
    ca = f'ca = "{_TLS}/authority.pem"' if scheme == "https" else ""
    destination = f"""
        [[destination]]
        name = "app"
        url = "{scheme}://127.0.0.1:{app.port}/hook?a=b"
        proxy = {{ env = "APP_PROXY" }}
        {ca}
    """
    receiver = start_receiver(destination, APP_PROXY=f"http://user:pass%20word@127.0.0.1:{port}")
    assert receiver.post(BODY) == 200
    attempt = _wait_for_attempt(receiver)
    assert (attempt["status"], attempt["detail"]) == (204, "answered 204")
    assert app.paths == ["/hook?a=b"]
    receiver.end()
    asked = (
        f"CONNECT 127.0.0.1:{app.port} user" if scheme == "https" else f"POST http://127.0.0.1:{app.port}/hook? user"
    )
    # squid writes the line of a tunnel when the tunnel ends.
    deadline = time.monotonic() + PATIENCE
    while asked not in access_log.read_text():
        assert time.monotonic() < deadline, access_log.read_text()
        time.sleep(0.05)
    app.end()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("credentials", ["", "user:sesame@"])
def test_a_real_proxy_that_wants_other_credentials_is_told(
    scheme: str, credentials: str, squid: tuple[int, Path], start_receiver: Callable[..., Receiver]
) -> None:
    destination = f"""
        [[destination]]
        name = "app"
        url = "{scheme}://127.0.0.1:1/hook"
        proxy = {{ env = "APP_PROXY" }}
    """
    receiver = start_receiver(destination, APP_PROXY=f"http://{credentials}127.0.0.1:{squid[0]}")
    assert receiver.post(BODY) == 200
    attempt = _wait_for_attempt(receiver)
    assert "status" not in attempt
    assert attempt["detail"] == (
        "the proxy answered 407: expected a user and a password that it knows in `proxy`, found none or others"
    )
    receiver.end()
    assert "sesame" not in (receiver.folder / "log").read_text()


#: What a WSGI server makes of the headers of a request, as lines of JSON.
_WSGI_APP = """
import json

def app(environ, start_response):
    environ["wsgi.input"].read()
    seen = {key: value for key, value in environ.items() if key.startswith(("HTTP_", "CONTENT_"))}
    with open("seen", "a") as file:
        file.write(json.dumps(seen) + "\\n")
    start_response("204 No Content", [])
    return []
"""


def test_a_wsgi_server_at_a_socket_sees_no_forged_header(
    tmp_path: Path, start_receiver: Callable[..., Receiver]
) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "wsgi_app.py").write_text(_WSGI_APP)
    # A folder's name may be too long for a socket.
    sockets = Path(tempfile.mkdtemp())
    path = sockets / "app.sock"
    server = subprocess.Popen(
        # Folds `_` and `-` into one, as most WSGI servers do.
        [sys.executable, "-m", "gunicorn", "--header-map", "dangerous", "--bind", f"unix:{path}", "wsgi_app:app"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        destination = f"""
            [[destination]]
            name = "app"
            url = "http://app.example/hook"
            socket = "{path}"
            headers = {{ X-Team = "support" }}
            retry.first_delay = "50ms"
        """
        receiver = start_receiver(destination)
        forged = {
            "X_Pylon_Signature": "forged",
            "X_Receiver_Event_Id": "forged",
            "X_Team": "forged",
            "X.Team": "forged",
            "Content_Type": "forged",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "If-Match": "forged",
            "X-Kept": "kept",
            **{f"X-Filler-{number}": "x" * 200 for number in range(70)},
        }
        assert receiver.post(BODY, **forged) == 200
        deadline = time.monotonic() + PATIENCE
        while not (folder / "seen").exists():
            assert time.monotonic() < deadline and server.poll() is None, receiver.log
            time.sleep(0.02)
        seen = json.loads((folder / "seen").read_text().splitlines()[0])
        assert "forged" not in "".join(seen.values())
        assert seen["HTTP_HOST"] == "app.example"
        assert seen["HTTP_X_TEAM"] == "support"
        assert seen["CONTENT_TYPE"] == "application/json"
        assert "HTTP_CONTENT_ENCODING" not in seen
        assert int(seen["HTTP_X_RECEIVER_DROPPED_HEADERS"]) > 30
        assert sum(len(key) + len(value) for key, value in seen.items()) < 10_000
        (event,) = json.loads(receiver.ask("/api/events")[1])["events"]
        headers = dict(json.loads(receiver.ask(f"/api/events/{event['id']}")[1])["headers"])
        assert headers["x-receiver-dropped-headers"] == seen["HTTP_X_RECEIVER_DROPPED_HEADERS"]
    finally:
        server.terminate()
        server.wait(PATIENCE)
        shutil.rmtree(sockets)
