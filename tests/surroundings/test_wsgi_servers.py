"""Work after the answer in the WSGI servers of Debian's packages, with the settings that the documentation gives."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from programs import debian_program, environment_of_programs

import pylon_webhooks
from pylon_webhooks.testing import WebhookRequest, sample_payload

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from servers import free_port, post, wait_until_it_listens

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a secret of the surroundings"
#: How long whatever must happen may take, seconds; nothing waits so long unless it is broken.
LONG = 60
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "frameworks" / "servers.md"
NO_THREADS = "uWSGI runs no threads of the app's, so `Background` cannot work: set `enable-threads = true` in uWSGI's configuration"
LOST = "ERROR pylon_webhooks accepted Pylon webhook events are lost because the app ended before their handlers: 1"
APP = """
import logging, os, sys, time
sys.path.insert(0, {packages!r})
from pylon_webhooks import Background, Endpoint, WebhookHandler
from pylon_webhooks.wsgi import webhook_app
logging.basicConfig(format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)
handler = WebhookHandler({secret!r})
endpoint = Endpoint(handler, background=Background(workers=2))

@handler.on_any
def handle(event):
    while event.is_named("issue_reaction") and not os.path.exists({gate!r}):
        time.sleep(0.01)
    with open({seen!r}, "a") as seen:
        seen.write(event.event_type + "\\n")

app = application = webhook_app(endpoint)
"""


class Site:
    """A folder with the app, which whoever the server runs as may read and write, and what the server prints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # The user that a server changes to may not read where the tests' own packages are.
        packages = folder / "packages"
        shutil.copytree(Path(pylon_webhooks.__file__).parent, packages / "pylon_webhooks")
        self.gate, self.seen, self.log = folder / "gate", folder / "seen", folder / "log"
        (folder / "app.py").write_text(
            APP.format(packages=str(packages), secret=SECRET, gate=str(self.gate), seen=str(self.seen))
        )
        self.seen.touch()
        self.seen.chmod(0o666)
        self.port = free_port()

    @contextmanager
    def serve(self, *command: str | Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Start a server, wait until it listens, end it when the block ends."""
        with self.log.open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**environment_of_programs(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )
        try:
            wait_until_it_listens(process, self.port)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=LONG)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def post(self, kind: str) -> int:
        request = WebhookRequest(sample_payload(kind), secret=SECRET)
        return post(self.port, "/webhook", request.body, request.headers)

    def wait_until_handled(self, kinds: list[str]) -> None:
        deadline = time.monotonic() + LONG
        while (seen := self.seen.read_text().split()) != kinds:
            assert time.monotonic() < deadline, (seen, self.log.read_text())
            time.sleep(0.01)


@pytest.fixture
def site() -> Iterator[Site]:
    # Not pytest's own folder, which is for nobody but its user.
    with tempfile.TemporaryDirectory(prefix="pylon-webhooks-") as folder:
        Path(folder).chmod(0o755)
        yield Site(Path(folder))


def block(language: str) -> str:
    """The block of the page in this language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def python_home(root: Path) -> dict[str, str]:
    """The Python of an unpacked package finds its library where it was unpacked."""
    library = sorted(root.glob("usr/lib/python3.*/os.py"))
    return {"PYTHONHOME": str(root / "usr")} if library and root != Path("/") else {}


def module_of(root: Path, pattern: str) -> Path:
    """A server's module for a Python that the package is for."""
    for found in sorted(root.glob(pattern)):
        version = re.search(r"3\.?(\d+)", found.name)
        if version is not None and int(version[1]) >= 11:
            return found
    pytest.skip(f"no {pattern} for Python 3.11 or later")


def uwsgi() -> tuple[list[str | Path], dict[str, str]]:
    """The command that runs uWSGI with Debian's Python."""
    program = debian_program("uwsgi-core")
    root = program.parents[2]
    plugin = module_of(root, "usr/lib/uwsgi/plugins/python3*_plugin.so")
    return [program, "--plugin", plugin], python_home(root)


def apache(site: Site, settings: str) -> tuple[list[str | Path], dict[str, str]]:
    """The command that runs Apache with mod_wsgi and these settings, not as root."""
    program = debian_program("apache2")
    root = program.parents[2]
    modules = root / "usr" / "lib" / "apache2" / "modules"
    module = module_of(root, "usr/lib/apache2/modules/mod_wsgi.so-3*")
    user = pwd.getpwnam("nobody")
    lines = [
        f"ServerRoot {site.folder}",
        f"DefaultRuntimeDir {site.folder}",
        f"PidFile {site.folder / 'pid'}",
        f"Listen 127.0.0.1:{site.port}",
        "ServerName localhost",
        f"LoadModule mpm_event_module {modules / 'mod_mpm_event.so'}",
        f"LoadModule authz_core_module {modules / 'mod_authz_core.so'}",
        f"LoadModule wsgi_module {module}",
        # Its own place is a folder that an installed Apache makes.
        f"WSGISocketPrefix {site.folder / 'wsgi'}",
        f"ErrorLog {site.log}",
        *([f"User {user.pw_name}", f"Group #{user.pw_gid}"] if os.geteuid() == 0 else []),
        settings.replace("/srv/app", str(site.folder)),
    ]
    configuration = site.folder / "httpd.conf"
    configuration.write_text("\n".join(lines))
    return [program, "-f", configuration, "-DFOREGROUND"], python_home(root)


def accept_and_end(site: Site, process: subprocess.Popen[str]) -> None:
    """Send events, end the server while one is being handled, and see that each was handled."""
    assert [site.post("issue_new") for _ in range(3)] == [200] * 3
    site.wait_until_handled(["issue_new"] * 3)
    assert site.post("issue_reaction") == 200
    process.send_signal(signal.SIGTERM)
    site.gate.touch()
    process.wait(timeout=LONG)
    assert site.seen.read_text().split()[3:] == ["issue_reaction"], site.log.read_text()


def test_uwsgi_with_the_documented_settings_handles_what_it_accepts(site: Site) -> None:
    command, environment = uwsgi()
    settings = site.folder / "uwsgi.ini"
    settings.write_text(block("ini").replace("127.0.0.1:8000", f"127.0.0.1:{site.port}"))
    with site.serve(*command, "--ini", settings, **environment) as process:
        accept_and_end(site, process)


def test_uwsgi_without_threads_accepts_nothing_and_says_what_to_set(site: Site) -> None:
    command, environment = uwsgi()
    settings = ["--module", "app:app", "--http-socket", f"127.0.0.1:{site.port}", "--master", "--die-on-term"]
    with site.serve(*command, *settings, **environment):
        statuses = [site.post("issue_new") for _ in range(2)]
    log = site.log.read_text()
    if "threads support enabled" in log:
        pytest.skip("this uWSGI always runs threads")
    assert statuses == [503] * 2
    assert site.seen.read_text() == ""
    assert log.count(f"ERROR pylon_webhooks every Pylon webhook will be turned away: {NO_THREADS}") == 1
    assert log.count(f"ERROR pylon_webhooks Pylon webhook turned away: {NO_THREADS}") == 2


def test_mod_wsgi_with_the_documented_settings_handles_what_it_accepts(site: Site) -> None:
    command, environment = apache(site, block("apache"))
    with site.serve(*command, **environment) as process:
        accept_and_end(site, process)


def test_what_apache_kills_is_told_to_be_lost(site: Site) -> None:
    command, environment = apache(site, block("apache"))
    with site.serve(*command, **environment):
        assert site.post("issue_reaction") == 200
    assert site.seen.read_text() == ""
    assert LOST in site.log.read_text()
