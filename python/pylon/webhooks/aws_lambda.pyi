"""Types of `pylon.webhooks.aws_lambda`: those of `pylon_webhooks.aws_lambda`."""

from pylon_webhooks.aws_lambda import *
