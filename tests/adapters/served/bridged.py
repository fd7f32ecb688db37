"""The WSGI apps behind bridges from ASGI."""

from __future__ import annotations

from a2wsgi import WSGIMiddleware
from asgiref.wsgi import WsgiToAsgi

from . import django, flask, wsgi

a2wsgi_wsgi, asgiref_wsgi = WSGIMiddleware(wsgi.app), WsgiToAsgi(wsgi.app)
a2wsgi_flask, asgiref_flask = WSGIMiddleware(flask.app.wsgi_app), WsgiToAsgi(flask.app.wsgi_app)
a2wsgi_django, asgiref_django = WSGIMiddleware(django.wsgi), WsgiToAsgi(django.wsgi)
