"""Types of `pylon.webhooks`: those of `pylon_webhooks`. Where the code stands, see `pylon/webhooks.py`."""

from pylon_webhooks import *
