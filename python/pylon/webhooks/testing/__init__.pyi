"""Types of `pylon.webhooks.testing`: those of `pylon_webhooks.testing`."""

from pylon_webhooks.testing import *
