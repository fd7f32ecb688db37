"""Types of `pylon.webhooks.testing.pytest_plugin`: those of `pylon_webhooks.testing.pytest_plugin`."""

from pylon_webhooks.testing.pytest_plugin import *
