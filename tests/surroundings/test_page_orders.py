"""Search and orders in a real browser: an event is found by what people know, and many are sent again or dropped, with and without a
script."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from browser import Tab
from operator_page import App, issue, newest, url, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser
    from receiver import Receiver

#: A destination that gives up at once.
GIVES_UP = """
[[destination]]
name = "app"
url = "http://127.0.0.1:{port}/webhook"
retry = {{ attempts = 1 }}
circuit = {{ failures = 100000 }}
"""


@pytest.fixture
def strict(start_receiver: Callable[..., Receiver], app: App) -> Receiver:
    """A receiver that gives up after one attempt."""
    return start_receiver(GIVES_UP.format(port=app.port))


@pytest.fixture(params=[True, False], ids=["with-script", "without-script"])
def either(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Tab]:
    """A tab with JavaScript, and one without."""
    with closing(Tab(browser, java_script_enabled=request.param)) as opened:
        yield opened


def asked(receiver: Receiver, path: str) -> Any:
    """What the API says."""
    status, answer = receiver.ask(path)
    assert status == 200, answer
    return json.loads(answer)


def dead(receiver: Receiver, count: int) -> None:
    """Wait until so many deliveries are dead."""
    wait_until(
        lambda: sum(at["dead"] for at in asked(receiver, "/api/stats")["destinations"]) == count, f"{count} dead"
    )


def ended(receiver: Receiver, number: int) -> dict[str, Any]:
    """An order, once it has ended."""
    wait_until(lambda: bool(asked(receiver, f"/api/orders/{number}")["state"] != "running"), "an order that has ended")
    order: dict[str, Any] = asked(receiver, f"/api/orders/{number}")
    return order


def search(tab: Tab, text: str) -> None:
    """Search from wherever the tab is."""
    tab.page.get_by_role("searchbox").fill(text)
    tab.follow(tab.page.get_by_role("button", name="Search"))


def test_an_event_is_found_by_what_people_know_and_no_other(either: Tab, receiver: Receiver) -> None:
    assert receiver.post(issue(10420, "Another one", requester_email="someone@example.com")) == 200
    assert (
        receiver.post(issue(1042, requester_email="Anna.B@Example.com", body="it says zanzibar in the middle")) == 200
    )
    event, page = newest(receiver), either.page
    page.goto(url(receiver))
    for text in ["#1042", "1042", "ANNA.B@EXAMPLE.COM", "id-1042"]:
        search(either, text)
        assert page.locator("tbody tr").count() == 1, text
        assert "#1042 Export fails" in page.locator("tbody tr").inner_text(), text
    # An id, and that of a trace, lead straight there.
    for text in [event, event.replace("-", ""), f"{event}.1"]:
        search(either, text)
        assert page.url == url(receiver, f"events/{event}"), text
    search(either, "zanzibar")
    assert "No event matches." in page.locator("#found").inner_text()
    either.follow(page.get_by_role("link", name="Search anywhere in bodies"))
    assert "#1042 Export fails" in page.locator("tbody tr").inner_text()
    assert page.url == url(receiver, "events?contains=zanzibar")


def test_two_clicks_are_one_order_and_one_delivery(tab: Tab, strict: Receiver, app: App) -> None:
    assert strict.post(issue(1042)) == 200
    dead(strict, 1)
    app.is_broken = False
    page = tab.page
    page.goto(url(strict, f"events/{newest(strict)}"))
    with page.expect_navigation():
        page.get_by_role("button", name="Send again", exact=True).dblclick()
    ended(strict, 1)
    dead(strict, 0)
    assert len(asked(strict, "/api/orders")["orders"]) == 1
    assert len(asked(strict, f"/api/events/{newest(strict)}")["deliveries"]) == 2
    assert len([headers for headers in app.sent if "x-receiver-redelivery-of" in headers]) == 1


def test_the_dead_of_one_cause_are_a_link_and_back_leads_back(tab: Tab, browser: Browser, strict: Receiver) -> None:
    for number in range(3):
        assert strict.post(issue(number)) == 200
    dead(strict, 3)
    page = tab.page
    page.goto(url(strict, "dead"))
    tab.follow(page.get_by_role("link", name="http_500").first)
    assert "destination=app" in page.url
    assert "code=http" in page.url
    listed = page.get_by_role("region", name="Dead deliveries").inner_text()
    with closing(Tab(browser)) as another:
        another.page.goto(page.url)
        assert another.page.get_by_role("region", name="Dead deliveries").inner_text() == listed
    where = page.url
    tab.follow(page.locator("[data-rows] tbody a").first)
    page.go_back()
    assert page.url == where
    assert page.get_by_role("region", name="Dead deliveries").inner_text() == listed


def test_an_order_takes_what_its_preview_counted_and_its_page_counts_up(
    either: Tab, strict: Receiver, app: App
) -> None:
    for number in range(40):
        assert strict.post(issue(number)) == 200
    dead(strict, 40)
    page = either.page
    page.goto(url(strict, "dead"))
    either.follow(page.get_by_role("link", name="Send again…"))
    assert page.get_by_role("heading", level=1).inner_text() == "Send again: 40 dead deliveries"
    assert page.get_by_role("listitem").count() == 5
    assert asked(strict, "/api/orders")["orders"] == [], "a look changes nothing"
    for number in range(40, 50):
        assert strict.post(issue(number)) == 200
    dead(strict, 50)
    app.is_broken = False
    page.get_by_label("Note").fill("the app is mended")
    either.follow(page.get_by_role("button", name="Send again"))
    assert page.url == url(strict, "orders/1")
    order = ended(strict, 1)
    assert [order[name] for name in ("counted", "taken", "done", "note")] == [40, 40, 40, "the app is mended"]
    dead(strict, 10)
    page.reload()
    assert "done" in page.locator("#progress").inner_text()
    assert "40 of 40" in page.locator("#progress").inner_text()

    page.goto(url(strict, "dead"))
    either.follow(page.get_by_role("link", name="Send again…"))
    assert page.get_by_role("heading", level=1).inner_text() == "Send again: 10 dead deliveries"
    either.follow(page.get_by_role("button", name="Send again"))
    ended(strict, 2)
    dead(strict, 0)


def test_the_first_ten_are_ten(tab: Tab, strict: Receiver) -> None:
    for number in range(15):
        assert strict.post(issue(number)) == 200
    dead(strict, 15)
    page = tab.page
    page.goto(url(strict, "orders/new?of=dead&verb=redeliver"))
    page.get_by_label("the first 10").check()
    tab.follow(page.get_by_role("button", name="Send again"))
    order = ended(strict, 1)
    assert (order["counted"], order["done"]) == (10, 10)


def test_a_drop_is_asked_once_and_undone_by_sending_again(either: Tab, strict: Receiver, app: App) -> None:
    assert strict.post(issue(1042)) == 200
    dead(strict, 1)
    page, event = either.page, newest(strict)
    page.goto(url(strict, f"events/{event}"))
    either.follow(page.get_by_role("link", name="Drop…"))
    assert page.get_by_role("heading", level=1).inner_text() == "Drop: 1 dead delivery"
    assert "until then Send again on the event's page undoes a drop" in page.locator("main").inner_text()
    either.follow(page.get_by_role("button", name="Drop", exact=True))
    assert ended(strict, 1)["done"] == 1
    dead(strict, 0)
    app.is_broken = False
    page.goto(url(strict, f"events/{event}"))
    assert "dropped by local" in page.locator("article").inner_text()
    either.follow(page.get_by_role("button", name="Send again", exact=True))
    wait_until(lambda: bool(asked(strict, f"/api/events/{event}")["state"] == "delivered"), "a delivered event")
    page.goto(url(strict, "orders"))
    rows = page.locator("tbody tr").all_inner_texts()
    assert len(rows) == 2
    assert "sent again" in rows[0]
    assert "dropped" in rows[1]
    assert all("local" in row and "done" in row for row in rows)
