"""Runs every code block of the pages at the root, in docs, in deploy and in benchmarks, and checks links and pictures.

A comment right above a block says what to do with it, unless its language says so already:

    <!-- docs: server uvicorn -->      an app: the named server starts it, and it must answer 200, 401, 401 and 400 to an
                                       authentic delivery, a forged one, one without a signature and one that is not JSON;
                                       also gunicorn, flask, aiohttp, django and django-async (the block is urls.py),
                                       functions-framework, and python for an app that is its own server
    <!-- docs: server -->              the same of a Rust program
    <!-- docs: pytest -->              a file of tests, which must pass
    <!-- docs: output -->              what the block before it prints
    <!-- docs: template issue_new -->  the body to paste for this kind of event
    <!-- docs: fresh environment -->   shell commands, run at the root of the repository with a new virtual environment
    <!-- docs: delivery uvicorn -->    shell commands that start the app above and send it a delivery, which must be handled
    <!-- docs: serve -->               shell commands that start a receiver, which runs until the page ends
    <!-- docs: serve NAME -->          the same of a further receiver, whose addresses the commands say
    <!-- docs: stopped -->             shell commands that run once that receiver has ended; `stopped NAME` of a further one
    <!-- docs: killed NAME -->         shell commands that run once that receiver was killed
    <!-- docs: app -->                 a FastAPI app behind that receiver, or the shell commands that start the app above;
                                       it runs until the page ends
    <!-- docs: file NAME -->           a file that later blocks of the page use: Python modules stand beside the app, Rust
                                       modules beside the program, all others in the folder of the shell
    <!-- docs: server receiver -->     a Rust program that is a receiver: 200, 401, 401 and 200, and its handler must print
    <!-- docs: not run: reason -->     nothing

Python blocks of a page share their names, in the order of the page. Rust blocks are whole programs. Shell blocks of a page share
a folder; an `output` can follow them too, compared with ids and times masked. TOML blocks are configurations of the receiver,
which must hold. SQL blocks run as the superuser of a PostgreSQL that the page then has; where there is none, the rest is left out.

Usage: python tools/run_docs.py [--renew] [PAGE...]        all pages unless named; exit status 0 when all hold

With `--renew`, an `output` or a `template` that no longer holds is replaced by what is printed now, and the picture in README is
drawn anew.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import picture
from debian_programs import MissingProgram, is_demanded
from pages import ROOT, faults, pages
from receiver_shell import ADMIN, WEBHOOKS, ReceiverShell, masked
from servers import Server, free_port, serve

from pylon_webhooks import template
from pylon_webhooks.testing import sample_payload, signed_headers

SECRET = "your-webhook-secret"
#: The address that the documented servers listen on; replaced by a free port.
ADDRESS = "127.0.0.1:8000"
_BLOCK = re.compile(
    r"(?:^<!-- docs: (?P<order>[^\n]*?) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
_RUST_MANIFEST = """
[package]
name = "documented"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
actix-web = {{ version = "{versions[actix-web]}", default-features = false, features = ["macros"] }}
axum = {{ version = "{versions[axum]}", default-features = false, features = ["tokio", "http1"] }}
hyper-util = {{ version = "{versions[hyper-util]}", features = ["server-auto", "service", "tokio"] }}
pylon-webhooks = {{ path = "{core}", features = ["actix-web", "axum", "background", "proptest"] }}
pylon-receiver = {{ path = "{receiver}" }}
proptest = {{ version = "{versions[proptest]}", default-features = false, features = ["std"] }}
serde = {{ version = "1", features = ["derive"] }}
tokio = {{ version = "1", features = ["macros", "rt-multi-thread", "net", "signal", "time"] }}
tracing-subscriber = {{ version = "{versions[tracing-subscriber]}", default-features = false, features = ["fmt"] }}
"""


@dataclass
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    order: str
    code: str
    #: The files that the page has named before it, by name.
    files: dict[str, str]

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text()
    if text.count("\n```") % 2:
        raise SystemExit(f"{page}: a block is not closed")
    if re.search(r"^ +```", text, re.MULTILINE):
        raise SystemExit(f"{page}: an indented block would not run; take it out of the list")
    files: dict[str, str] = {}
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("code"))
        block = Block(page, line, match["language"], match["order"] or "", match["code"], dict(files))
        found.append(block)
        if block.order.startswith("file "):
            files[block.order.removeprefix("file ")] = block.code
    return found


def write_files(block: Block, folder: Path, without: str = "") -> None:
    """Write the files that the page has named before a block; `without` is a folder that their names leave out."""
    for name, code in block.files.items():
        file = folder / name.removeprefix(without)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)


class Outdated(AssertionError):
    """A block shows another text than what is printed now."""

    def __init__(self, printed: str) -> None:
        super().__init__(f"printed was\n{printed}")
        self.printed = printed.strip("\n") + "\n"


def renew(path: Path, found: list[tuple[Block, Outdated]]) -> None:
    """Replace the blocks of a page that are outdated, the last one first, so that the lines of the others stay."""
    lines = path.read_text().splitlines(keepends=True)
    for block, outdated in reversed(found):
        lines[block.line : block.line + block.code.count("\n")] = [outdated.printed]
    path.write_text("".join(lines))


class Page:
    """What the Python blocks of a page have in common."""

    def __init__(self) -> None:
        self.module = ModuleType("documented")
        sys.modules["documented"] = self.module
        self.printed = ""
        self.app: Block | None = None
        #: Why the rest of it is left out; empty: it is not.
        self.lack = ""
        self._shell: ReceiverShell | None = None

    @property
    def shell(self) -> ReceiverShell:
        """What its shell blocks run in."""
        self._shell = self._shell or ReceiverShell()
        return self._shell

    def close(self) -> None:
        """End what its shell blocks started."""
        if self._shell is not None:
            self._shell.close()

    def run(self, block: Block) -> None:
        """Run a Python block after those before it."""
        out = io.StringIO()
        # Blank lines in front keep the line numbers of the page.
        code = compile("\n" * block.line + block.code, str(block.page), "exec", dont_inherit=True)
        with contextlib.redirect_stdout(out):
            exec(code, self.module.__dict__)  # noqa: S102 - running what is documented is what this is for
        self.printed = out.getvalue()


def exercise(server: Server, not_json: int = 400) -> None:
    """An app must take an authentic delivery and refuse a forged one, an unsigned one, and one that is not JSON."""
    new, oops = sample_payload("issue_new"), b"oops"
    cases = [
        (200, new, signed_headers(SECRET, new)),
        (401, new, signed_headers("another-secret", new)),
        (401, new, {}),
        (not_json, oops, signed_headers(SECRET, oops)),
    ]
    for expected, body, headers in cases:
        status = server.post("/webhook", body, headers)
        assert status == expected, f"the app answered {status}, not {expected}"


#: What starts an app that stands in `app.py`, by the server's name; the port comes last.
SERVERS = {
    "uvicorn": ["-m", "uvicorn", "app:app", "--port"],
    "gunicorn": ["-m", "gunicorn", "app:app", "--bind", "127.0.0.1:{port}"],
    "flask": ["-m", "flask", "--app", "app.py", "run", "--port"],
    "aiohttp": ["-m", "aiohttp.web", "app:app", "-H", "127.0.0.1", "-P"],
    "django": ["site_.py", "runserver", "--noreload"],
    "django-async": ["-m", "uvicorn", "site_:app", "--lifespan", "off", "--port"],
    "functions-framework": ["-m", "functions_framework", "--source", "app.py", "--target", "webhook", "--port"],
    # The app reads the variable `PORT`.
    "python": ["app.py", "{port}"],
}
#: The project around a documented `urls.py`.
_DJANGO_SITE = """
import sys
from django.conf import settings
settings.configure(ROOT_URLCONF="app", SECRET_KEY="x", ALLOWED_HOSTS=["127.0.0.1"], MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"])
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
app = get_asgi_application()
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""


def serve_python(block: Block, runner: str) -> None:
    """Start a documented app with the server it is meant for."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        write_files(block, Path(folder))
        Path(folder, "app.py").write_text(block.code)
        Path(folder, "site_.py").write_text(_DJANGO_SITE)
        command = [sys.executable, *(part.format(port=port) for part in SERVERS[runner])]
        if command == [sys.executable, *SERVERS[runner]]:
            command.append(str(port))
        with serve(command, port, folder, PYTHONPATH=folder, PYLON_WEBHOOK_SECRET=SECRET, PORT=str(port)) as server:
            exercise(server)


def run_pytest(block: Block, page: Page) -> None:
    """Run documented tests; the app that stands above them is theirs."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(block, Path(folder))
        if page.app is not None:
            Path(folder, "app.py").write_text(page.app.code)
        Path(folder, "test_documented.py").write_text(block.code)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_documented.py"]
        environment = {**os.environ, "PYTHONPATH": folder, "PYLON_WEBHOOK_SECRET": SECRET}
        done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def exercise_receiver(server: Server) -> None:
    """A receiver must take an authentic delivery, and its handler must print; one that is not JSON it keeps."""
    exercise(server, not_json=200)
    overdue = threading.Timer(30, server.kill)
    overdue.start()
    printed: list[str] = []
    while not printed or "New issue: " not in printed[-1]:
        printed.append(server.line())
        assert printed[-1], f"the handler did not print; printed was {printed}"
    overdue.cancel()


def run_rust(found: list[Block]) -> None:
    """Build all Rust blocks at once, then run each."""
    core, receiver = ROOT / "crates" / "pylon-webhooks", ROOT / "crates" / "pylon-receiver"
    dependencies = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["dependencies"]
    versions = {name: needed["version"] for name, needed in dependencies.items() if "version" in needed}
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    ports = [free_port() for _ in found]
    with tempfile.TemporaryDirectory() as folder:
        crate = Path(folder)
        (crate / "src" / "bin").mkdir(parents=True)
        (crate / "Cargo.toml").write_text(_RUST_MANIFEST.format(versions=versions, core=core, receiver=receiver))
        (crate / "Cargo.lock").write_bytes((ROOT / "Cargo.lock").read_bytes())
        for number, (block, port) in enumerate(zip(found, ports, strict=True)):
            own = f"127.0.0.1:{port}"
            code = block.code.replace(ADDRESS, own).replace(WEBHOOKS, own).replace(ADMIN, "127.0.0.1:0")
            source = crate / "src" / "bin" / f"block{number}"
            source.mkdir()
            (source / "main.rs").write_text(code)
            write_files(block, source, without="src/")
        environment = {**os.environ, "CARGO_TARGET_DIR": str(target / "documented"), "RUSTFLAGS": "-D warnings"}
        subprocess.run(
            ["cargo", "build", "--quiet", "--manifest-path", crate / "Cargo.toml"], check=True, env=environment
        )
        for number, (block, port) in enumerate(zip(found, ports, strict=True)):
            program = str(target / "documented" / "debug" / f"block{number}")
            if block.order in ("server", "server receiver"):
                with serve([program], port, folder, PYLON_WEBHOOK_SECRET=SECRET) as server:
                    exercise_receiver(server) if block.order == "server receiver" else exercise(server)
            else:
                subprocess.run([program], check=True, stdout=subprocess.DEVNULL)
            print(f"ok    {block.place}")


def run_in_fresh_environment(block: Block) -> None:
    """Run shell commands as a newcomer would, with a virtual environment of their own."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        path = f"{folder}/bin:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "VIRTUAL_ENV": folder}
        subprocess.run(
            ["bash", "-e", "-c", block.code], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
        )


def deliver(block: Block, app: Block) -> None:
    """Run shell commands beside the app that stands above them; its handler must have printed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "app.py").write_text(app.code)
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        code = block.code.replace(ADDRESS, f"127.0.0.1:{(port := free_port())}").replace(
            "--port 8000", f"--port {port}"
        )
        # Whatever fails, the app must not outlive the block.
        code = f"trap 'kill $(jobs -p) 2>/dev/null' EXIT\n{code}"
        environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
        done = subprocess.run(
            ["bash", "-e", "-c", code],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "New issue: Export fails" in done.stdout, f"printed was {done.stdout!r} and {done.stderr!r}"


def run(block: Block, page: Page) -> None:
    """Do what the block's language and its comment say; Rust is left to `run_rust`."""
    match block.order.split():
        case ["server", runner]:
            page.app = block
            serve_python(block, runner)
        case ["delivery", _]:
            assert page.app is not None, "no app stands above it"
            deliver(block, page.app)
        case ["pytest"]:
            run_pytest(block, page)
        case ["output"]:
            if masked(page.printed) != masked(block.code):
                raise Outdated(page.printed)
        case ["serve", *names]:
            page.shell.serve(block.code, *names)
        case ["app"] if block.language == "sh":
            assert page.app is not None, "no app stands above it"
            page.shell.keep("app.py", page.app.code)
            page.shell.start_app(block.code)
        case ["app"]:
            page.shell.serve_app(block.code)
        case ["stopped", *names]:
            page.shell.stop(names[0] if names else "receiver")
            page.printed = page.shell.run(block.code)
        case ["killed", name]:
            page.shell.stop(name, signal.SIGKILL)
            page.printed = page.shell.run(block.code)
        case ["file", _] if block.language == "python":
            compile(block.code, str(block.page), "exec", dont_inherit=True)
        case ["file", name]:
            page.shell.keep(name, block.code)
            if block.language == "toml":
                page.shell.check(block.code)
        case ["template", kind]:
            if block.code != template(kind):
                raise Outdated(template(kind))
        case ["fresh", "environment"]:
            run_in_fresh_environment(block)
        case [] if block.language == "python":
            page.run(block)
        case [] if block.language == "sh":
            page.printed = page.shell.run(block.code)
        case [] if block.language == "sql":
            page.shell.sql(block.code)
        case [] if block.language == "toml":
            page.shell.check(block.code)
        case [] if block.language == "json":
            json.loads(block.code)
        case _:
            raise AssertionError(f"nobody knows how to run this {block.language} block: {block.order!r}")


def main() -> int:
    """Run all pages; how it went, block by block."""
    os.environ["PYLON_WEBHOOK_SECRET"] = SECRET
    rust: list[Block] = []
    renews = "--renew" in sys.argv[1:]
    named = {Path(name).resolve() for name in sys.argv[1:] if name != "--renew"}
    if renews:
        picture.renew()
    found = [*faults(), *picture.difference()]
    for fault in found:
        print(f"FAIL  {fault}")
    failed = len(found)
    for path in pages():
        if named and path not in named:
            continue
        page = Page()
        outdated: list[tuple[Block, Outdated]] = []
        for block in blocks(path):
            if block.order.startswith("not run: "):
                print(f"left  {block.place}: {block.order.removeprefix('not run: ')}")
                continue
            missing = [
                tool
                for tool in ("curl", "openssl")
                if block.language == "sh" and f"{tool} " in block.code and not shutil.which(tool)
            ]
            if missing:
                print(f"left  {block.place}: this machine has no {' and no '.join(missing)}")
                continue
            if page.lack:
                print(f"left  {block.place}: {page.lack}")
                continue
            if block.language == "rust":
                if not block.order.startswith("file "):
                    rust.append(block)
                continue
            try:
                run(block, page)
                print(f"ok    {block.place}")
            except MissingProgram as error:
                page.lack = str(error)
                failed += is_demanded()
                print(f"{'FAIL' if is_demanded() else 'left'}  {block.place}: {error}")
            except Outdated as error:
                outdated.append((block, error))
                failed += not renews
                print(f"{'new ' if renews else 'FAIL'}  {block.place}: {error}")
            except Exception as error:  # noqa: BLE001 - a block may fail in any way; report them all
                failed += 1
                print(f"FAIL  {block.place}: {type(error).__name__}: {error}")
        page.close()
        if renews:
            renew(path, outdated)
    if rust:
        run_rust(rust)
    print(f"{failed} failed" if failed else "every block ran")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
