"""Types of `pylon.webhooks.starlette`: those of `pylon_webhooks.starlette`."""

from pylon_webhooks.starlette import *
