"""An app in Python's own WSGI server: `python -m served.in_wsgiref MODULE:NAME PORT`."""

from __future__ import annotations

import sys
from importlib import import_module
from wsgiref.simple_server import make_server

if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    app = getattr(import_module(f"served.{module}"), name)
    make_server("127.0.0.1", int(sys.argv[2]), app).serve_forever()
