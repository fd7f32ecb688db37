"""Which deliveries are told to have been here before, for how long, and what becomes of them when something fails."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pylon_webhooks.replay
from pylon_webhooks import (
    Arrival,
    Endpoint,
    MemoryReplayStore,
    Outcome,
    PylonWebhookUnverifiedWarning,
    ReplayGuard,
    WebhookHandler,
    sign,
)
from pylon_webhooks.testing import FixedClock, signed_headers

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_700_000_000
BODY = b'{"event_type": "issue_new", "message_id": "m1"}'


class App:
    """A handler behind a guard, on a clock that stands still."""

    def __init__(self, secret: str, guard: ReplayGuard | None, **options: Any) -> None:
        self.secret = secret
        self.clock = FixedClock(NOW)
        self.handler = WebhookHandler(secret, clock=self.clock, **options)
        self.endpoint = Endpoint(self.handler, replay_guard=guard)
        self.seen: list[bytes] = []
        self.handler.on_any(lambda event: self.seen.append(event.raw))

    def headers(self, body: bytes, timestamp: int | None = None) -> dict[str, str]:
        headers = {"X-Pylon-Signature": sign(self.secret, body, timestamp)}
        return headers if timestamp is None else {**headers, "X-Pylon-Timestamp": str(timestamp)}

    def send(self, body: bytes = BODY, timestamp: int | None = None) -> str:
        """The name of the outcome."""
        return self.endpoint.respond("POST", self.headers(body, timestamp), body).name

    async def asend(self, body: bytes = BODY, timestamp: int | None = None) -> str:
        """The same, asynchronously."""
        return (await self.endpoint.arespond("POST", self.headers(body, timestamp), body)).name


# What is no setting of a guard.
WINDOW = "window must be at least 1 second, and less than 2**63"
WHOLE = "window must be a whole number of seconds"
POINTER = "a JSON pointer must start with `/`, for instance /meta/event"
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no window for a body": (lambda: ReplayGuard.body_hash(window=None), TypeError, WHOLE),  # type: ignore[arg-type]
    "a window of nothing": (lambda: ReplayGuard.body_hash(window=0), ValueError, WINDOW),
    "a negative window": (lambda: ReplayGuard.pointer("/id", window=-1), ValueError, WINDOW),
    "a window beyond 63 bits": (lambda: ReplayGuard.pointer("/id", window=2**63), ValueError, WINDOW),
    "a window beyond all": (lambda: ReplayGuard.body_hash(window=10**100), ValueError, WINDOW),
    "a float window": (lambda: ReplayGuard.body_hash(window=1.0), TypeError, WHOLE),  # type: ignore[arg-type]
    "a boolean window": (lambda: ReplayGuard.body_hash(window=True), TypeError, WHOLE),
    "a text window": (lambda: ReplayGuard.pointer("/id", window="60"), TypeError, WHOLE),  # type: ignore[arg-type]
    "a pointer without a slash": (lambda: ReplayGuard.pointer("id"), ValueError, POINTER),
    "an empty pointer": (lambda: ReplayGuard.pointer(""), ValueError, POINTER),
    "a path for a pointer": (lambda: ReplayGuard.pointer("$.id"), ValueError, POINTER),
}


@pytest.mark.parametrize(("make", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_a_guard_refuses_a_window_or_pointer_that_cannot_hold(
    make: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        make()
    assert (type(caught.value), str(caught.value)) == (error, message)


@pytest.mark.parametrize("pointer", [None, 1, b"/id", ["/id"]], ids=repr)
def test_a_pointer_is_text(pointer: Any) -> None:
    with pytest.raises(TypeError):
        ReplayGuard.pointer(pointer)


class OnlyFirstSeen:
    def first_seen(self, _key: str, _expires: int | None) -> bool:
        return True


class NotCallable(OnlyFirstSeen):
    forget = None


STORES: dict[str, tuple[Any, str]] = {
    "without forget": (OnlyFirstSeen(), "OnlyFirstSeen has no forget"),
    "with a forget that cannot be called": (NotCallable(), "NotCallable has no forget"),
    "a dict": ({}, "dict has no first_seen"),
    "a set": (set(), "set has no first_seen"),
    "text": ("redis://localhost", "str has no first_seen"),
    "False": (False, "bool has no first_seen"),
}


@pytest.mark.parametrize(("store", "message"), STORES.values(), ids=STORES)
def test_a_store_without_both_methods_is_refused_at_once(store: Any, message: str) -> None:
    for make in (
        ReplayGuard.exact_request,
        lambda store: ReplayGuard.pointer("/id", store=store),
        lambda store: ReplayGuard.body_hash(window=1, store=store),
    ):
        with pytest.raises(TypeError) as caught:
            make(store=store)
        assert str(caught.value) == f"a replay store needs first_seen(key, expires) and forget(key), and {message}"


def test_guards_say_what_they_go_by() -> None:
    assert repr(ReplayGuard.exact_request()) == "<ReplayGuard by exact request>"
    assert repr(ReplayGuard.pointer("/message_id")) == "<ReplayGuard by pointer /message_id>"
    assert repr(ReplayGuard.pointer("/a/b", window=60)) == "<ReplayGuard by pointer /a/b, 60 seconds>"
    assert repr(ReplayGuard.body_hash(window=1)) == "<ReplayGuard by body hash, 1 seconds>"


def test_the_protocol_of_stores_is_there_for_annotations() -> None:
    assert pylon_webhooks.replay.ReplayStore.__name__ == "ReplayStore"
    with pytest.raises(AttributeError, match=r"^module 'pylon_webhooks\.replay' has no attribute 'RedisStore'$"):
        pylon_webhooks.replay.RedisStore  # noqa: B018 - the reading is what fails


def test_a_duplicate_is_answered_200_told_in_the_log_and_handled_by_nobody(
    secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(secret, ReplayGuard.exact_request())
    told: list[Exception] = []
    app.handler.on_error(told.append)
    assert app.send() == "handled"
    with caplog.at_level(logging.INFO, "pylon_webhooks"):
        outcome = app.endpoint.respond("POST", app.headers(BODY), BODY)
    assert (outcome, outcome.status, outcome.body) == (Outcome.DUPLICATE, 200, b'{"status":"duplicate"}')
    assert app.seen == [BODY]
    assert told == []
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "INFO",
        (
            "Pylon webhook not handled again: it is a copy of an earlier delivery (<IssueNewEvent event_type='issue_new' issue_id='', "
            "47 bytes>)"
        ),
    )


def test_a_refused_delivery_is_remembered_by_nobody(secret: str) -> None:
    store = MemoryReplayStore()
    app = App(secret, ReplayGuard.body_hash(window=60, store=store))
    app.endpoint.respond("POST", {}, BODY)
    app.endpoint.respond("POST", app.headers(BODY, NOW - 301), BODY)
    app.endpoint.respond("POST", app.headers(b"{"), b"{")
    assert len(store) == 0
    assert app.send() == "handled"
    assert len(store) == 1


# Rules, two deliveries (body and timestamp), and whether the second is the first again.
OTHER = b'{"event_type": "issue_new", "message_id": "m2"}'
SPACED = b'{"event_type":"issue_new","message_id":"m1"}'
ASSIGNED = b'{"event_type": "issue_assigned", "message_id": "m1"}'
PAIRS: dict[str, tuple[Callable[[], ReplayGuard], Any, Any, bool]] = {
    "exact: the same": (ReplayGuard.exact_request, (BODY, None), (BODY, None), True),
    "exact: the same with a timestamp": (ReplayGuard.exact_request, (BODY, NOW), (BODY, NOW), True),
    "exact: another timestamp": (ReplayGuard.exact_request, (BODY, NOW), (BODY, NOW - 1), False),
    "exact: with and without a timestamp": (ReplayGuard.exact_request, (BODY, NOW), (BODY, None), False),
    "exact: another body": (ReplayGuard.exact_request, (BODY, None), (OTHER, None), False),
    "exact: other white space": (ReplayGuard.exact_request, (BODY, None), (SPACED, None), False),
    "body: the same": (lambda: ReplayGuard.body_hash(window=60), (BODY, None), (BODY, None), True),
    "body: another timestamp": (lambda: ReplayGuard.body_hash(window=60), (BODY, NOW), (BODY, NOW - 9), True),
    "body: with and without": (lambda: ReplayGuard.body_hash(window=60), (BODY, NOW), (BODY, None), True),
    "body: other white space": (lambda: ReplayGuard.body_hash(window=60), (BODY, None), (SPACED, None), False),
    "pointer: the same": (lambda: ReplayGuard.pointer("/message_id"), (BODY, None), (BODY, None), True),
    "pointer: other white space": (lambda: ReplayGuard.pointer("/message_id"), (BODY, None), (SPACED, NOW), True),
    "pointer: another value": (lambda: ReplayGuard.pointer("/message_id"), (BODY, None), (OTHER, None), False),
    "pointer: another kind": (lambda: ReplayGuard.pointer("/message_id"), (BODY, None), (ASSIGNED, None), False),
    "pointer: the kind in another spelling": (
        lambda: ReplayGuard.pointer("/message_id"),
        (BODY, None),
        (BODY.replace(b"issue_new", b"Issue.New"), None),
        True,
    ),
    "pointer: to nothing": (lambda: ReplayGuard.pointer("/nothing"), (BODY, None), (BODY, None), False),
}


@pytest.mark.parametrize(("guard", "first", "second", "again"), PAIRS.values(), ids=PAIRS)
def test_each_rule_tells_two_deliveries_apart_as_it_says(
    guard: Callable[[], ReplayGuard], first: Any, second: Any, again: bool, secret: str
) -> None:
    app = App(secret, guard())
    assert [app.send(*first), app.send(*second)] == ["handled", "duplicate" if again else "handled"]
    app = App(secret, guard())
    assert asyncio.run(app.asend(*first)) == "handled"
    assert asyncio.run(app.asend(*second)) == ("duplicate" if again else "handled")


# Values, and whether an event can be told by them.
VALUES: dict[str, tuple[Any, bool]] = {
    "text": ("m1", True),
    "a number": (17, True),
    "zero": (0, True),
    "a negative number": (-17, True),
    "the largest number": (2**64 - 1, True),
    "true": (True, True),
    "false": (False, True),
    "very long text": ("x" * 100_000, True),
    "text with NUL": ("a\0b", True),
    "a half surrogate pair": ("\ud800", True),
    "emoji": ("\U0001f600", True),
    "a fraction": (1.5, False),
    "a number beyond 64 bits": (10**30, False),
    "null": (None, False),
    "null as text": (" Null ", False),
    "a variable that Pylon does not know": (" {{issue.unknown}} ", False),
    "empty text": ("", False),
    "white space": (" \t\n", False),
    "white space of other kinds": ("\u00a0\u2003", False),
    "a list": (["m1"], False),
    "an object": ({"id": "m1"}, False),
    "an empty list": ([], False),
}


@pytest.mark.parametrize(("value", "tells"), VALUES.values(), ids=VALUES)
def test_an_event_without_a_value_to_go_by_is_never_a_duplicate(value: Any, tells: bool, secret: str) -> None:
    app = App(secret, ReplayGuard.pointer("/meta/0/i~1d"))
    body = json.dumps({"event_type": "x", "meta": [{"i/d": value}]}).encode()
    assert [app.send(body), app.send(body)] == ["handled", "duplicate" if tells else "handled"]


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null", b"{}"], ids=repr)
def test_a_body_of_any_shape_can_be_asked_for_a_value(body: bytes, secret: str) -> None:
    app = App(secret, ReplayGuard.pointer("/id"))
    assert [app.send(body), app.send(body)] == ["handled", "handled"]


def test_no_value_can_pass_for_another_event(secret: str) -> None:
    # Name, pointer and value are one text within; none of them may reach into the next.
    app = App(secret, ReplayGuard.pointer("/a"))
    bodies = [
        {"event_type": "x", "a": "1\0/a\0002"},
        {"event_type": "x\0/a\0001", "a": "2"},
        {"event_type": "x", "a": 1},
        {"event_type": "x", "a": 12},
        {"event_type": "x1", "a": 2},
    ]
    assert [app.send(json.dumps(body).encode()) for body in bodies] == ["handled"] * 5


def test_a_number_and_the_text_of_it_are_one_value(secret: str) -> None:
    # Templates put quotes around numbers; an admin who takes them away sends no new events.
    app = App(secret, ReplayGuard.pointer("/id"))
    assert app.send(b'{"event_type": "x", "id": 17}') == "handled"
    assert app.send(b'{"event_type": "x", "id": "17"}') == "duplicate"


@pytest.mark.parametrize("tolerance", [0, 1, 300])
@pytest.mark.parametrize("ahead", [-1, 0, 1])
def test_an_exact_request_is_remembered_exactly_as_long_as_its_timestamp_is_accepted(
    tolerance: int, ahead: int, secret: str
) -> None:
    store_clock = FixedClock(NOW)
    store = MemoryReplayStore(clock=store_clock)
    app = App(secret, ReplayGuard.exact_request(store=store), timestamp_tolerance=tolerance)
    timestamp = NOW + max(-tolerance, min(tolerance, ahead * tolerance))
    assert app.send(BODY, timestamp) == "handled"
    for _ in range(timestamp + tolerance - NOW):
        app.clock.advance(1)
        store_clock.advance(1)
        assert app.send(BODY, timestamp) == "duplicate"
    assert len(store) == 1
    app.clock.advance(1)
    store_clock.advance(1)
    assert app.send(BODY, timestamp) == "unauthorized"
    # Nobody needs it any more: the next one to come finds it gone.
    assert app.send(OTHER) == "handled"
    assert len(store) == 1


@pytest.mark.parametrize(
    "make", [lambda: ReplayGuard.body_hash(window=5), lambda: ReplayGuard.pointer("/message_id", window=5)]
)
def test_a_window_ends_to_the_second(make: Callable[[], ReplayGuard], secret: str) -> None:
    app = App(secret, make())
    outcomes = [app.send()]
    for _ in range(11):
        app.clock.advance(1)
        outcomes.append(app.send())
    # A duplicate does not begin the window anew.
    assert outcomes == (["handled"] + ["duplicate"] * 4) * 2 + ["handled", "duplicate"]


@pytest.mark.parametrize("make", [ReplayGuard.exact_request, lambda: ReplayGuard.pointer("/message_id")])
def test_without_an_end_it_is_remembered_for_years(make: Callable[[], ReplayGuard], secret: str) -> None:
    app = App(secret, make())
    assert app.send() == "handled"
    app.clock.advance(10**12)
    assert app.send() == "duplicate"


def test_the_longest_window_does_not_overflow(secret: str) -> None:
    app = App(secret, ReplayGuard.body_hash(window=2**63 - 1))
    app.clock.unix_seconds = 2**63
    assert [app.send(), app.send()] == ["handled", "duplicate"]


class Store:
    """A store that keeps notes, and answers and fails as it is told."""

    def __init__(self, answer: Any = None, *, first_seen: BaseException | None = None, forget: Any = None) -> None:
        self.answer = answer
        self.fails = first_seen
        self.forget_fails = forget
        self.keys: set[str] = set()
        self.calls: list[tuple[Any, ...]] = []
        self.lock = threading.Lock()

    def first_seen(self, key: str, expires: int | None) -> Any:
        self.calls.append(("first_seen", key, expires))
        if self.fails is not None:
            raise self.fails
        if self.answer is not None:
            return self.answer
        with self.lock:
            new = key not in self.keys
            self.keys.add(key)
        return new

    def forget(self, key: str) -> Any:
        self.calls.append(("forget", key))
        if self.forget_fails is not None:
            raise self.forget_fails
        self.keys.discard(key)


class AsyncStore(Store):
    async def first_seen(self, key: str, expires: int | None) -> Any:
        await asyncio.sleep(0)
        return super().first_seen(key, expires)

    async def forget(self, key: str) -> Any:
        await asyncio.sleep(0)
        return super().forget(key)


class Later:
    """Something to be awaited that is no coroutine."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call

    def __await__(self) -> Any:
        yield from asyncio.sleep(0).__await__()
        return self.call()


class AwaitableStore(Store):
    def first_seen(self, key: str, expires: int | None) -> Any:
        return Later(lambda: Store.first_seen(self, key, expires))

    def forget(self, key: str) -> Any:
        return Later(lambda: Store.forget(self, key))


class FutureStore(Store):
    def first_seen(self, key: str, expires: int | None) -> Any:
        future = asyncio.get_running_loop().create_future()
        future.set_result(super().first_seen(key, expires))
        return future


ASYNC_STORES = [Store, AsyncStore, AwaitableStore, FutureStore]


@pytest.mark.parametrize("store_class", ASYNC_STORES)
def test_stores_of_every_manner_are_asked_under_arespond(store_class: type[Store], secret: str) -> None:
    store = store_class()
    app = App(secret, ReplayGuard.exact_request(store=store))

    async def fail(_event: Any) -> None:
        raise LookupError("a bug")

    async def requests() -> list[str]:
        app.handler.on_any(fail)
        outcomes = [await app.asend()]
        app.handler.remove(fail)
        return [*outcomes, await app.asend(), await app.asend(), await app.asend(BODY, NOW)]

    assert asyncio.run(requests()) == ["failed", "handled", "duplicate", "handled"]
    (key, *_) = (call[1] for call in store.calls)
    assert [call[0] for call in store.calls] == ["first_seen", "forget", "first_seen", "first_seen", "first_seen"]
    assert store.calls[0] == ("first_seen", key, None)
    assert store.calls[-1][2] == NOW + 301
    # A key tells nothing of the delivery.
    assert (len(key), set(key) <= set("0123456789abcdef")) == (64, True)


ASYNC_NEEDED = "an async store needs an async framework"


@pytest.mark.parametrize("store_class", [AsyncStore, AwaitableStore])
def test_an_async_store_under_respond_is_a_500_that_says_what_to_do(
    store_class: type[Store], secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(secret, ReplayGuard.exact_request(store=store_class()))
    name = "coroutine" if store_class is AsyncStore else "Later"
    assert app.send() == "failed"
    # A coroutine that nobody awaited would warn, and warnings are errors here.
    gc.collect()
    assert app.seen == []
    (record,) = caplog.records
    assert record.getMessage() == "Pylon webhook not handled: something failed before its handlers ran"
    assert caplog.text.rstrip().endswith(
        f"WrongAnswerError: first_seen must return True or False, not {name}; {ASYNC_NEEDED}"
    )


@pytest.mark.parametrize("answer", [1, 0, "OK", "", [], b"1", 1.0, object()], ids=repr)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_store_that_answers_neither_true_nor_false_is_a_500(
    answer: Any, is_async: bool, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(secret, ReplayGuard.exact_request(store=AsyncStore(answer) if is_async else Store(answer)))
    assert (asyncio.run(app.asend()) if is_async else app.send()) == "failed"
    assert app.seen == []
    name = type(answer).__name__
    assert f"WrongAnswerError: first_seen must return True or False, not {name}; {ASYNC_NEEDED}\n" in f"{caplog.text}\n"


def test_a_store_that_answers_nothing_is_a_500(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    class Silent(Store):
        def first_seen(self, key: str, expires: int | None) -> Any:
            # What redis-py's `set(nx=True)` gives for a key that is there.
            return None

    app = App(secret, ReplayGuard.exact_request(store=Silent()))
    assert [app.send(), asyncio.run(app.asend())] == ["failed", "failed"]
    assert "first_seen must return True or False, not NoneType" in caplog.text


@pytest.mark.parametrize("store_class", [Store, AsyncStore])
@pytest.mark.parametrize("error", [ConnectionError("redis is down"), ValueError("odd"), TypeError("odd")], ids=repr)
def test_a_store_that_fails_is_a_500_and_no_handler_runs(
    store_class: type[Store], error: Exception, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(secret, ReplayGuard.exact_request(store=store_class(first_seen=error)))
    if store_class is Store:
        assert app.send() == "failed"
        caplog.clear()
    assert asyncio.run(app.asend()) == "failed"
    assert app.seen == []
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "ERROR",
        "Pylon webhook not handled: something failed before its handlers ran",
    )
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize("store_class", [Store, AsyncStore])
def test_a_store_that_cannot_forget_is_told_of_and_the_first_failure_too(
    store_class: type[Store], secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(secret, ReplayGuard.exact_request(store=store_class(forget=ConnectionError("redis is down"))))
    told: list[Exception] = []
    app.handler.on_error(told.append)

    @app.handler.on_any
    def fail(_event: Any) -> None:
        raise LookupError("a bug")

    assert asyncio.run(app.asend()) == "failed"
    if store_class is Store:
        caplog.clear()
        app = App(secret, ReplayGuard.exact_request(store=store_class(forget=ConnectionError("redis is down"))))
        app.handler.on_any(fail)
        assert app.send() == "failed"
    assert len(told) == 1
    assert [record.getMessage() for record in caplog.records] == [
        (
            "Pylon webhook not handled: a handler failed for <IssueNewEvent event_type='issue_new' issue_id='', 47 bytes>"
            " (1 sub-exception)"
        ),
        "the replay store failed to forget a delivery whose handlers failed: if Pylon sends it again, it is not handled",
    ]


def test_a_failed_handler_gives_the_key_back_and_the_next_try_is_handled(secret: str) -> None:
    app = App(secret, ReplayGuard.exact_request())
    failures = [LookupError("a bug"), LookupError("a bug")]

    @app.handler.on_any
    def fail(_event: Any) -> None:
        if failures:
            raise failures.pop()

    assert app.send() == "failed"
    assert asyncio.run(app.asend()) == "failed"
    assert app.send() == "handled"
    assert app.send() == asyncio.run(app.asend()) == "duplicate"


def test_an_async_handler_where_none_can_be_awaited_gives_the_key_back(secret: str) -> None:
    app = App(secret, ReplayGuard.exact_request())

    @app.handler.on_any
    async def later(_event: Any) -> None: ...

    assert app.send() == "failed"
    assert asyncio.run(app.asend()) == "handled"


@pytest.mark.parametrize("store_class", ASYNC_STORES)
def test_a_cancelled_handler_gives_the_key_back(store_class: type[Store], secret: str) -> None:
    store = store_class()
    app = App(secret, ReplayGuard.exact_request(store=store))

    async def requests() -> str:
        begun = asyncio.Event()

        @app.handler.on_any
        async def hang(_event: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(app.asend())
        await begun.wait()
        assert await app.asend() == "unavailable"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.keys == set()
        app.handler.remove(hang)
        return await app.asend()

    assert asyncio.run(requests()) == "handled"


@pytest.mark.parametrize("fails", [False, True], ids=["remembers", "fails"])
def test_a_delivery_cancelled_while_its_store_is_asked_is_not_remembered(fails: bool, secret: str) -> None:
    async def requests() -> list[Any]:
        asked, answer = asyncio.Event(), asyncio.Event()

        class Slow(AsyncStore):
            async def first_seen(self, key: str, expires: int | None) -> Any:
                asked.set()
                await answer.wait()
                return Store.first_seen(self, key, expires)

        store = Slow(first_seen=ConnectionError("redis is down") if fails else None)
        app = App(secret, ReplayGuard.exact_request(store=store))
        task = asyncio.create_task(app.asend())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # Nobody waits for the answer any more, and the store remembers all the same: a copy must not be told that it was handled.
        assert await app.asend() == "unavailable"
        answer.set()
        for _ in range(20):
            await asyncio.sleep(0)
        calls = [call[0] for call in store.calls]
        store.fails = None
        return [calls, await app.asend(), app.seen]

    expected = ["first_seen"] if fails else ["first_seen", "forget"]
    assert asyncio.run(requests()) == [expected, "handled", [BODY]]


def test_a_duplicate_cancelled_while_its_store_is_asked_takes_nothing_from_the_first(secret: str) -> None:
    async def requests() -> list[str]:
        asked, answer = asyncio.Event(), asyncio.Event()

        class Slow(AsyncStore):
            async def first_seen(self, key: str, expires: int | None) -> Any:
                if self.keys:
                    asked.set()
                    await answer.wait()
                return Store.first_seen(self, key, expires)

        store = Slow()
        app = App(secret, ReplayGuard.exact_request(store=store))
        outcomes = [await app.asend()]
        task = asyncio.create_task(app.asend())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer.set()
        for _ in range(20):
            await asyncio.sleep(0)
        # A captured delivery must not open the door by hanging up.
        return [*outcomes, await app.asend()]

    assert asyncio.run(requests()) == ["handled", "duplicate"]


@pytest.mark.parametrize("own", [False, True], ids=["memory", "own"])
def test_of_64_identical_requests_in_threads_one_is_handled(own: bool, secret: str) -> None:
    app = App(secret, ReplayGuard.exact_request(store=Store() if own else None))
    barrier = threading.Barrier(64)
    outcomes: list[str] = []

    def send() -> None:
        barrier.wait(timeout=60)
        outcomes.append(app.send())

    threads = [threading.Thread(target=send) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert outcomes.count("handled") == 1
    assert {*outcomes} <= {"handled", "duplicate", "unavailable"}
    assert app.seen == [BODY]
    assert app.send() == "duplicate"


@pytest.mark.parametrize("store_class", [None, *ASYNC_STORES])
def test_of_64_identical_requests_in_tasks_one_is_handled(store_class: type[Store] | None, secret: str) -> None:
    app = App(secret, ReplayGuard.exact_request(store=None if store_class is None else store_class()))

    async def requests() -> list[str]:
        return await asyncio.gather(*[app.asend() for _ in range(64)])

    outcomes = asyncio.run(requests())
    assert outcomes.count("handled") == 1
    assert {*outcomes} <= {"handled", "duplicate", "unavailable"}
    assert app.seen == [BODY]
    assert asyncio.run(app.asend()) == "duplicate"


IN_FLIGHT = "Pylon webhook turned away: a copy of the delivery is being handled"


@pytest.mark.parametrize("store_class", ASYNC_STORES)
@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_a_copy_that_comes_while_the_first_is_handled_is_turned_away_and_then_told_how_it_ended(
    fails: bool, store_class: type[Store], secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(secret, ReplayGuard.exact_request(store=store_class()))

    async def requests() -> list[str]:
        begun, gate, failures = asyncio.Event(), asyncio.Event(), [LookupError("a bug")] if fails else []

        @app.handler.on_any
        async def handle(_event: Any) -> None:
            begun.set()
            await gate.wait()
            if failures:
                raise failures.pop()

        first = asyncio.create_task(app.asend())
        await begun.wait()
        outcomes = [await app.asend(), await app.asend()]
        gate.set()
        return [*outcomes, await first, await app.asend(), await app.asend()]

    if fails:
        after = ["failed", "handled", "duplicate"]
    else:
        after = ["handled", "duplicate", "duplicate"]
    assert asyncio.run(requests()) == ["unavailable", "unavailable", *after]
    lines = [(record.levelname, record.getMessage()) for record in caplog.records if record.levelname == "WARNING"]
    assert lines == [("WARNING", IN_FLIGHT)] * 2


@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_a_copy_in_another_thread_is_turned_away_and_then_told_how_the_first_ended(fails: bool, secret: str) -> None:
    app = App(secret, ReplayGuard.exact_request())
    begun, gate = threading.Event(), threading.Event()
    failures = [LookupError("a bug")] if fails else []
    outcomes: list[str] = []

    @app.handler.on_any
    def handle(_event: Any) -> None:
        begun.set()
        assert gate.wait(60)
        if failures:
            raise failures.pop()

    thread = threading.Thread(target=lambda: outcomes.append(app.send()))
    thread.start()
    assert begun.wait(60)
    assert [app.send(), asyncio.run(app.asend())] == ["unavailable"] * 2
    # Another delivery is none of its business.
    assert app.endpoint.receive("POST", app.headers(OTHER), OTHER).event.raw == OTHER
    gate.set()
    thread.join(timeout=60)
    assert outcomes == ["failed" if fails else "handled"]
    assert [app.send(), app.send()] == ["handled" if fails else "duplicate", "duplicate"]


def test_a_handler_that_is_sent_its_own_delivery_is_told_that_it_is_being_handled(secret: str) -> None:
    app = App(secret, ReplayGuard.exact_request())
    outcomes: list[str] = []
    app.handler.on_any(lambda _event: outcomes.append(app.send()))
    assert app.send() == "handled"
    assert outcomes == ["unavailable"]


class Half(Store):
    """A store whose first answer is lost on the way."""

    def first_seen(self, key: str, expires: int | None) -> Any:
        answer = super().first_seen(key, expires)
        if self.answer is None and (error := self.lost) is not None:
            self.lost = None
            raise error
        return answer

    lost: BaseException | None = None


class AsyncHalf(Half):
    async def first_seen(self, key: str, expires: int | None) -> Any:
        await asyncio.sleep(0)
        return super().first_seen(key, expires)

    async def forget(self, key: str) -> Any:
        await asyncio.sleep(0)
        return super().forget(key)


@pytest.mark.parametrize("store_class", [Half, AsyncHalf])
def test_a_store_that_remembers_and_then_fails_is_told_to_forget(store_class: type[Half], secret: str) -> None:
    store = store_class()
    store.lost = ConnectionError("redis is down")
    app = App(secret, ReplayGuard.exact_request(store=store))
    outcomes = [asyncio.run(app.asend()) for _ in range(3)]
    assert outcomes == ["failed", "handled", "duplicate"]
    assert [call[0] for call in store.calls] == ["first_seen", "forget", "first_seen", "first_seen"]


def test_a_store_that_is_interrupted_is_told_to_forget(secret: str) -> None:
    store = Half()
    store.lost = KeyboardInterrupt()
    app = App(secret, ReplayGuard.exact_request(store=store))
    with pytest.raises(KeyboardInterrupt):
        app.send()
    assert [app.send(), app.send()] == ["handled", "duplicate"]


def test_an_arrival_is_ended_by_whoever_took_it(secret: str) -> None:
    app = App(secret, ReplayGuard.exact_request())

    def receive() -> Any:
        return app.endpoint.receive("POST", app.headers(BODY), BODY)

    first = receive()
    assert receive() == Outcome.UNAVAILABLE
    first.give_back()
    second = receive()
    assert second.event.raw == BODY
    second.settle()
    assert receive() == Outcome.DUPLICATE
    # Twice is once.
    second.settle()
    assert receive() == Outcome.DUPLICATE

    async def areceive() -> None:
        body = OTHER
        arrival = await app.endpoint.areceive("POST", app.headers(body), body)
        assert not isinstance(arrival, Outcome)
        assert await app.endpoint.areceive("POST", app.headers(body), body) == Outcome.UNAVAILABLE
        await arrival.agive_back()
        again = await app.endpoint.areceive("POST", app.headers(body), body)
        assert not isinstance(again, Outcome)
        again.settle()
        assert await app.endpoint.areceive("POST", app.headers(body), body) == Outcome.DUPLICATE

    asyncio.run(areceive())


def test_an_arrival_as_a_context_manager_ends_as_the_block_does(secret: str) -> None:
    app = App(secret, ReplayGuard.exact_request())

    def receive() -> Any:
        return app.endpoint.receive("POST", app.headers(BODY), BODY)

    async def areceive() -> Any:
        return await app.endpoint.areceive("POST", app.headers(OTHER), OTHER)

    with pytest.raises(LookupError), receive() as arrival:
        assert arrival.event.raw == BODY
        assert receive() == Outcome.UNAVAILABLE
        raise LookupError
    with receive() as arrival:
        # What the function has ended itself stays so.
        arrival.give_back()
    with receive():
        pass
    assert receive() == Outcome.DUPLICATE

    async def use() -> None:
        for error in (LookupError, GeneratorExit, asyncio.CancelledError):
            with pytest.raises(error):
                async with await areceive() as arrival:
                    assert arrival.event.raw == OTHER
                    assert await areceive() == Outcome.UNAVAILABLE
                    raise error
        async with await areceive() as arrival:
            await arrival.agive_back()
        async with await areceive():
            pass
        assert await areceive() == Outcome.DUPLICATE

    asyncio.run(use())


def test_what_is_given_back_twice_is_forgotten_once(secret: str) -> None:
    forgotten: list[str] = []

    class Noting(Store):
        def forget(self, key: str) -> Any:
            forgotten.append(key)
            return super().forget(key)

    app = App(secret, ReplayGuard.exact_request(store=Noting()))
    arrival = app.endpoint.receive("POST", app.headers(BODY), BODY)
    assert isinstance(arrival, Arrival)
    arrival.give_back()
    arrival.give_back()
    asyncio.run(arrival.agive_back())
    assert len(forgotten) == 1


def test_an_arrival_without_a_guard_can_be_ended_all_the_same(secret: str) -> None:
    app = App(secret, None)
    for _ in range(2):
        arrival = app.endpoint.receive("POST", app.headers(BODY), BODY)
        assert not isinstance(arrival, Outcome)
        arrival.give_back()
        arrival.settle()
        asyncio.run(arrival.agive_back())


def test_in_a_scope_that_anyio_cancels_the_key_is_given_back_to_the_end(secret: str) -> None:
    # Where anyio has cancelled, each further `await` of the scope is cancelled as well, those that tidy up included.
    forgotten: list[str] = []

    class Slow(AsyncStore):
        async def forget(self, key: str) -> Any:
            await gate.wait()
            forgotten.append(key)
            Store.forget(self, key)
            done.set()

    gate, done = asyncio.Event(), asyncio.Event()
    app = App(secret, ReplayGuard.exact_request(store=Slow()))

    async def requests() -> list[str]:
        @app.handler.on_any
        async def hang(_event: Any) -> None:
            scope.cancel()
            await asyncio.Event().wait()

        with anyio.CancelScope() as scope:
            await app.asend()
        assert scope.cancelled_caught
        # It is not forgotten yet, and nobody has handled it.
        assert await app.asend() == "unavailable"
        gate.set()
        await asyncio.wait_for(done.wait(), 60)
        app.handler.remove(hang)
        await asyncio.sleep(0)
        with anyio.move_on_after(60):
            return [await app.asend(), await app.asend()]

    assert asyncio.run(requests()) == ["handled", "duplicate"]
    assert len(forgotten) == 1


def test_in_a_scope_of_anyio_whose_time_is_over_nothing_is_remembered(secret: str) -> None:
    asked: list[str] = []

    class Slow(AsyncStore):
        async def first_seen(self, key: str, expires: int | None) -> Any:
            asked.append(key)
            for _ in range(5):
                await asyncio.sleep(0)
            return Store.first_seen(self, key, expires)

        async def forget(self, key: str) -> Any:
            await super().forget(key)
            done.set()

    done = asyncio.Event()
    app = App(secret, ReplayGuard.exact_request(store=Slow()))

    async def requests() -> list[str]:
        with anyio.move_on_after(0) as scope:
            await app.asend()
        assert scope.cancelled_caught
        assert asked
        await asyncio.wait_for(done.wait(), 60)
        return [await app.asend(), await app.asend()]

    assert asyncio.run(requests()) == ["handled", "duplicate"]
    assert app.seen == [BODY]


def test_a_guard_with_a_store_holds_for_all_endpoints_that_have_it(secret: str) -> None:
    guard = ReplayGuard.exact_request(store=MemoryReplayStore())
    first, second = App(secret, guard), App(secret, guard)
    assert [first.send(), second.send(), first.send()] == ["handled", "duplicate", "duplicate"]


def test_a_guard_without_a_store_gives_each_endpoint_its_own(secret: str) -> None:
    guard = ReplayGuard.exact_request()
    first, second = App(secret, guard), App(secret, guard)
    assert [first.send(), second.send(), first.send()] == ["handled", "handled", "duplicate"]


def test_guards_of_different_rules_do_not_meet_in_one_store(secret: str) -> None:
    store = MemoryReplayStore(clock=lambda: NOW)
    guards = [
        ReplayGuard.exact_request(store=store),
        ReplayGuard.body_hash(window=60, store=store),
        ReplayGuard.pointer("/message_id", store=store),
        ReplayGuard.pointer("/event_type", store=store),
    ]
    assert [App(secret, guard).send() for guard in guards] == ["handled"] * 4
    assert len(store) == 4


def test_an_unverified_handler_is_guarded_all_the_same() -> None:
    with pytest.warns(PylonWebhookUnverifiedWarning):
        handler = WebhookHandler("secret", verify_signature=False, clock=lambda: NOW)
    endpoint = Endpoint(handler, replay_guard=ReplayGuard.exact_request())
    for headers in ({}, {"X-Pylon-Timestamp": str(NOW)}):
        outcomes = [endpoint.respond("POST", headers, BODY) for _ in range(2)]
        assert outcomes == [Outcome.HANDLED, Outcome.DUPLICATE]
    # A timestamp that is none goes for none.
    assert endpoint.respond("POST", {"X-Pylon-Timestamp": "nonsense"}, BODY) == Outcome.DUPLICATE


def test_a_store_in_memory_remembers_until_the_second_that_it_is_told() -> None:
    clock = FixedClock(NOW)
    store = MemoryReplayStore(clock=clock)
    assert store.first_seen("a", NOW + 2) is True
    for _ in range(2):
        assert store.first_seen("a", NOW + 99) is False
        clock.advance(1)
    assert store.first_seen("a", None) is True
    clock.advance(10**12)
    assert store.first_seen("a", None) is False
    store.forget("a")
    store.forget("a")
    assert (len(store), store.first_seen("a", NOW)) == (0, True)
    # It has expired already.
    assert store.first_seen("a", None) is True


def test_a_full_store_forgets_what_expires_first_and_then_the_oldest() -> None:
    store = MemoryReplayStore(capacity=3, clock=lambda: NOW)
    for key, expires in [("for ever", None), ("late", NOW + 9), ("soon", NOW + 1), ("next", None)]:
        assert store.first_seen(key, expires) is True
    assert repr(store) == "<MemoryReplayStore, 3 keys>"
    assert store.first_seen("soon", None) is True
    assert store.first_seen("for ever", None) is False
    assert store.first_seen("last", None) is True
    assert store.first_seen("for ever", None) is True


CAPACITY = "capacity must be at least 1"


def test_a_capacity_must_be_a_positive_whole_number() -> None:
    with pytest.raises(ValueError, match=f"^{CAPACITY}$"):
        MemoryReplayStore(0)
    for capacity in (-1, 2**64, 10**100):
        with pytest.raises((ValueError, OverflowError)):
            MemoryReplayStore(capacity)
    for wrong in (1.5, "5", None, [], b"5"):
        with pytest.raises(TypeError):
            MemoryReplayStore(wrong)  # type: ignore[arg-type]
    # No room is taken before it is needed.
    assert MemoryReplayStore(2**63).first_seen("a", None) is True


@pytest.mark.parametrize(("clock", "name"), [(1, "int"), ("now", "str"), (NOW + 0.5, "float"), ([], "list")])
def test_a_clock_that_cannot_be_called_is_refused(clock: Any, name: str) -> None:
    with pytest.raises(TypeError) as caught:
        MemoryReplayStore(clock=clock)
    assert str(caught.value) == f"clock must be callable, not {name}"


def test_a_clock_that_fails_fails_the_store_and_changes_nothing() -> None:
    answers: list[Any] = [NOW, "soon", float("nan"), None, NOW]
    store = MemoryReplayStore(clock=lambda: answers.pop(0))
    assert store.first_seen("a", None) is True
    with pytest.raises(TypeError, match=r"^clock must return Unix seconds as int or float, found str$"):
        store.first_seen("b", None)
    with pytest.raises(ValueError, match=r"^clock must return Unix seconds, found a number that is not finite$"):
        store.first_seen("b", None)
    with pytest.raises(TypeError, match=r"^clock must return Unix seconds as int or float, found None$"):
        store.first_seen("b", None)
    assert store.first_seen("b", None) is True


@pytest.mark.parametrize(
    "arguments",
    [(1, None), (b"a", None), (None, None), ("a", -1), ("a", 2**64), ("a", 1.5), ("a", "1"), ("\ud800", None)],
)
def test_a_store_in_memory_takes_text_and_seconds_alone(arguments: Any) -> None:
    store = MemoryReplayStore()
    with pytest.raises((TypeError, ValueError, OverflowError)):
        store.first_seen(*arguments)
    assert len(store) == 0


class Model:
    """What a store in memory should do, in as few words as possible."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.expires: OrderedDict[str, float] = OrderedDict()

    def first_seen(self, key: str, expires: int | None, now: int) -> bool:
        for old in [old for old, end in self.expires.items() if end <= now]:
            del self.expires[old]
        if key in self.expires:
            return False
        if len(self.expires) == self.capacity:
            del self.expires[min(self.expires, key=lambda old: self.expires[old])]
        self.expires[key] = float("inf") if expires is None else expires
        return True

    def forget(self, key: str) -> None:
        self.expires.pop(key, None)


STEP = st.one_of(
    st.tuples(st.just("first_seen"), st.sampled_from("abcdefgh"), st.none() | st.integers(0, 30)),
    st.tuples(st.just("forget"), st.sampled_from("abcdefgh"), st.none()),
    st.tuples(st.just("advance"), st.just(""), st.integers(-3, 10)),
)


@given(st.integers(1, 5), st.lists(STEP, max_size=60))
def test_a_store_in_memory_does_what_a_dict_would(capacity: int, steps: list[tuple[str, str, int | None]]) -> None:
    clock = FixedClock(5)
    store, model = MemoryReplayStore(capacity, clock=clock), Model(capacity)
    for step, key, number in steps:
        if step == "first_seen":
            assert store.first_seen(key, number) is model.first_seen(key, number, max(clock(), 0))
        elif step == "forget":
            store.forget(key)
            model.forget(key)
        else:
            clock.advance(number or 0)
        assert len(store) == len(model.expires)


def test_an_event_that_the_guard_cannot_tell_is_warned_of_once_for_each_name(
    secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(secret, ReplayGuard.pointer("/message_id"))
    line = "the replay guard cannot identify events named {!r}, so copies of them are handled again"
    for _ in range(2):
        for name in ("a", "b\n"):
            assert app.send(json.dumps({"event_type": name}).encode()) == "handled"
    assert app.send() == "handled"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", line.format("a")),
        ("WARNING", line.format("b\n")),
    ]
    # Whoever can sign could fill the log else, and the memory.
    for number in range(200):
        app.send(json.dumps({"event_type": f"name {number}"}).encode())
    assert len(caplog.records) == 100


def test_a_wrong_answer_makes_the_store_forget_nothing(secret: str) -> None:
    class SaysNothing(Store):
        """As redis-py's `set(..., nx=True)` answers: True the first time, and None after."""

        def first_seen(self, key: str, expires: int | None) -> Any:
            return super().first_seen(key, expires) or None

    store = SaysNothing()
    app = App(secret, ReplayGuard.exact_request(store=store))
    assert [app.send() for _ in range(3)] == ["handled", "failed", "failed"]
    assert len(app.seen) == 1


def test_an_arrival_ends_once(secret: str) -> None:
    endpoint = Endpoint(WebhookHandler(secret), replay_guard=ReplayGuard.exact_request())
    request = ("POST", signed_headers(secret, b"{}"), b"{}")
    first = endpoint.receive(*request)
    assert isinstance(first, Arrival)
    first.give_back()
    copy = endpoint.receive(*request)
    assert isinstance(copy, Arrival)
    # Late, and no longer its own mark.
    first.settle()
    assert endpoint.receive(*request) == Outcome.UNAVAILABLE
    copy.settle()
    assert endpoint.receive(*request) == Outcome.DUPLICATE
