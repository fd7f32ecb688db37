"""Types of `pylon.webhooks.background`: those of `pylon_webhooks.background`."""

from pylon_webhooks.background import *
