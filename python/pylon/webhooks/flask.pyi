"""Types of `pylon.webhooks.flask`: those of `pylon_webhooks.flask`."""

from pylon_webhooks.flask import *
