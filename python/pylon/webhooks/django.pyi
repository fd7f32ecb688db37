"""Types of `pylon.webhooks.django`: those of `pylon_webhooks.django`."""

from pylon_webhooks.django import *
