"""Types of `pylon.webhooks.exceptions`: those of `pylon_webhooks.exceptions`."""

from pylon_webhooks.exceptions import *
