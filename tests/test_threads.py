"""One handler in several threads at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from pylon_webhooks import (
    IssueNewEvent,
    PylonWebhookHandlerErrors,
    PylonWebhookSignatureError,
    WebhookHandler,
    parse_webhook_event,
    sign,
)

THREADS = 8
DELIVERIES = 200


def in_threads(work: Any) -> list[Any]:
    """What `work(number)` gives in each thread, all of them begun together."""
    barrier = Barrier(THREADS)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def body_of(thread: int, number: int) -> bytes:
    fields = {"event_type": "issue_new", "issue_id": f"{thread}-{number}", "issue_number": number}
    return json.dumps(fields).encode()


def test_every_delivery_reaches_its_handlers_with_its_own_event(secret: str) -> None:
    handler = WebhookHandler(secret)
    handler.on(IssueNewEvent)(lambda event: (event.issue_id, event.issue_number))
    handler.on_any(lambda event: event.payload["issue_id"])

    def work(thread: int) -> list[Any]:
        return [handler.handle(body := body_of(thread, n), sign(secret, body)) for n in range(DELIVERIES)]

    assert in_threads(work) == [
        [[(f"{thread}-{n}", n), f"{thread}-{n}"] for n in range(DELIVERIES)] for thread in range(THREADS)
    ]


def test_forgeries_and_failures_stay_in_the_thread_that_they_belong_to(secret: str) -> None:
    handler = WebhookHandler(secret)

    @handler.on_any
    def fail_for_odd(event: IssueNewEvent) -> str:
        assert event.issue_number is not None
        if event.issue_number % 2:
            raise LookupError(event.issue_id)
        return event.issue_id

    def work(thread: int) -> list[Any]:
        results: list[Any] = []
        for number in range(DELIVERIES):
            body = body_of(thread, number)
            try:
                results += handler.handle(body, sign(secret if number % 3 else "forged", body))
            except PylonWebhookSignatureError:
                results.append("forged")
            except PylonWebhookHandlerErrors as group:
                results.append((group.event.text("issue_id"), str(group.exceptions[0])))
        return results

    def expected(thread: int, number: int) -> Any:
        name = f"{thread}-{number}"
        return "forged" if number % 3 == 0 else (name, name) if number % 2 else name

    assert in_threads(work) == [[expected(thread, n) for n in range(DELIVERIES)] for thread in range(THREADS)]


def test_one_event_is_read_in_all_threads_alike() -> None:
    event = parse_webhook_event(body_of(0, 7) + b"\n" * 50_000)

    def work(_thread: int) -> Any:
        return event.payload, event.model_dump(), event.problems, hash(event), repr(event)

    results = in_threads(work)
    assert all(result == results[0] for result in results)


def test_handlers_registered_and_removed_meanwhile_disturb_no_delivery(secret: str) -> None:
    handler = WebhookHandler(secret)
    handler.on("issue_new")(lambda event: event.issue_id)

    def work(thread: int) -> list[Any]:
        results = []
        for number in range(DELIVERIES):
            body = body_of(thread, number)
            if thread == 0:

                @handler.on_any
                def passing(_event: Any) -> str:
                    return "passing"

                handler.remove(passing)
            results.append(handler.handle(body, sign(secret, body))[0])
        return results

    assert in_threads(work) == [[f"{thread}-{n}" for n in range(DELIVERIES)] for thread in range(THREADS)]
    body = body_of(0, 0)
    assert handler.handle(body, sign(secret, body)) == ["0-0"]


@pytest.mark.parametrize("timestamp", [None, "1700000000"])
def test_one_handler_verifies_in_all_threads(secret: str, timestamp: str | None) -> None:
    handler = WebhookHandler(secret, clock=lambda: 1_700_000_000)
    body = b"{}"
    signature = sign(secret, body, timestamp)
    assert in_threads(lambda _thread: handler.verify_signature(body, signature, timestamp)) == [None] * THREADS
