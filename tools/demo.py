"""Show the receiver in front of a FastAPI app and an axum app, as three processes on free loopback ports.

`pylon-receiver demo` sends the signed webhooks and the forgeries. This script adds what one process cannot show: an app is killed and
comes back, the receiver itself is killed, and every accepted event arrives at both apps.

The ledger stays in FOLDER, so that you can look at it in a browser afterwards. What was there before is removed.

Usage: python tools/demo.py RECEIVER AXUM_EXAMPLE FOLDER        exit status 0 if every answer and delivery is as expected
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from servers import Server, free_port, serve

SECRET = "your-webhook-secret"
ROOT = Path(__file__).resolve().parent.parent
#: How long accepted events may take to arrive once everything runs again, in seconds.
PATIENCE = 30
#: How many events `pylon-receiver demo` sends that an app should get.
EVENTS_OF_DEMO = 9

CONFIGURATION = """
listen = "127.0.0.1:{webhooks}"
admin = "127.0.0.1:{admin}"
ledger = "sqlite:{folder}/pylon.db"

[[endpoint]]
path = "/webhook"
secrets = [{{ env = "PYLON_WEBHOOK_SECRET" }}]

[[destination]]
name = "fastapi"
url = "http://127.0.0.1:{fastapi}/webhook"
secret = {{ env = "PYLON_WEBHOOK_SECRET" }}

[[destination]]
name = "axum"
url = "http://127.0.0.1:{axum}/webhook"
secret = {{ env = "PYLON_WEBHOOK_SECRET" }}
"""


class Demo:
    """The receiver and the two apps. Each comes back on the port that it had before."""

    def __init__(self, receiver: str, axum_example: str, folder: Path) -> None:
        self.binary = receiver
        self.axum_example = axum_example
        self.ports = {name: free_port() for name in ("webhooks", "admin", "fastapi", "axum")}
        self.configuration = folder / "pylon-receiver.toml"
        self.configuration.write_text(CONFIGURATION.format(folder=folder, **self.ports))

    def receiver(self) -> AbstractContextManager[Server]:
        """The receiver."""
        command = [self.binary, "serve", "--config", str(self.configuration)]
        # Its log would repeat each delivery between the lines of the demo.
        return serve(command, self.ports["webhooks"], PYLON_WEBHOOK_SECRET=SECRET, PYLON_RECEIVER_LOG="error")

    def fastapi(self) -> AbstractContextManager[Server]:
        """The app of examples/fastapi_app.py."""
        uvicorn = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--log-level", "error"]
        command = [*uvicorn, "--port", str(self.ports["fastapi"]), "examples.fastapi_app:app"]
        return serve(command, self.ports["fastapi"], PYLON_WEBHOOK_SECRET=SECRET)

    def axum(self) -> AbstractContextManager[Server]:
        """The app of examples/axum.rs."""
        address = f"127.0.0.1:{self.ports['axum']}"
        return serve([self.axum_example], self.ports["axum"], PYLON_WEBHOOK_SECRET=SECRET, ADDRESS=address)

    def send(self, *command: str) -> None:
        """Run a command that sends webhooks to the receiver; it prints the answers, and fails if one is not as expected."""
        url = f"http://127.0.0.1:{self.ports['webhooks']}/webhook"
        subprocess.run([self.binary, *command, "--to", url], check=True, env={"PYLON_WEBHOOK_SECRET": SECRET})

    def wait_until_all_is_delivered(self) -> None:
        """Wait until no delivery is left; a dead one never ends that."""
        deadline = time.monotonic() + PATIENCE
        while left := [*self.deliveries("waiting"), *self.deliveries("delivering"), *self.deliveries("dead")]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not delivered after {PATIENCE} seconds: {left}")
            time.sleep(0.05)

    def deliveries(self, state: str) -> list[dict[str, str]]:
        """The deliveries in a state."""
        command = [self.binary, "deliveries", "list", "--all", "--state", state, "--json"]
        command += ["--admin-url", f"http://127.0.0.1:{self.ports['admin']}"]
        listed: list[dict[str, str]] = json.loads(subprocess.check_output(command))
        return listed


def show(demo: Demo) -> bool:
    """Run everything and show what happens; whether both apps got everything."""
    titles = [f"Issue {number}" for number in range(1, 11)]
    with ExitStack() as stack:
        axum = stack.enter_context(demo.axum())
        fastapi_stack = stack.enter_context(ExitStack())
        fastapi = fastapi_stack.enter_context(demo.fastapi())
        receiver_stack = stack.enter_context(ExitStack())
        receiver = receiver_stack.enter_context(demo.receiver())

        print(
            "\nThe receiver stands in front of FastAPI (examples/fastapi_app.py) and axum (examples/axum.rs):",
            flush=True,
        )
        demo.send("demo")
        print(
            "\nThe handlers of both apps have run for each accepted event (what is not JSON is kept, and not delivered):",
            flush=True,
        )
        handled = {name: show_handled(name, server) for name, server in [("FastAPI", fastapi), ("axum", axum)]}
        demo.wait_until_all_is_delivered()

        print("\nThe FastAPI app is killed. Five new issues come in:", flush=True)
        fastapi.kill()
        fastapi_stack.close()
        handled["FastAPI"] += fastapi.rest
        for title in titles[:5]:
            demo.send("send", "issue_new", "--set", f"issue_title={title}")

        print("\nThe receiver is killed too (SIGKILL), and starts again. Five more come in:", flush=True)
        receiver.kill()
        receiver_stack.close()
        receiver_stack.enter_context(demo.receiver())
        for title in titles[5:]:
            demo.send("send", "issue_new", "--set", f"issue_title={title}")

        print("\nThe FastAPI app starts again. In the end the handlers have run for:", flush=True)
        fastapi = fastapi_stack.enter_context(demo.fastapi())
        demo.wait_until_all_is_delivered()
        receiver_stack.close()
        fastapi_stack.close()
    handled["FastAPI"] += fastapi.rest
    handled["axum"] += axum.rest
    # Both reports are printed, also if the first app lacks something.
    complete = [report(name, printed, titles) for name, printed in handled.items()]
    return all(complete)


def show_handled(name: str, server: Server) -> str:
    """Show what an app's handlers print for the demo's events, one event a line; the same text as it was printed."""
    lines: list[str] = []
    event: list[str] = []
    while sum(line.startswith("Event: ") for line in lines) < EVENTS_OF_DEMO:
        lines.append(server.line())
        event.append(lines[-1])
        if lines[-1].startswith("Event: "):
            print(f"  {name:<8} {' | '.join(event)}", flush=True)
            event.clear()
    return "".join(f"{line}\n" for line in lines)


def report(name: str, printed: str, titles: list[str]) -> bool:
    """Print how many events an app has handled; whether it handled those of the demo and each new issue."""
    events = printed.count("Event: ")
    found = [title for title in titles if f"New issue: {title}\n" in printed]
    again = events - len(titles) - EVENTS_OF_DEMO
    # A receiver that is killed before it can note an answer delivers the event again.
    twice = f" ({again} delivered again after the kill)" if again > 0 else ""
    print(f"  {name:<8} {events} events{twice}, among them {len(found)} of the {len(titles)} new issues")
    return len(found) == len(titles) and again >= 0


def main() -> int:
    """Show it, and say how to look at what it leaves."""
    receiver, axum_example, folder = sys.argv[1:]
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    demo = Demo(receiver, axum_example, Path(folder))
    complete = show(demo)
    print("\nNothing was lost." if complete else "\nThe apps did not get what they should have got.")
    print("\nTo see it in a browser, start the receiver once more, and open its page:")
    print(f"  PYLON_WEBHOOK_SECRET={SECRET} {receiver} serve --config {demo.configuration}")
    print(f"  http://127.0.0.1:{demo.ports['admin']}/ui/")
    return 0 if complete else 1


if __name__ == "__main__":
    # A server that hangs ends the demo.
    signal.alarm(120)
    sys.exit(main())
