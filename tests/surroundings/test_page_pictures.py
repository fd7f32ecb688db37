"""The pictures of the page in the documentation: made here, with PYLON_RENEW_SNAPSHOTS=1, and otherwise held against what is there."""

from __future__ import annotations

import json
import os
import struct
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import Tab
from operator_page import App, newest, url, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser
    from receiver import Receiver

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
WIDTH, HEIGHT = 1200, 640
CONFIGURATION = """
instance = "acme production"

[[destination]]
name = "app"
url = "http://127.0.0.1:{port}/webhook"
retry = {{ attempts = 3, first_delay = "50ms", longest_delay = "50ms" }}
circuit = {{ failures = 100000 }}

[[destination]]
name = "archive"
jsonl = "{folder}/events.jsonl"
"""


@pytest.fixture
def scene(start_receiver: Callable[..., Receiver], app: App, tmp_path: Path) -> Receiver:
    """Some events, one of which the app does not take."""
    receiver = start_receiver(CONFIGURATION.format(port=app.port, folder=tmp_path))
    app.complaint = b'{"error":"no such customer","customer":"acct-42"}'
    for number, title in [(1040, "Cannot log in"), (1041, "Invoice is wrong"), (1042, "Export fails")]:
        body = {
            "event_type": "issue_new",
            "issue_id": f"5b0c0f0e-1111-4a4a-8b8b-00000000{number}",
            "issue_number": number,
            "issue_title": title,
            "issue_requester_email": "anna@example.com",
        }
        app.is_broken = number == 1042
        assert receiver.post(json.dumps(body).encode()) == 200
        states = ["dead", "delivered"] if app.is_broken else ["delivered", "delivered"]
        wait_until(lambda states=states: sorted(states_of(receiver)) == sorted(states), f"deliveries that are {states}")
    return receiver


def states_of(receiver: Receiver) -> list[str]:
    """The states of the newest event's deliveries."""
    event = json.loads(receiver.ask(f"/api/events/{newest(receiver)}")[1])
    return [str(delivery["state"]) for delivery in event["deliveries"]]


@pytest.mark.parametrize(("name", "path", "scheme"), [("event", "events/{event}", "light"), ("overview", "", "dark")])
def test_the_pictures_are_of_this_page(browser: Browser, scene: Receiver, name: str, path: str, scheme: str) -> None:
    viewport = {"width": WIDTH, "height": HEIGHT}
    with closing(Tab(browser, color_scheme=scheme, viewport=viewport)) as tab:
        tab.page.goto(url(scene, path.format(event=newest(scene))))
        shot = tab.page.screenshot()
    picture = IMAGES / f"page-{name}-{scheme}.png"
    if "PYLON_RENEW_SNAPSHOTS" in os.environ:
        picture.write_bytes(shot)
    assert size(picture.read_bytes()) == size(shot) == (WIDTH, HEIGHT), f"{picture}: renew it"


def size(picture: bytes) -> tuple[int, int]:
    """Width and height of a PNG, in pixels."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    return width, height
