"""Set-up in a real browser, from a new receiver to the first delivery."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

from browser import Tab
from operator_page import App, issue, newest, url, wait_until
from receiver import SECRET, Receiver, receiver_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Locator

#: How long a step may take until it ticks itself, milliseconds.
SOON = 6_000


def step(tab: Tab, name: str) -> Locator:
    """A step of the set-up by its heading."""
    return tab.page.get_by_role("listitem", name=name)


def printed_template(kind: str) -> str:
    return subprocess.run([receiver_program(), "template", kind], capture_output=True, text=True, check=True).stdout


def test_a_new_receiver_without_a_secret_says_what_is_missing_and_leads_to_the_set_up(
    tab: Tab, start_receiver: Callable[..., Receiver]
) -> None:
    receiver = start_receiver(
        '[[endpoint]]\nname = "support"\npath = "/hook"\nsecrets = [{ env = "PYLON_TEST_NO_SECRET" }]\n'
    )
    page = tab.page
    page.goto(f"http://127.0.0.1:{receiver.admin}/")
    assert page.url == url(receiver)
    missing = page.locator("#missing").inner_text()
    assert "The endpoint support has no secret: it refuses every webhook." in missing
    assert "No event has come yet." in missing
    tab.follow(page.get_by_role("link", name="Set-up of support"))
    assert page.url == url(receiver, "setup?endpoint=support")
    secret = step(tab, "The secret").inner_text()
    assert "environment variable PYLON_TEST_NO_SECRET" in secret
    assert "missing" in secret
    assert "restart the receiver" in secret
    assert f"http://127.0.0.1:{receiver.webhooks}/hook" in step(tab, "The address in Pylon").inner_text()


def test_copy_gives_what_the_command_prints_or_selects_it_where_a_page_must_not_copy(
    browser: Browser, start_receiver: Callable[..., Receiver]
) -> None:
    receiver = start_receiver()
    template = printed_template("issue_new")
    with closing(Tab(browser, permissions=["clipboard-read", "clipboard-write"])) as tab:
        tab.page.goto(url(receiver, "setup?kind=issue_new"))
        tab.page.get_by_role("button", name="Copy").click()
        tab.page.get_by_text("Copied.").wait_for()
        assert tab.page.evaluate("navigator.clipboard.readText()") == template
    with closing(Tab(browser)) as tab:
        # As over HTTP at the name of another machine.
        tab.page.add_init_script("Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined })")
        tab.page.goto(url(receiver, "setup?kind=issue_new"))
        tab.page.get_by_role("button", name="Copy").click()
        tab.page.get_by_text("Selected").wait_for()
        assert tab.page.evaluate("getSelection().toString()").strip() == template.strip()
        # A selection to copy keeps no step from ticking itself.
        assert receiver.post(issue(1)) == 200
        step(tab, "The first event").get_by_text("done").wait_for(timeout=SOON)


def test_each_step_ticks_itself_from_a_refusal_to_the_first_delivery(tab: Tab, receiver: Receiver, app: App) -> None:
    page = tab.page
    page.goto(url(receiver, "setup"))
    page.evaluate("window.isStill = true")
    assert "to do" in step(tab, "The first event").inner_text()
    assert receiver.post(issue(7), **{"X-Pylon-Signature": "0" * 64}) == 401
    event = step(tab, "The first event")
    event.get_by_text("refused", exact=True).wait_for(timeout=SOON)
    assert "signature_mismatch" in event.inner_text()
    assert "signature mismatch: " in event.inner_text()
    assert "Set the secret that Pylon shows for this very webhook destination" in event.inner_text()
    assert "done" in step(tab, "The address in Pylon").inner_text()

    assert receiver.post(issue(7, issue_team_name="{{issue.team.name}}", custom="{{issue.custom}}")) == 200
    event.get_by_text("done", exact=True).wait_for(timeout=SOON)
    assert "{{issue.team.name}} in issue_team_name" in event.inner_text()
    assert "{{issue.custom}} in custom" in event.inner_text()
    assert "to do" in step(tab, "The template").inner_text()
    assert event.get_by_role("link").first.get_attribute("href") == f"events/{newest(receiver)}"
    arrival = step(tab, "The first delivery")
    arrival.get_by_text("last attempt failed").wait_for(timeout=SOON)
    assert "answered 500" in arrival.inner_text()

    app.is_broken = False
    assert receiver.post(issue(8)) == 200
    step(tab, "The template").get_by_text("done", exact=True).wait_for(timeout=SOON)
    arrival.get_by_text("delivered", exact=True).wait_for(timeout=SOON)
    page.get_by_text("Events come in and are delivered.").wait_for(timeout=SOON)
    assert page.evaluate("window.isStill"), "the page was loaded anew"
    tab.follow(event.get_by_role("link").first)
    assert page.get_by_role("heading", level=1).inner_text() == "#8 Export fails"


def test_without_javascript_a_reload_ticks_the_steps(browser: Browser, receiver: Receiver) -> None:
    with closing(Tab(browser, java_script_enabled=False)) as tab:
        tab.page.goto(url(receiver, "setup"))
        assert tab.page.get_by_role("button", name="Copy").count() == 0
        assert receiver.post(issue(7)) == 200
        tab.page.reload()
        assert "done" in step(tab, "The first event").inner_text()


def test_an_app_that_answers_500_is_failing_in_words_until_it_is_mended(tab: Tab, receiver: Receiver, app: App) -> None:
    page = tab.page
    page.goto(url(receiver))
    assert "all is well" in page.locator("#troubles").inner_text()
    assert receiver.post(issue(1042)) == 200
    page.locator("#troubles").get_by_text("1 destination failing").wait_for(timeout=SOON)
    row = page.locator("tbody tr", has_text="app")
    assert "failing" in row.inner_text()
    assert "answered 500" in row.inner_text()
    assert "0 attempts delivered" in str(row.get_by_role("img").get_attribute("aria-label"))
    status, stats = receiver.ask("/api/stats")
    assert (status, json.loads(stats)["destinations"][0]["failing"]) == (200, True)
    tab.follow(row.get_by_role("link").first)
    assert "failing The circuit is closed." in page.locator("#now").inner_text().replace("✕ ", "")
    latest = page.locator("#latest tbody tr")
    assert latest.count() >= 3
    assert "500" in latest.first.inner_text()
    app.is_broken = False
    page.locator("#now").get_by_text("up", exact=True).wait_for(timeout=SOON)
    wait_until(lambda: "all is well" in page.locator("#troubles").inner_text(), "nothing wrong")


def test_the_page_never_shows_a_secret(tab: Tab, receiver: Receiver) -> None:
    assert receiver.post(issue(1)) == 200
    for path in ["", "setup", "destinations/app", "health"]:
        tab.page.goto(url(receiver, path))
        assert SECRET not in tab.page.content()
    assert SECRET.encode() not in receiver.ask("/api/activity")[1]
