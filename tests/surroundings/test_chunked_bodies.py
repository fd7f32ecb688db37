"""Chunked bodies through nginx, which buffers them, to apps in uWSGI, which by itself gives them no such body."""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from programs import debian_program

from pylon_webhooks.testing import sample_payload, signed_headers

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "adapters")]

from servers import free_port, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "test-secret"
BODY = sample_payload("issue_new")
PARAMETERS = {
    "CONTENT_LENGTH": "$content_length",
    "CONTENT_TYPE": "$content_type",
    "PATH_INFO": "$document_uri",
    "QUERY_STRING": "$query_string",
    "REQUEST_METHOD": "$request_method",
    "REQUEST_URI": "$request_uri",
    "SERVER_NAME": "$server_name",
    "SERVER_PORT": "$server_port",
    "SERVER_PROTOCOL": "$server_protocol",
}


@pytest.fixture(scope="module", params=["wsgi:app", "flask:app", "django:wsgi"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where nginx listens, with uWSGI behind it."""
    nginx, folder = debian_program("nginx"), tmp_path_factory.mktemp("nginx")
    behind, front = free_port(), free_port()
    (folder / "seen").touch()
    run = "import sys, pyuwsgi; sys.exit(pyuwsgi.run())"
    uwsgi = ["--socket", f"127.0.0.1:{behind}", "--module", f"served.{request.param}", "--need-app", "--die-on-term"]
    configuration = folder / "nginx.conf"
    parameters = "".join(f"uwsgi_param {name} {value};\n" for name, value in PARAMETERS.items())
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}"
        f"server {{\nlisten 127.0.0.1:{front};\nlocation / {{\n{parameters}uwsgi_pass 127.0.0.1:{behind};\n}}\n}}\n}}\n"
    )
    path = os.pathsep.join([str(ROOT / "tests" / "adapters"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"PYTHONPATH": path, "PYLON_SEEN": str(folder / "seen")}
    with (
        serve([sys.executable, "-c", run, *uwsgi, "--disable-logging"], behind, **environment),
        serve([str(nginx), "-c", str(configuration), "-p", str(folder), "-e", "stderr"], front),
    ):
        yield front


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize(("secret", "status"), [(SECRET, 200), ("another", 401)])
def test_a_body_that_nginx_has_buffered_is_read_however_it_came(
    port: int, chunked: bool, secret: str, status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    pieces = iter([BODY[:20], BODY[20:]]) if chunked else BODY
    connection.request("POST", "/webhook", pieces, signed_headers(secret, BODY), encode_chunked=chunked)
    assert connection.getresponse().status == status
    connection.close()
