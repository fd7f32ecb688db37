"""Types of `pylon.webhooks.testing.strategies`: those of `pylon_webhooks.testing.strategies`."""

from pylon_webhooks.testing.strategies import *
