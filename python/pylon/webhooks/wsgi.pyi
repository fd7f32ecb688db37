"""Types of `pylon.webhooks.wsgi`: those of `pylon_webhooks.wsgi`."""

from pylon_webhooks.wsgi import *
