"""The servers that the tests ask."""

from __future__ import annotations

import sys

from running import Kind, bridged, gunicorn, hypercorn, in_server, rust, uvicorn, uwsgi, waitress

#: Where the adapter can know that the app itself has read the body, and where a sender that hung up looks the same.
_KNOWS = {"reads": True, "consumed": 500}
_GUESSES = {"reads": True, "consumed": 400}
_WORKERS = (("sync",), ("gthread", "--threads", "4"))
_TENANT, _BELOW = "/t/acme/webhook", "/below/42"
AIOHTTP = Kind(
    "aiohttp", (sys.executable, "-m", "served.aiohttp", "{port}"), paths=(_TENANT, _BELOW), unpacks=True, **_KNOWS
)
_WSGI = ("wsgi:app", "flask:app", "django:wsgi")

PYTHON = [
    uvicorn("asgi:app"),
    uvicorn("starlette:app", paths=(_TENANT,), **_GUESSES),
    uvicorn("fastapi:app", paths=(_TENANT, _BELOW, "/bare"), **_GUESSES),
    uvicorn("fastapi_dependency:app", function="fastapi", **_GUESSES),
    uvicorn("mounted_starlette:app", **_GUESSES),
    uvicorn("mounted_fastapi:app", **_GUESSES),
    uvicorn("mounted_litestar:app"),
    uvicorn("mounted_quart:app"),
    uvicorn("django:asgi", path="/async", paths=("/t/acme/async", "/below/42/async"), **_KNOWS),
    uvicorn("django:asgi", "_sync_view", paths=(_TENANT, _BELOW), **_KNOWS),
    *(gunicorn("wsgi:app", *worker, **_GUESSES) for worker in _WORKERS),
    *(gunicorn("flask:app", *worker, paths=(_TENANT, _BELOW), **_KNOWS) for worker in _WORKERS),
    *(
        gunicorn("flask_decorator:app", *worker, function="flask", paths=("/method/acme", "/decorated/acme"), **_KNOWS)
        for worker in _WORKERS
    ),
    *(gunicorn("django:wsgi", *worker, paths=(_TENANT, _BELOW), **_KNOWS) for worker in _WORKERS),
    gunicorn(
        "django:wsgi", "sync", view="_async_view", path="/async", paths=("/t/acme/async", "/below/42/async"), **_KNOWS
    ),
    AIOHTTP,
]
#: WSGI servers that give an app no body without a declared length.
WITHHOLDING = [
    *(uwsgi(app) for app in _WSGI),
    uwsgi("wsgi:app", "--http", "127.0.0.1:{port}"),
    uwsgi("wsgi:app", "--http-chunked-input", "--http", "127.0.0.1:{port}"),
    *(in_server("wsgiref", app, withholds=True) for app in _WSGI),
    in_server("eventlet", "wsgi:app", withholds=True),
    hypercorn("wsgi:app"),
    *(bridged(bridge, app) for bridge in ("a2wsgi", "asgiref") for app in ("wsgi", "flask", "django")),
]
#: WSGI servers that give it.
GIVING = [
    *(waitress(app) for app in _WSGI),
    *(gunicorn(app, "sync") for app in _WSGI),
    *(in_server(server, "wsgi:app") for server in ("cheroot", "gevent")),
]
RUST = [
    rust("axum"),
    rust("tower"),
    rust("actix-web"),
    rust("axum-extractor"),
    rust("actix-web-extractor"),
]
