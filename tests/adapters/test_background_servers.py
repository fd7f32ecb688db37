"""Work after the answer, in every kind of server: handled, at the end of the server too; or told to be lost; or never accepted."""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from pylon_webhooks.testing import WebhookRequest, sample_payload

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tools"))

from servers import Server, free_port, serve

SECRET = "test-secret"
#: How long whatever must happen may take, seconds; nothing waits so long unless it is broken.
LONG = 60
#: Handled at once.
FREE = "issue_new"
#: Handled once the gate is open.
GATED = "issue_reaction"
LOST = "accepted Pylon webhook events are lost because the app ended before their handlers: 1"
UNWATCHED = "an accepted Pylon webhook event is not handled yet, and is lost if the server ends now"
TRIO = "expected asyncio's event loop, found another one"

APP = """
import asyncio, logging, os, time
from pylon_webhooks import Background, Endpoint, WebhookHandler
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
handler = WebhookHandler("test-secret")
endpoint = Endpoint(handler, background=Background(workers=2))

def waits(event):
    return event.is_named("issue_reaction") and not os.path.exists(os.environ["GATE"])

def note(event):
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(event.event_type + "\\n")

if os.environ["MANNER"] == "plain":
    @handler.on_any
    def handle(event):
        while waits(event):
            time.sleep(0.01)
        note(event)
else:
    @handler.on_any
    async def handle(event):
        # Two at once: each in a loop that works.
        while waits(event):
            await asyncio.sleep(0.01)
        await asyncio.gather(asyncio.sleep(0.05), asyncio.to_thread(time.sleep, 0.05))
        note(event)

def wsgi(environ, start_response, made=[]):
    from pylon_webhooks.wsgi import webhook_app
    made or made.append(webhook_app(endpoint))
    return made[0](environ, start_response)

async def asgi(scope, receive, send, made=[]):
    from pylon_webhooks.asgi import webhook_app
    made or made.append(webhook_app(endpoint))
    return await made[0](scope, receive, send)

def a2wsgi():
    from a2wsgi import WSGIMiddleware
    return WSGIMiddleware(wsgi)

def a2wsgi_late():
    # As an app that is made when a thread of the server needs it.
    from a2wsgi import WSGIMiddleware
    def late(environ, start_response, made=[]):
        from pylon_webhooks.wsgi import webhook_app
        made or made.append(webhook_app(Endpoint(handler, background=Background())))
        return made[0](environ, start_response)
    return WSGIMiddleware(late)

def asgiref():
    from asgiref.wsgi import WsgiToAsgi
    return WsgiToAsgi(wsgi)

def own():
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route
    async def view(request):
        outcome = await endpoint.arespond(request.method, request.headers, await request.body())
        return Response(outcome.body, outcome.status, dict(outcome.headers))
    return Starlette(routes=[Route("/webhook", view, methods=["POST"])])

def flask():
    from flask import Flask
    from pylon_webhooks.flask import webhook_blueprint
    made = Flask("app")
    made.register_blueprint(webhook_blueprint(endpoint))
    return made

def mounted():
    from fastapi import FastAPI
    from pylon_webhooks.fastapi import webhook_router
    inner, outer = FastAPI(), FastAPI()
    inner.include_router(webhook_router(endpoint))
    outer.mount("/inner", inner)
    return outer

def mounted_asgi():
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from pylon_webhooks.asgi import webhook_app
    return Starlette(routes=[Mount("/inner", webhook_app(endpoint))])

def routed():
    from starlette.applications import Starlette
    from pylon_webhooks.starlette import webhook_route
    return Starlette(routes=[webhook_route(endpoint)])

def django():
    from django.conf import settings
    settings.configure(ROOT_URLCONF="app", SECRET_KEY="x", ALLOWED_HOSTS=["127.0.0.1"], MIDDLEWARE=[])
    from django.core.asgi import get_asgi_application
    from django.urls import path
    from pylon_webhooks.django import async_webhook_view, webhook_view
    globals()["urlpatterns"] = [path("webhook", async_webhook_view(endpoint)), path("plain", webhook_view(endpoint))]
    return get_asgi_application()

if os.environ.get("FACTORY"):
    app = globals()[os.environ["FACTORY"]]()
"""
#: For `--factory`: the app is imported when the server has set its handlers of signals already.
LATE_APP = """
def a2wsgi():
    import app
    return app.a2wsgi()

def asgiref():
    import app
    return app.asgiref()

def own():
    import app
    return app.own()
"""
#: What serves the app without a command of its own.
SCRIPTS = {
    "gevent": """
from gevent import monkey; monkey.patch_all()
from gevent.pywsgi import WSGIServer
import app, sys
WSGIServer(("127.0.0.1", int(sys.argv[1])), app.wsgi).serve_forever()
""",
    "eventlet": """
import warnings; warnings.simplefilter("ignore")  # it says that it is deprecated
import eventlet; eventlet.monkey_patch()
from eventlet import wsgi
import app, sys
wsgi.server(eventlet.listen(("127.0.0.1", int(sys.argv[1]))), app.wsgi)
""",
    "wsgiref": """
from wsgiref.simple_server import make_server
import app, sys
make_server("127.0.0.1", int(sys.argv[1]), app.wsgi).serve_forever()
""",
    "uvicorn_run": """
import app, sys, uvicorn
uvicorn.run(app.app, port=int(sys.argv[1]), log_level="warning")
""",
    # Something else in the event loop goes on when uvicorn has ended.
    "uvicorn_beside": """
import asyncio, sys, uvicorn
async def main():
    server = uvicorn.Server(uvicorn.Config("late:a2wsgi", factory=True, port=int(sys.argv[1]), log_level="warning"))
    await asyncio.gather(server.serve(), asyncio.sleep(3600))
asyncio.run(main())
""",
}


@dataclass(frozen=True)
class Case:
    """A server with an app in it."""

    name: str
    #: The package that the server needs, which `requirements/test-main.txt` has.
    package: str
    #: What follows `python -m`, or the name of a script.
    command: str
    factory: str = ""
    path: str = "/webhook"
    #: What the log says of an event that is unfinished when the server is terminated: by manner, where it is not handled.
    lost: tuple[str, ...] = ()
    manners: tuple[str, ...] = ("plain", "async")


_GUNICORN = "gunicorn {app} --bind 127.0.0.1:{port} --log-level warning --no-control-socket"
_UVICORN = "uvicorn {app} --port {port} --log-level warning"
#: Without the hook, SIGTERM ends a worker that answers a request without its exit handlers.
_UWSGI = (
    "pyuwsgi --http-socket 127.0.0.1:{port} --module app:wsgi --need-app --master "
    "--hook-master-start 'unix_signal:15 gracefully_kill_them_all'"
)


def gunicorn(name: str, more: str, app: str = "app:wsgi", package: str = "gunicorn", **options: object) -> Case:
    return Case(f"gunicorn-{name}", package, f"{_GUNICORN.replace('{app}', app)} {more}", **options)  # type: ignore[arg-type]


def uvicorn(name: str, app: str = "app:app", more: str = "", package: str = "uvicorn", **options: object) -> Case:
    return Case(f"uvicorn-{name}", package, f"{_UVICORN.replace('{app}', app)} {more}", **options)  # type: ignore[arg-type]


CASES = [
    gunicorn("sync", "--worker-class sync"),
    gunicorn("preload", "--worker-class gthread --threads 2 --preload"),
    gunicorn("gevent", "--worker-class gevent", package="gevent"),
    gunicorn("gevent-preload", "--worker-class gevent --preload", package="gevent"),
    # It cancels what its requests leave behind.
    gunicorn("asgi", "--worker-class asgi", "app:app", factory="mounted", path="/inner/webhook", lost=("async",)),
    Case("gevent.pywsgi", "gevent", "gevent"),
    Case("eventlet.wsgi", "eventlet", "eventlet"),
    Case("wsgiref", "wsgiref", "wsgiref", manners=("plain",)),
    Case("flask-run", "flask", "flask --app app:app run --port {port}", factory="flask"),
    Case("waitress", "waitress", "waitress --listen 127.0.0.1:{port} app:wsgi"),
    Case("cheroot", "cheroot", "cheroot --bind 127.0.0.1:{port} app:wsgi"),
    Case("uwsgi", "pyuwsgi", _UWSGI),
    Case("uwsgi-lazy-threads", "pyuwsgi", f"{_UWSGI} --lazy-apps --threads 2", manners=("plain",)),
    uvicorn("asgi", "app:asgi"),
    uvicorn("lifespan-off", "app:asgi", "--lifespan off"),
    uvicorn("mounted", factory="mounted", path="/inner/webhook"),
    uvicorn("mounted-asgi", factory="mounted_asgi", path="/inner/"),
    uvicorn("routed", factory="routed", manners=("async",)),
    # What is made when uvicorn has set its handlers of signals already.
    uvicorn("workers-a2wsgi", more="--workers 2", package="a2wsgi", factory="a2wsgi", manners=("plain",)),
    uvicorn("factory-a2wsgi", "late:a2wsgi", "--factory", package="a2wsgi"),
    uvicorn("factory-asgiref", "late:asgiref", "--factory", package="asgiref", manners=("plain",)),
    uvicorn("factory-own-view", "late:own", "--factory", manners=("plain",)),
    Case("uvicorn-beside", "a2wsgi", "uvicorn_beside", manners=("plain",)),
    gunicorn(
        "uvicorn", "-k uvicorn_worker.UvicornWorker", "app:app", "uvicorn_worker", factory="own", manners=("plain",)
    ),
    gunicorn(
        "uvicorn-preload",
        "-k uvicorn_worker.UvicornWorker --preload",
        "app:app",
        "uvicorn_worker",
        factory="own",
        manners=("plain",),
    ),
    uvicorn("django", factory="django"),
    uvicorn("django-plain-view", factory="django", path="/plain", manners=("plain",)),
    Case("uvicorn.run-mounted", "uvicorn", "uvicorn_run", factory="mounted", path="/inner/webhook"),
    Case("hypercorn", "hypercorn", "hypercorn app:asgi --bind 127.0.0.1:{port}", manners=("async",)),
    Case(
        "hypercorn-mounted",
        "hypercorn",
        "hypercorn app:app --bind 127.0.0.1:{port}",
        factory="mounted",
        path="/inner/webhook",
    ),
    # Daphne knows no lifespan, and ends its event loop with the tasks that are in it.
    Case("daphne", "daphne", "daphne app:asgi --bind 127.0.0.1 --port {port}", lost=("async",)),
]


def command_of(case: Case, folder: Path, port: int) -> list[str]:
    if case.command in SCRIPTS:
        script = folder / "serving.py"
        script.write_text(SCRIPTS[case.command])
        return [sys.executable, str(script), str(port)]
    program, *arguments = shlex.split(case.command.format(port=port))
    if program == "pyuwsgi":
        # A program, and no module that `python -m` runs.
        return [str(Path(sys.executable).parent / program), *arguments]
    return [sys.executable, "-m", program, *arguments]


def environment_of(folder: Path, manner: str, factory: str) -> dict[str, str]:
    (folder / "app.py").write_text(APP)
    (folder / "late.py").write_text(LATE_APP)
    (folder / "seen").touch()
    return {
        "GATE": str(folder / "gate"),
        "SEEN": str(folder / "seen"),
        "MANNER": manner,
        "FACTORY": factory,
        "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
        # Its own lookups need packages that do not get on with it.
        "EVENTLET_NO_GREENDNS": "yes",
    }


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"no {package} for this Python: `make test-tools` installs it where it can be had")


def post(server: Server, path: str, kind: str) -> int:
    request = WebhookRequest(sample_payload(kind), secret=SECRET)
    return server.post(path, request.body, request.headers)


def wait_until_handled(folder: Path, expected: list[str], server: Server) -> None:
    deadline = time.monotonic() + LONG
    while (seen := sorted((folder / "seen").read_text().split())) != expected:
        assert time.monotonic() < deadline, (seen, expected)
        assert server.process.poll() is None, "the server has ended"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("case", "manner"),
    [pytest.param(case, manner, id=f"{case.name}-{manner}") for case in CASES for manner in case.manners],
)
def test_what_is_accepted_is_handled_at_once_and_when_the_server_is_terminated(
    case: Case, manner: str, tmp_path: Path
) -> None:
    needs(case.package)
    port = free_port()
    environment = environment_of(tmp_path, manner, case.factory)
    with serve(command_of(case, tmp_path, port), port, str(tmp_path), **environment) as server:
        assert [post(server, case.path, FREE) for _ in range(3)] == [200] * 3
        # No further request comes, which might give the handlers their turn.
        wait_until_handled(tmp_path, [FREE] * 3, server)
        assert post(server, case.path, GATED) == 200
        server.process.send_signal(signal.SIGTERM)
        # A server that waits for nothing is gone by then.
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(timeout=0.5)
        if manner not in case.lost:
            (tmp_path / "gate").touch()
        server.process.wait(timeout=LONG)
    handled = (tmp_path / "seen").read_text().split()[3:]
    if manner in case.lost:
        assert handled == []
        assert LOST in server.rest
    else:
        assert handled == [GATED], server.rest
        assert LOST not in server.rest


def test_a_handler_that_hangs_holds_a_server_up_no_longer_than_drain_seconds_and_is_told(tmp_path: Path) -> None:
    port = free_port()
    environment = environment_of(tmp_path, "async", "mounted")
    (tmp_path / "app.py").write_text(APP.replace("workers=2", "workers=2, drain_seconds=1"))
    case = uvicorn("mounted")
    with serve(command_of(case, tmp_path, port), port, str(tmp_path), **environment) as server:
        assert post(server, "/inner/webhook", GATED) == 200
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=LONG)
    assert (tmp_path / "seen").read_text() == ""
    assert f"ERROR pylon_webhooks {UNWATCHED}" in server.rest


UWSGI = (
    "uWSGI with `gevent`, `asyncio` or `async` ends without waiting for `Background`: "
    "use `threads` in uWSGI's configuration instead"
)
LATE = (
    "uvicorn ends this process without waiting for `Background`, whose endpoint was made in another thread or process: "
    "make the endpoint where the app is imported, and do not preload it"
)
REFUSING = {
    "uwsgi-gevent": (Case("", "pyuwsgi", f"{_UWSGI} --enable-threads --gevent 5"), UWSGI),
    "uvicorn-late": (uvicorn("", package="a2wsgi", factory="a2wsgi_late"), LATE),
    "gunicorn-uvicorn-preload-a2wsgi": (
        gunicorn("", "-k uvicorn_worker.UvicornWorker --preload", "app:app", "uvicorn_worker", factory="a2wsgi"),
        LATE,
    ),
}


@pytest.mark.parametrize(("case", "reason"), REFUSING.values(), ids=REFUSING)
def test_a_server_that_would_not_wait_accepts_nothing_and_says_what_to_change(
    case: Case, reason: str, tmp_path: Path
) -> None:
    needs(case.package)
    port = free_port()
    environment = environment_of(tmp_path, "plain", case.factory)
    if case.factory == "a2wsgi_late":
        # Else uvicorn finds what the one of the import has set.
        made = "endpoint = Endpoint(handler, background=Background(workers=2))"
        (tmp_path / "app.py").write_text(APP.replace(made, ""))
    with serve(command_of(case, tmp_path, port), port, str(tmp_path), **environment) as server:
        assert [post(server, case.path, FREE) for _ in range(2)] == [503] * 2
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(timeout=LONG)
    assert (tmp_path / "seen").read_text() == ""
    assert server.rest.count(f"ERROR pylon_webhooks Pylon webhook turned away: {reason}") == 2


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux lists threads here")
@pytest.mark.parametrize("path", ["/webhook", "/plain"])
def test_events_that_wait_hold_no_threads_in_django(path: str, tmp_path: Path) -> None:
    port = free_port()
    environment = environment_of(tmp_path, "plain", "django")
    case = uvicorn("django")
    with serve(command_of(case, tmp_path, port), port, str(tmp_path), **environment) as server:
        threads = Path(f"/proc/{server.process.pid}/task")
        assert post(server, path, GATED) == 200
        before = len([*threads.iterdir()])
        assert [post(server, path, GATED) for _ in range(60)] == [200] * 60
        assert len([*threads.iterdir()]) < before + 10
        server.process.send_signal(signal.SIGTERM)
        (tmp_path / "gate").touch()
        server.process.wait(timeout=LONG)
    assert (tmp_path / "seen").read_text().split() == [GATED] * 61


def test_hypercorn_that_cuts_requests_short_raises_no_false_alarm_about_threads(tmp_path: Path) -> None:
    needs("hypercorn")
    port = free_port()
    environment = environment_of(tmp_path, "plain", "mounted")
    command = ["hypercorn", "app:app", "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "0"]
    with serve([sys.executable, "-m", *command], port, str(tmp_path), **environment) as server:
        assert post(server, "/inner/webhook", GATED) == 200
        server.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(timeout=1)
        (tmp_path / "gate").touch()
        server.process.wait(timeout=LONG)
    assert (tmp_path / "seen").read_text().split() == [GATED]
    assert UNWATCHED not in server.rest


@pytest.mark.parametrize("manner", ["plain", "async"])
def test_trio_is_turned_away_with_an_error_in_the_log(manner: str, tmp_path: Path) -> None:
    needs("trio")
    port = free_port()
    environment = environment_of(tmp_path, manner, "mounted")
    command = [sys.executable, "-m", "hypercorn", "app:app", "--bind", f"127.0.0.1:{port}", "--worker-class", "trio"]
    with serve(command, port, str(tmp_path), **environment) as server:
        assert [post(server, "/inner/webhook", FREE) for _ in range(2)] == [503] * 2
        assert server.post("/inner/webhook", b"{}", {}) == 401
    assert (tmp_path / "seen").read_text() == ""
    assert server.rest.count(f"ERROR pylon_webhooks Pylon webhook turned away: {TRIO}") == 2


@pytest.mark.parametrize("factory", ["", "lifespan"])
def test_an_app_that_trio_would_run_alone_does_not_start(factory: str, tmp_path: Path) -> None:
    needs("trio")
    port = free_port()
    environment = {**os.environ, **environment_of(tmp_path, "async", factory)}
    (tmp_path / "app.py").write_text(
        APP.replace(
            "def mounted():",
            """def lifespan():
    from fastapi import FastAPI
    from pylon_webhooks.fastapi import webhook_router
    made = FastAPI()
    made.include_router(webhook_router(endpoint))
    return made

def mounted():""",
        )
    )
    app = "app:app" if factory else "app:asgi"
    command = [sys.executable, "-m", "hypercorn", app, "--bind", f"127.0.0.1:{port}", "--worker-class", "trio"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=LONG
    )
    assert TRIO in done.stdout + done.stderr
