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


# Modules that are loaded when they are asked for, and what loading them does not load.
LIGHT = {
    "pylon_webhooks.testing": [*HEAVY, "hypothesis", "pytest"],
    "pylon.webhooks.testing": ["asyncio", "datetime", "inspect", "json", "logging", "pydantic", "hypothesis", "pytest"],
    "pylon_webhooks.asgi": HEAVY,
    "pylon_webhooks.wsgi": HEAVY,
    "pylon_webhooks.aws_lambda": HEAVY,
}


@pytest.mark.parametrize(("name", "heavy"), LIGHT.items(), ids=LIGHT)
def test_importing_a_module_that_needs_nothing_loads_nothing_heavy(name: str, heavy: list[str]) -> None:
    loaded = modules_after(f"import {name}")
    assert "pylon_webhooks._native" in loaded
    assert loaded.isdisjoint(heavy)


SIGNED = (
    "import pylon_webhooks as p\n"
    "handler = p.WebhookHandler('secret')\n"
    'body = b\'{"event_type": "issue_new"}\'\n'
    "headers = {'X-Pylon-Signature': p.sign('secret', body)}\n"
    "done = []\n"
    "handler.on_any(done.append)\n"
)


def test_an_endpoint_without_a_background_loads_neither_asyncio_nor_threading() -> None:
    loaded = modules_after(
        f"{SIGNED}endpoint = p.Endpoint(handler, replay_guard=p.ReplayGuard.exact_request())\n"
        "assert endpoint.respond('POST', headers, body) == p.Outcome.HANDLED\n"
        "endpoint.close()"
    )
    assert loaded.isdisjoint({"asyncio", "json", "logging", "threading", "typing"})


def test_a_background_of_threads_loads_no_asyncio() -> None:
    loaded = modules_after(
        f"{SIGNED}with p.Endpoint(handler, background=p.Background()) as endpoint:\n"
        "    assert endpoint.respond('POST', headers, body) == p.Outcome.ACCEPTED\n"
        "assert len(done) == 1"
    )
    assert "threading" in loaded
    # `concurrent.futures`, whose threads outlive the background's, brings `logging`.
    assert loaded.isdisjoint({"asyncio", "json"})


def test_what_stores_and_functions_of_an_apps_own_need_is_in_the_package_and_loads_no_typing_before_it_is_named() -> (
    None
):
    loaded = modules_after("from pylon_webhooks import Arrival, RequestFault\nassert str(RequestFault.BROKEN)")
    assert "typing" not in loaded
    loaded = modules_after("from pylon_webhooks import ReplayStore\nassert ReplayStore.__name__ == 'ReplayStore'")
    assert "typing" in loaded


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    import pylon_webhooks

    with pytest.raises(AttributeError, match=r"^module 'pylon_webhooks' has no attribute 'RedisStore'$"):
        pylon_webhooks.RedisStore  # noqa: B018 - the reading is what fails
