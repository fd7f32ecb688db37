"""Types of `pylon.webhooks.endpoint`: those of `pylon_webhooks.endpoint`."""

from pylon_webhooks.endpoint import *
