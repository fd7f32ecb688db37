"""Types of `pylon.webhooks.asgi`: those of `pylon_webhooks.asgi`."""

from pylon_webhooks.asgi import *
