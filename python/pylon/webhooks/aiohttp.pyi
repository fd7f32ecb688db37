"""Types of `pylon.webhooks.aiohttp`: those of `pylon_webhooks.aiohttp`."""

from pylon_webhooks.aiohttp import *
