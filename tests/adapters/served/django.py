"""Django's views: the sync ones at `/webhook`, the async ones at `/async`, each with `_read` and `_consumed` after it as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.urls import path, re_path

from pylon_webhooks.django import async_webhook_view, webhook_view

from .handler import new_handler

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponseBase

    Next = Callable[[HttpRequest], HttpResponseBase]


class Reading:
    """Middleware that reads the body before the view does."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path.endswith("read"):
            _ = request.body
        if request.path.endswith("consumed"):
            request.read()
        return self.get_response(request)


settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.LoginRequiredMiddleware",
        f"{__name__}.Reading",
    ],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    LOGIN_URL="/login",
    ROOT_URLCONF=__name__,
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    SECRET_KEY="only-signs-what-django-itself-sends",
)

sync, awaiting = new_handler(), new_handler(awaits=True)
urlpatterns = [path(f"webhook{name}", webhook_view(sync)) for name in ("", "_read", "_consumed")]
urlpatterns += [path(f"async{name}", async_webhook_view(awaiting)) for name in ("", "_read", "_consumed")]
urlpatterns += [
    path("t/<slug:tenant>/webhook", webhook_view(sync)),
    path("t/<slug:tenant>/async", async_webhook_view(awaiting)),
]
urlpatterns += [
    re_path(r"^below/(\d+)$", webhook_view(sync)),
    re_path(r"^below/(\d+)/async$", async_webhook_view(awaiting)),
]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
