"""Types of `pylon.webhooks.events`: those of `pylon_webhooks.events`."""

from pylon_webhooks.events import *
