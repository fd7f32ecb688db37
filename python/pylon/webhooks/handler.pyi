"""Types of `pylon.webhooks.handler`: those of `pylon_webhooks.handler`."""

from pylon_webhooks.handler import *
