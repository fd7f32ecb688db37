# Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret python examples/django_app.py runserver --noreload 8000
"""A Django project in one file that receives Pylon's webhooks."""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.urls import path

from pylon_webhooks import IssueNewEvent, WebhookEvent, WebhookHandler
from pylon_webhooks.django import webhook_view

settings.configure(
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only-signs-what-django-itself-sends",
)

handler = WebhookHandler(secret=os.environ["PYLON_WEBHOOK_SECRET"])
urlpatterns = [path("webhook", webhook_view(handler))]


@handler.on(IssueNewEvent)
def new_issue(event: IssueNewEvent) -> None:
    print(f"New issue: {event.issue_title}")


@handler.on_any()
def log_all(event: WebhookEvent) -> None:
    print(f"Event: {event.event_type}", flush=True)


app = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
