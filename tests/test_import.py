"""Importing the package is quick because it loads nothing that it does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Modules that take long to load, and that nobody needs before the first delivery.
HEAVY = ["asyncio", "datetime", "inspect", "json", "logging", "pydantic", "re", "typing", "warnings"]


def modules_after(code: str) -> set[str]:
    """The modules that a bare interpreter has loaded after this code, beyond those it has anyway."""
    # `-S -E`: what this environment's own start-up loads does not count.
    start = f"import sys\nsys.path[:0] = {sys.path!r}\nbefore = {{*sys.modules}}\n"
    end = "\nprint(*({*sys.modules} - before), sep='\\n')"
    command = [sys.executable, "-S", "-E", "-W", "error", "-c", start + code + end]
    return {*subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()}


@pytest.mark.parametrize("name", ["pylon_webhooks", "pylon.webhooks"])
def test_importing_loads_the_package_and_nothing_heavy(name: str) -> None:
    loaded = modules_after(f"import {name}")
    assert "pylon_webhooks._native" in loaded
    assert loaded.isdisjoint(HEAVY)
    foreign = {module for module in loaded if not module.startswith(("pylon", "pylon_webhooks"))}
    assert foreign <= {"__future__", "types"}


def test_handling_a_delivery_without_custom_needs_loads_neither_pydantic_nor_asyncio() -> None:
    loaded = modules_after(
        "import pylon_webhooks as p\n"
        "handler = p.WebhookHandler('secret')\n"
        "handler.on(p.IssueNewEvent)(lambda event: event.issue_title)\n"
        'body = b\'{"event_type": "issue_new"}\'\n'
        "assert handler.handle(body, p.sign('secret', body)) == ['']"
    )
    assert loaded.isdisjoint({"pydantic", "asyncio", "json", "logging"})
