"""The operator's page in a real browser, as an operator walks through it."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from browser import Tab, chromium
from programs import debian_program, environment_of_programs, skips_where_missing
from receiver import PATIENCE, SECRET, Receiver, receiver_program
from test_proxies import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page

#: Retries that a test can wait for, and that never end.
DESTINATION = """
[[destination]]
name = "app"
url = "http://127.0.0.1:{port}/webhook"
retry = {{ attempts = 1000, first_delay = "50ms", longest_delay = "200ms" }}
circuit = {{ failures = 100000 }}
"""
#: How long a step may take until it ticks itself, milliseconds.
SOON = 6_000
HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u202egpj.exe\u0000'


class App:
    """An app that answers 500 until it is mended, and remembers what it was sent."""

    def __init__(self) -> None:
        self.is_broken = True
        self.sent: list[dict[str, str]] = []
        app = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                app.sent.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(500 if app.is_broken else 204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with ExitStack() as stack:
        with skips_where_missing():
            started = stack.enter_context(chromium())
        yield started


@pytest.fixture
def app() -> Iterator[App]:
    with closing(App()) as started:
        yield started


@pytest.fixture
def receiver(start_receiver: Callable[..., Receiver], app: App) -> Receiver:
    return start_receiver('instance = "acme production"\n' + DESTINATION.format(port=app.port))


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    with closing(Tab(browser)) as opened:
        yield opened


def issue(number: int, title: str = "Export fails", **more: object) -> bytes:
    """The body of an issue's event."""
    body = {"event_type": "issue_new", "issue_id": f"id-{number}", "issue_number": number, "issue_title": title}
    return json.dumps({**body, **more}).encode()


def url(receiver: Receiver, path: str = "") -> str:
    return f"http://127.0.0.1:{receiver.admin}/ui/{path}"


def newest(receiver: Receiver) -> str:
    """The id of the newest event."""
    return str(json.loads(receiver.ask("/api/events")[1])["events"][0]["id"])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"expected {what}"
        time.sleep(0.02)


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
    assert "Sent again: one new delivery." in page.locator(".notice").inner_text()
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
