"""Types of `pylon.webhooks.replay`: those of `pylon_webhooks.replay`."""

from pylon_webhooks.replay import *
