"""An app in a WSGI server that has no command of its own: `python -m served.in_server SERVER MODULE:NAME PORT`."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any


def in_wsgiref(app: Any, port: int) -> None:
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", port, app).serve_forever()


def in_gevent(app: Any, port: int) -> None:
    from gevent.pywsgi import WSGIServer

    WSGIServer(("127.0.0.1", port), app).serve_forever()


def in_eventlet(app: Any, port: int) -> None:
    # Its DNS loads trio where that is installed, and trio does not bear eventlet's sockets.
    os.environ["EVENTLET_NO_GREENDNS"] = "yes"
    import eventlet.wsgi

    eventlet.wsgi.server(eventlet.listen(("127.0.0.1", port)), app)


def in_cheroot(app: Any, port: int) -> None:
    from cheroot.wsgi import Server

    Server(("127.0.0.1", port), app).start()


if __name__ == "__main__":
    module, _, name = sys.argv[2].partition(":")
    app = getattr(import_module(f"served.{module}"), name)
    globals()[f"in_{sys.argv[1]}"](app, int(sys.argv[3]))
