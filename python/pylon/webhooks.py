"""The import path `pylon.webhooks`: the same modules as `pylon_webhooks`, not copies.

Where py-usepylon-sdk is installed too, its `pylon.webhooks` stays in force, for this file loses to its package folder;
`pylon_webhooks` is then the way to import this one.
"""

import sys

import pylon_webhooks
from pylon_webhooks import _native, events, exceptions, handler  # pyright: ignore[reportPrivateUsage] - one package

sys.modules[__name__] = pylon_webhooks
for module in (_native, events, exceptions, handler):
    sys.modules[f"{__name__}.{module.__name__.rpartition('.')[2]}"] = module
