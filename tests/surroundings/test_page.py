"""The operator's page in a real browser, as an operator walks through it."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from browser import Tab
from operator_page import DESTINATION, App, issue, newest, url, wait_until
from programs import debian_program, environment_of_programs
from receiver import PATIENCE, Receiver
from test_proxies import free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u202egpj.exe\u0000'


def test_from_the_overview_to_a_delivered_event_in_four_clicks_and_no_reload(
    tab: Tab, receiver: Receiver, app: App
) -> None:
    assert receiver.post(issue(10420, "Another one")) == 200
    assert receiver.post(issue(1042)) == 200
    wait_until(lambda: len(app.sent) > 6, "attempts")
    page = tab.page
    page.goto(f"http://127.0.0.1:{receiver.admin}/")
    assert page.url == url(receiver)
    assert "acme production" in page.title()
    page.get_by_role("searchbox").fill("#1042")
    tab.follow(page.get_by_role("button", name="Search"))
    assert page.locator("tbody tr").count() == 1
    tab.follow(page.locator("tbody a").first)
    assert page.get_by_role("heading", level=1).inner_text() == "#1042 Export fails"
    assert page.locator("article").first.locator("tbody tr").count() >= 3
    assert "answered 500" in page.locator("article").first.inner_text()
    app.is_broken = False
    sent = len(app.sent)
    tab.follow(page.get_by_role("button", name="Send again", exact=True))
    assert "Sent again: 1 new delivery." in page.locator(".notice").inner_text()
    page.evaluate("window.isStill = true")
    page.locator("article", has_text="sent again in the place of 1").locator(".state.delivered").wait_for()
    assert page.evaluate("window.isStill"), "the page was loaded anew"
    assert any("x-receiver-redelivery-of" in headers for headers in app.sent[sent:])


def test_without_javascript_everything_is_links_and_forms(browser: Browser, receiver: Receiver, app: App) -> None:
    assert receiver.post(issue(1042)) == 200
    with closing(Tab(browser, java_script_enabled=False)) as tab:
        page = tab.page
        page.goto(url(receiver))
        page.get_by_role("searchbox").fill("1042")
        with page.expect_navigation():
            page.get_by_role("searchbox").press("Enter")
        tab.follow(page.locator("tbody a").first)
        app.is_broken = False
        tab.follow(page.get_by_role("button", name="Send again", exact=True))
        wait_until(
            lambda: bool(page.reload()) and page.locator(".state.delivered").count() > 0, "an event that is delivered"
        )


def test_strangers_text_does_nothing(tab: Tab, receiver: Receiver) -> None:
    body = issue(7, HOSTILE, event_type=HOSTILE, issue_body=HOSTILE + "x" * 1_000_000, conversation=1970670598291982290)
    assert receiver.post(body) == 200
    assert receiver.post(body, path="/%3Cimg%20src=x%20onerror=alert(1)%3E") == 404
    page = tab.page
    event = newest(receiver)
    for path in ["", "events", f"events/{event}", f"events/{event}?body=pretty", f"events/{event}?body=raw", "refused"]:
        page.goto(url(receiver, path))
        assert page.locator("img").count() == 0
    page.goto(url(receiver, f"events/{event}?body=raw"))
    page.goto(url(receiver, "events"))
    assert "U+202E" in page.locator("tbody").inner_text()
    with page.expect_download() as download:
        page.evaluate("location.href = document.querySelector('tbody a').href + '/body'")
    assert download.value.path().read_bytes() == body


def test_a_list_keeps_still_and_offers_what_is_new(tab: Tab, receiver: Receiver) -> None:
    for number in range(3):
        assert receiver.post(issue(number)) == 200
    page = tab.page
    page.goto(url(receiver, "events"))
    before = page.locator("tbody tr td:nth-child(3)").all_inner_texts()
    assert receiver.post(issue(99)) == 200
    page.get_by_role("button", name="show 1 new").wait_for()
    assert page.locator("tbody tr td:nth-child(3)").all_inner_texts() == before
    page.get_by_role("button", name="show 1 new").click()
    page.locator("tbody tr", has_text="#99").wait_for()


def test_keys_move_between_rows_and_can_be_turned_off(tab: Tab, receiver: Receiver) -> None:
    for number in range(3):
        assert receiver.post(issue(number)) == 200
    page = tab.page
    page.goto(url(receiver, "events"))
    focused = "document.activeElement.closest('tr')?.rowIndex"
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate(focused) == 2
    page.keyboard.press("k")
    assert page.evaluate(focused) == 1
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("j")
    assert page.get_by_role("searchbox").input_value() == "j"
    page.get_by_role("button", name="keys: keys on").click()
    page.goto(url(receiver, "events"))
    page.keyboard.press("j")
    assert page.evaluate(focused) is None


def test_the_zone_of_all_times_changes_at_once_and_stays(browser: Browser, receiver: Receiver) -> None:
    assert receiver.post(issue(1042)) == 200
    with closing(Tab(browser, timezone_id="Asia/Kolkata")) as tab:
        page = tab.page
        page.goto(url(receiver, "events"))
        utc = page.locator("tbody time").first.inner_text()
        page.get_by_role("button", name="zone: UTC").click()
        page.goto(url(receiver, "events"))
        assert page.locator("tbody time").first.inner_text() != utc
        assert page.locator("#zone").inner_text() in {"Asia/Kolkata", "Asia/Calcutta"}


def test_signing_in_comes_back_to_the_link_and_a_reader_has_no_buttons(
    browser: Browser, start_receiver: Callable[..., Receiver], app: App
) -> None:
    operators = """
[[operator]]
name = "anna"
token = { env = "ANNA" }
[[operator]]
name = "rita"
role = "reader"
token = { env = "RITA" }
"""
    settings = DESTINATION.format(port=app.port) + operators
    receiver = start_receiver(settings, ANNA="the token of anna", RITA="the token of rita")
    assert receiver.post(issue(1042)) == 200
    for name, buttons in [("anna", 1), ("rita", 0)]:
        with closing(Tab(browser)) as tab:
            page = tab.page
            page.goto(url(receiver, "events?q=1042"))
            page.get_by_label("Token").fill("wrong")
            tab.follow(page.get_by_role("button", name="Sign in"))
            assert "not the token of an operator" in page.get_by_role("alert").inner_text()
            tab.complaints.clear()
            page.get_by_label("Token").fill(f"the token of {name}")
            tab.follow(page.get_by_role("button", name="Sign in"))
            assert page.url == url(receiver, "events?q=1042")
            tab.follow(page.locator("tbody a").first)
            assert page.get_by_text(name, exact=True).count() == 1
            assert page.get_by_role("button", name="Send again", exact=True).count() == buttons
            tab.follow(page.get_by_role("button", name="Sign out"))
            page.goto(url(receiver, "events"))
            assert "/sign-in" in page.url


def test_another_site_can_link_and_do_nothing_else(browser: Browser, receiver: Receiver, app: App) -> None:
    assert receiver.post(issue(1042)) == 200
    event = newest(receiver)
    page_of_others = f"""<!doctype html><title>x</title>
<a href="{url(receiver, f"events/{event}")}">link</a><iframe src="{url(receiver)}"></iframe>
<img src="{url(receiver, "assets/icon.svg")}">
<form method="post" action="{url(receiver, f"events/{event}/send-again")}"><button>order</button></form>"""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page_of_others.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sent = len(json.loads(receiver.ask(f"/api/events/{event}")[1])["deliveries"])
    try:
        tab = Tab(browser)
        page = tab.page
        # Another name, so that it is another site.
        page.goto(f"http://localhost:{server.server_address[1]}/")
        assert page.evaluate("document.querySelector('img').naturalWidth") == 0
        frame = next(frame for frame in page.frames if frame != page.main_frame)
        assert "Overview" not in frame.content()
        tab.follow(page.get_by_role("button", name="order"))
        assert "forbidden site" in page.get_by_role("alert").inner_text()
        page.goto(f"http://localhost:{server.server_address[1]}/")
        tab.follow(page.get_by_role("link", name="link"))
        assert page.get_by_role("heading", level=1).inner_text() == "#1042 Export fails"
    finally:
        server.shutdown()
        server.server_close()
    assert len(json.loads(receiver.ask(f"/api/events/{event}")[1])["deliveries"]) == sent


@pytest.mark.parametrize("keeps_prefix", [False, True])
def test_behind_nginx_at_a_prefix_every_link_stays_behind_it(
    tab: Tab, start_receiver: Callable[..., Receiver], app: App, tmp_path: Path, keeps_prefix: bool
) -> None:
    port = free_port()
    public = f'public_url = "http://127.0.0.1:{port}/ops/pylon/"\nadmin_token = {{ env = "TOKEN" }}\n'
    receiver = start_receiver(public + DESTINATION.format(port=app.port), TOKEN="a token")
    assert receiver.post(issue(1042)) == 200
    upstream = f"http://127.0.0.1:{receiver.admin}{'/' if not keeps_prefix else ''}"
    location = f"location /ops/pylon/ {{ proxy_pass {upstream}; }}"
    settings = tmp_path / "nginx.conf"
    settings.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/a; proxy_temp_path {tmp_path}/b; "
        f"fastcgi_temp_path {tmp_path}/c; uwsgi_temp_path {tmp_path}/d; scgi_temp_path {tmp_path}/e;\n"
        f"server {{ listen 127.0.0.1:{port}; {location} }} }}\n"
    )
    nginx = subprocess.Popen(
        [debian_program("nginx"), "-e", str(tmp_path / "error"), "-c", str(settings)], env=environment_of_programs()
    )
    try:
        root = f"http://127.0.0.1:{port}/ops/pylon/"
        wait_until(lambda: _answers(port), "nginx")
        page = tab.page
        page.goto(root)
        page.get_by_label("Token").fill("a token")
        tab.follow(page.get_by_role("button", name="Sign in"))
        tab.follow(page.get_by_role("link", name="Events", exact=True))
        tab.follow(page.locator("tbody a").first)
        app.is_broken = False
        tab.follow(page.get_by_role("button", name="Send again", exact=True))
        assert "Sent again" in page.locator(".notice").inner_text()
        tab.follow(page.get_by_role("link", name="Overview"))
        for request in tab.requests:
            assert request.url.startswith(root), request.url
            assert "//" not in request.url.removeprefix("http://"), request.url
            assert request.url.count("/ops/pylon/") == 1, request.url
    finally:
        nginx.terminate()
        nginx.wait(PATIENCE)


def _answers(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_everybody_can_use_it(browser: Browser, receiver: Receiver, axe: str, scheme: str, width: int) -> None:
    assert receiver.post(issue(1042)) == 200
    assert receiver.post(b"{}", path="/nowhere") == 404
    event = newest(receiver)
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}, "bypass_csp": True}
    with closing(Tab(browser, **options)) as tab:
        page = tab.page
        paths = [
            "",
            "setup",
            "events",
            f"events/{event}",
            f"events/{event}?body=pretty",
            "dead",
            "refused",
            "health",
            "help",
        ]
        for path in [*paths, "destinations/app", "nothing"]:
            page.goto(url(receiver, path))
            tab.complaints[:] = [complaint for complaint in tab.complaints if "404" not in complaint]
            assert _violations(page, axe) == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def _violations(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    return [f"{violation['id']}: {violation['nodes'][0]['html']}" for violation in found]


def test_pages_ask_for_little(tab: Tab, receiver: Receiver) -> None:
    for number in range(60):
        assert receiver.post(issue(number, "A title of usual length for an issue")) == 200
    tab.page.goto(url(receiver, "events"))
    assert len(tab.page.content()) < 60 * 1024
    assert {re.sub(r".*/ui/", "", request.url).split("/")[0] for request in tab.requests} <= {"events", "assets"}
