"""Types of `pylon.webhooks.fastapi`: those of `pylon_webhooks.fastapi`."""

from pylon_webhooks.fastapi import *
