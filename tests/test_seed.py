"""The seed's import path, `pylon.webhooks`: the same modules and classes as `pylon_webhooks`, not copies."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import pylon_webhooks

SUBMODULES = ["background", "endpoint", "events", "exceptions", "handler", "replay"]
#: Loaded when they are named, for they need a framework or take long.
LATER = ["aiohttp", "asgi", "aws_lambda", "django", "fastapi", "flask", "starlette", "testing", "wsgi"]


def test_the_package_and_its_modules_are_the_very_same() -> None:
    assert importlib.import_module("pylon.webhooks") is pylon_webhooks
    for name in [*SUBMODULES, *LATER, "testing.strategies", "testing.pytest_plugin"]:
        module = importlib.import_module(f"pylon.webhooks.{name}")
        assert module is importlib.import_module(f"pylon_webhooks.{name}")
        assert module.__spec__.name == f"pylon_webhooks.{name}"
    for name in SUBMODULES:
        assert importlib.import_module(f"pylon_webhooks.{name}") is getattr(pylon_webhooks, name)


def test_every_public_module_has_its_alias_and_its_types() -> None:
    package = Path(pylon_webhooks.__file__).parent
    public = {path.stem for path in package.glob("*.py") if not path.stem.startswith("_")}
    public |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert public == {*SUBMODULES, *LATER}
    folder = package.parent / "pylon" / "webhooks"
    types = {path.name.removesuffix(".pyi") for path in folder.iterdir()}
    assert types == {"__init__", "py.typed", *public}
    assert {path.stem for path in (folder / "testing").iterdir()} == {
        path.stem for path in (package / "testing").glob("*.py")
    }


def test_nothing_makes_pylon_a_regular_package() -> None:
    # It would overwrite the files of py-usepylon-sdk, which brings one.
    folder = Path(pylon_webhooks.__file__).parent.parent / "pylon"
    assert list(folder.rglob("__init__.py")) == []


# Imports in a fresh interpreter, in an order that might load something twice, each ended by what must hold.
IMPORTS = {
    "the seed's first": "from pylon.webhooks.events import IssueNewEvent as a\nfrom pylon_webhooks import IssueNewEvent as b\nassert a is b",
    "the seed's last": "from pylon_webhooks.events import IssueNewEvent as a\nfrom pylon.webhooks import IssueNewEvent as b\nassert a is b",
    "a submodule alone": "import pylon.webhooks.exceptions as a, pylon_webhooks.exceptions as b\nassert a is b",
    "one class, two paths, one except": "import pylon.webhooks as a, pylon_webhooks as b\ntry: a.parse_webhook_event(b'')\nexcept b.PylonWebhookPayloadError: pass",
    "an attribute of the namespace": "import pylon.webhooks, pylon_webhooks\nassert pylon.webhooks.WebhookHandler is pylon_webhooks.WebhookHandler",
    "the submodule as an attribute": "import pylon.webhooks.handler, pylon_webhooks\nassert pylon.webhooks.handler is pylon_webhooks.handler",
    "an adapter, the seed's first": "import pylon.webhooks.asgi as a, pylon_webhooks.asgi as b\nassert a is b",
    "an adapter, the seed's last": "import pylon_webhooks.asgi as b, pylon.webhooks.asgi as a\nassert a is b",
    "a module that is not there": "import pylon.webhooks\ntry: import pylon.webhooks.tornado\nexcept ModuleNotFoundError as e: assert 'tornado' in str(e)",
    "star": "from pylon.webhooks import *\nassert WebhookHandler and IssueNewEvent and parse_webhook_event",
}  # fmt: skip


@pytest.mark.parametrize("code", IMPORTS.values(), ids=IMPORTS)
def test_classes_are_one_whatever_path_is_imported_first(code: str) -> None:
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_all_names_what_the_package_has() -> None:
    for module in (
        pylon_webhooks,
        *(importlib.import_module(f"pylon_webhooks.{name}") for name in [*SUBMODULES, *LATER]),
    ):
        assert len({*module.__all__}) == len(module.__all__)
        for name in module.__all__:
            assert hasattr(module, name), (module.__name__, name)


def test_the_seeds_names_are_where_the_seed_imports_them() -> None:
    from pylon.webhooks import WebhookHandler, parse_webhook_event
    from pylon.webhooks.events import IssueAssignedEvent, IssueNewEvent, IssueStateChangedEvent, MessageNewEvent

    names = {
        IssueNewEvent: "issue_new",
        IssueAssignedEvent: "issue_assigned",
        IssueStateChangedEvent: "issue_status_changed",
        MessageNewEvent: "issue_message_new",
    }
    for cls, name in names.items():
        assert type(parse_webhook_event(f'{{"event_type": "{name}"}}'.encode())) is cls
    assert repr(WebhookHandler(secret="your-webhook-secret")) == "<WebhookHandler secret=[redacted], 0 handlers>"
