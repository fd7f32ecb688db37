"""Handlers that run after the answer: bounded, in order, drained at the end, and never lost without a word."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest

import pylon_webhooks._tasks
from pylon_webhooks import Background, Endpoint, MemoryReplayStore, ReplayGuard, WebhookHandler, sign

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "tests' secret, long enough to be searched for"
NOW = 1_700_000_000
#: Longer than anything here takes, so that a failure ends.
LONG = 60
LOST = "accepted Pylon webhook events are lost because the app ended before their handlers: {}"
FULL = "Pylon webhook turned away: {} events are waiting already"
CLOSED = "Pylon webhook turned away: the app is shutting down"
NO_THREAD = (
    "Pylon webhook turned away: no thread can be started (can't start new thread): "
    "allow the app more (`ulimit -u`, or the container's limit on processes)"
)


def body(number: int = 0) -> bytes:
    return b'{"event_type": "issue_new", "n": %d}' % number


class App:
    """An endpoint with a background and a guard, and the numbers of the events that were handled."""

    def __init__(self, guard: ReplayGuard | None = None, **options: Any) -> None:
        self.store = MemoryReplayStore()
        self.handler = WebhookHandler(SECRET, clock=lambda: NOW)
        guard = guard or ReplayGuard.exact_request(store=self.store)
        background = Background(**{"drain_seconds": LONG, **options})
        self.endpoint = Endpoint(self.handler, replay_guard=guard, background=background)
        self.done: list[int] = []

    def request(self, number: int) -> tuple[str, dict[str, str], bytes]:
        return "POST", {"X-Pylon-Signature": sign(SECRET, body(number))}, body(number)

    def send(self, number: int = 0) -> str:
        return self.endpoint.respond(*self.request(number)).name

    async def asend(self, number: int = 0, **options: Any) -> str:
        return (await self.endpoint.arespond(*self.request(number), **options)).name


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "pylon_webhooks"]


# What is no setting of a background.
WHOLE = "{} must be a whole number"
LEAST = "{} must be at least 1"
NUMBER = "drain_seconds must be a number"
END = "drain_seconds must be at least 0 and finite"
SETTINGS: list[tuple[dict[str, Any], type[Exception], str]] = [
    *[
        ({name: value}, TypeError, WHOLE.format(name))
        for name in ("capacity", "workers")
        for value in (None, True, "5", 1.5, [])
    ],
    *[
        ({name: value}, ValueError, LEAST.format(name))
        for name in ("capacity", "workers")
        for value in (0, -1, -(10**99))
    ],
    *[({"drain_seconds": value}, TypeError, NUMBER) for value in (None, True, "5", [])],
    *[({"drain_seconds": value}, ValueError, END) for value in (-1, -0.1, float("inf"), float("nan"))],
]


@pytest.mark.parametrize(("settings", "error", "message"), SETTINGS, ids=lambda value: str(value)[:40])
def test_a_setting_that_cannot_hold_is_refused(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        Background(**settings)
    assert (type(caught.value), str(caught.value)) == (error, message)


def test_a_background_says_what_it_is() -> None:
    assert repr(Background()) == "<Background of 1000 events, 8 at once, drained within 25 seconds>"
    assert repr(Background(capacity=1, workers=2, drain_seconds=0.5)).endswith("2 at once, drained within 0.5 seconds>")


# Tasks.


def test_the_answer_comes_before_the_handler_has_run() -> None:
    app = App()

    async def live() -> None:
        gate = asyncio.Event()

        @app.handler.on_any
        async def handle(event: Any) -> None:
            await gate.wait()
            app.done.append(event.payload["n"])

        async with app.endpoint:
            assert await app.asend(1) == "accepted"
            assert app.done == []
            gate.set()
        assert app.done == [1]

    asyncio.run(live())


def test_plain_handlers_run_after_the_answer_too() -> None:
    app = App()
    app.handler.on_any(lambda event: app.done.append(event.payload["n"]))

    async def live() -> None:
        async with app.endpoint:
            assert await app.asend(1) == "accepted"
            assert app.done == []
        assert app.done == [1]

    asyncio.run(live())


def test_a_full_background_answers_503_and_the_delivery_may_come_again(caplog: pytest.LogCaptureFixture) -> None:
    app = App(capacity=2, workers=1)

    async def live() -> list[str]:
        gate = asyncio.Event()

        @app.handler.on_any
        async def handle(event: Any) -> None:
            await gate.wait()
            app.done.append(event.payload["n"])

        async with app.endpoint:
            outcomes = [await app.asend(number) for number in (1, 2, 3, 3)]
            assert len(app.store) == 2
            gate.set()
            await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()}, timeout=LONG)
            outcomes.append(await app.asend(3))
            outcomes.append(await app.asend(3))
        return outcomes

    assert asyncio.run(live()) == ["accepted", "accepted", "unavailable", "unavailable", "accepted", "duplicate"]
    assert app.done == [1, 2, 3]
    assert messages(caplog) == [FULL.format(2)] * 2


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_run_at_once_than_there_are_workers_and_in_order(workers: int) -> None:
    app = App(workers=workers)
    running: list[int] = []
    most: list[int] = []

    @app.handler.on_any
    async def handle(event: Any) -> None:
        number = event.payload["n"]
        running.append(number)
        most.append(len(running))
        # Some take longer than others.
        for _ in range(number % 5):
            await asyncio.sleep(0)
        running.remove(number)
        app.done.append(number)

    async def live() -> None:
        async with app.endpoint:
            for number in range(30):
                await app.asend(number)

    asyncio.run(live())
    assert max(most) == workers
    assert sorted(app.done) == [*range(30)]
    if workers == 1:
        assert app.done == [*range(30)]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("threads", [False, True], ids=["tasks", "threads"])
def test_failures_reach_on_error_and_the_log_and_the_key_is_given_back(
    is_async: bool, threads: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    told: list[Exception] = []

    async def atell(error: Exception) -> None:
        await asyncio.sleep(0)
        told.append(error)

    app.handler.on_error(atell if is_async else told.append)

    @app.handler.on_any
    def fail(_event: Any) -> None:
        raise LookupError("a bug")

    async def live() -> None:
        async with app.endpoint:
            assert await app.asend() == "accepted"

    if threads:
        with app.endpoint:
            assert app.send() == "accepted"
    else:
        asyncio.run(live())
    assert [str(error) for error in told] == [
        "a handler failed for <IssueNewEvent event_type='issue_new' issue_id='', 35 bytes> (1 sub-exception)"
    ]
    assert messages(caplog) == [f"Pylon webhook not handled: {told[0]}"]
    assert len(app.store) == 0


def test_closing_waits_for_what_was_accepted_and_takes_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    async def live() -> list[str]:
        gate = asyncio.Event()

        @app.handler.on_any
        async def handle(event: Any) -> None:
            await gate.wait()
            app.done.append(event.payload["n"])

        outcomes = [await app.asend(1)]
        closing = asyncio.create_task(app.endpoint.aclose())
        await asyncio.sleep(0)
        outcomes.append(await app.asend(2))
        assert not closing.done()
        gate.set()
        await closing
        assert app.done == [1]
        await app.endpoint.aclose()
        return outcomes

    assert asyncio.run(live()) == ["accepted", "unavailable"]
    assert messages(caplog) == [CLOSED]


@pytest.mark.parametrize("on_threads", [False, True], ids=["tasks", "threads"])
def test_a_request_that_was_on_its_way_when_the_endpoint_closed_is_turned_away(
    on_threads: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Slow:
        """A store that takes until the endpoint is closed."""

        def __init__(self) -> None:
            self.keys: set[str] = set()

        async def first_seen(self, key: str, expires: int | None) -> bool:
            await app.endpoint.aclose()
            self.keys.add(key)
            return True

        async def forget(self, key: str) -> None:
            self.keys.remove(key)

    store = Slow()
    app = App(ReplayGuard.exact_request(store=store))
    app.handler.on_any(lambda _event: pytest.fail("handled after the end"))
    assert asyncio.run(app.asend(on_threads=on_threads)) == "unavailable"
    assert store.keys == set()
    assert messages(caplog) == [CLOSED]


def test_what_is_late_is_cancelled_said_to_be_lost_and_may_come_again(caplog: pytest.LogCaptureFixture) -> None:
    app = App(workers=1, drain_seconds=0)
    tidied: list[str] = []

    async def live() -> None:
        begun = asyncio.Event()

        @app.handler.on_any
        async def hang(_event: Any) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                tidied.append("tidied")

        for number in range(3):
            assert await app.asend(number) == "accepted"
        await begun.wait()
        await app.endpoint.aclose()

    asyncio.run(live())
    assert tidied == ["tidied"]
    assert messages(caplog) == [LOST.format(3)]
    assert len(app.store) == 0


def test_a_handler_that_takes_no_notice_of_its_cancellation_holds_nobody_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pylon_webhooks._tasks, "_TIDYING_SECONDS", 0.001)
    app = App(drain_seconds=0)

    async def live() -> None:
        gate, begun = asyncio.Event(), asyncio.Event()

        @app.handler.on_any
        async def stubborn(_event: Any) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await gate.wait()
            app.done.append(1)

        await app.asend()
        await begun.wait()
        await app.endpoint.aclose()
        assert app.done == []
        gate.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert app.done == [1]

    asyncio.run(live())
    assert messages(caplog) == [LOST.format(1)]


def test_a_late_handler_that_ends_in_time_after_all_is_not_said_to_be_lost(caplog: pytest.LogCaptureFixture) -> None:
    app = App(drain_seconds=0)

    async def live() -> None:
        begun = asyncio.Event()

        @app.handler.on_any
        async def handle(_event: Any) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                app.done.append(1)

        await app.asend()
        await begun.wait()
        await app.endpoint.aclose()

    asyncio.run(live())
    assert app.done == [1]
    assert messages(caplog) == []
    assert len(app.store) == 1


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_loop_that_ends_without_aclose_says_what_is_lost(steps: int, caplog: pytest.LogCaptureFixture) -> None:
    app = App(workers=1)

    @app.handler.on_any
    async def hang(_event: Any) -> None:
        await asyncio.Event().wait()

    async def live() -> None:
        for number in range(3):
            await app.asend(number)
        for _ in range(steps):
            await asyncio.sleep(0)

    asyncio.run(live())
    assert messages(caplog) == [LOST.format(1)] * 3
    assert len(app.store) == 0


def test_a_task_that_is_cancelled_before_its_first_line_is_not_lost_in_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()

    @app.handler.on_any
    async def handle(_event: Any) -> None:
        pytest.fail("cancelled before")

    async def live() -> None:
        await app.asend()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)

    asyncio.run(live())
    assert messages(caplog) == [LOST.format(1)]
    assert len(app.store) == 0


def test_two_loops_one_after_the_other(caplog: pytest.LogCaptureFixture) -> None:
    app = App(workers=1, capacity=2)

    async def live(numbers: list[int]) -> None:
        @app.handler.on_any
        async def handle(event: Any) -> None:
            await asyncio.sleep(0)
            app.done.append(event.payload["n"])

        async with app.endpoint:
            for number in numbers:
                assert await app.asend(number) == "accepted"
        app.handler.remove(handle)

    for numbers in ([1, 2], [3, 4], [5]):
        asyncio.run(live(numbers))
    assert app.done == [1, 2, 3, 4, 5]
    assert messages(caplog) == []


def test_a_loop_that_is_closed_under_its_tasks_takes_no_room_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    app = App(capacity=1)

    @app.handler.on_any
    async def hang(_event: Any) -> None:
        await asyncio.Event().wait()

    async def live(number: int) -> str:
        outcome = await app.asend(number)
        await asyncio.sleep(0)
        return outcome

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(live(1)) == "accepted"
    # Nothing is cancelled, as `asyncio.run` would; asyncio itself complains of the task, in its own log.
    loop.close()
    app.handler.remove(hang)

    @app.handler.on_any
    async def handle(_event: Any) -> None: ...

    with asyncio.Runner() as runner:
        assert runner.run(live(2)) == "accepted"
        assert messages(caplog) == [LOST.format(1)]
        assert len(app.store) == 1
        runner.run(app.endpoint.aclose())
    assert messages(caplog) == [LOST.format(1)]
    gc.collect()


def test_loops_side_by_side_have_workers_each_and_one_capacity() -> None:
    app = App(capacity=4, workers=1)
    running: dict[int, int] = {}
    most: list[int] = []

    @app.handler.on_any
    async def handle(_event: Any) -> None:
        me = threading.get_ident()
        running[me] = running.get(me, 0) + 1
        most.append(running[me])
        await asyncio.sleep(0)
        running[me] -= 1

    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    async def live(first: int) -> None:
        for number in (first, first + 1):
            outcomes.append(await app.asend(number))
            barrier.wait(timeout=LONG)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(tasks, timeout=LONG)

    threads = [threading.Thread(target=asyncio.run, args=[live(first)]) for first in (0, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=LONG)
    assert outcomes == ["accepted"] * 4
    assert most == [1] * 4


def test_a_handler_that_closes_its_own_endpoint_does_not_wait_for_itself() -> None:
    app = App()

    @app.handler.on_any
    async def close(_event: Any) -> None:
        await app.endpoint.aclose()
        app.done.append(1)

    async def live() -> None:
        await app.asend()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(tasks, timeout=LONG)

    asyncio.run(live())
    assert app.done == [1]


REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST", default="none")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("manner", ["tasks", "threads", "on_threads"])
def test_tasks_see_the_requests_context_variables_and_threads_see_none(manner: str, is_async: bool) -> None:
    app = App(workers=1)
    seen: list[str] = []

    def handle(_event: Any) -> None:
        seen.append(REQUEST.get())
        REQUEST.set("changed by a handler")

    async def ahandle(event: Any) -> None:
        await asyncio.sleep(0)
        handle(event)

    app.handler.on_any(ahandle if is_async else handle)

    async def live() -> None:
        async with app.endpoint:
            for number in range(3):
                REQUEST.set(f"request {number}")
                await app.asend(number, on_threads=manner == "on_threads")
            assert REQUEST.get() == "request 2"

    def thread() -> None:
        with app.endpoint:
            for number in range(3):
                REQUEST.set(f"request {number}")
                app.send(number)
        assert REQUEST.get() == "request 2"

    contextvars.copy_context().run(thread if manner == "threads" else lambda: asyncio.run(live()))
    # Threads outlive the request, and what its variables stand for may be closed by then.
    assert seen == (["request 0", "request 1", "request 2"] if manner == "tasks" and is_async else ["none"] * 3)


class Odd(BaseException):
    """What no `except Exception` catches, and nobody expects."""


def test_a_task_that_ends_oddly_is_told_of_and_the_next_one_runs(caplog: pytest.LogCaptureFixture) -> None:
    app = App(workers=1)

    @app.handler.on_any
    async def handle(event: Any) -> None:
        if event.payload["n"] == 1:
            raise Odd("odd")
        app.done.append(event.payload["n"])

    async def live() -> None:
        async with app.endpoint:
            for number in (1, 2):
                await app.asend(number)

    asyncio.run(live())
    assert app.done == [2]
    assert messages(caplog) == ["a handler raised an exception that no handler should raise"]
    assert len(app.store) == 1


# Threads.


def test_on_threads_the_answer_comes_before_the_handler_has_run() -> None:
    app = App()
    gate = threading.Event()

    @app.handler.on_any
    def handle(event: Any) -> None:
        assert gate.wait(LONG)
        app.done.append(event.payload["n"])

    with app.endpoint:
        assert app.send(1) == "accepted"
        assert app.done == []
        gate.set()
    assert app.done == [1]


def test_on_threads_a_full_background_answers_503_and_the_delivery_may_come_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App(capacity=2, workers=1)
    gate, first = threading.Event(), threading.Event()

    @app.handler.on_any
    def handle(event: Any) -> None:
        first.set()
        assert gate.wait(LONG)
        app.done.append(event.payload["n"])

    with app.endpoint:
        assert [app.send(number) for number in (1, 2, 3, 3)] == ["accepted", "accepted", "unavailable", "unavailable"]
        # Those that run count as well.
        assert first.wait(LONG)
        assert app.send(3) == "unavailable"
        assert len(app.store) == 2
        gate.set()
    assert app.done == [1, 2]
    with app.endpoint:
        assert [app.send(3), app.send(3)] == ["accepted", "duplicate"]
    assert app.done == [1, 2, 3]
    assert messages(caplog) == [FULL.format(2)] * 3


def test_one_thread_handles_events_in_the_order_in_which_they_came() -> None:
    app = App(workers=1)
    app.handler.on_any(lambda event: app.done.append(event.payload["n"]))
    with app.endpoint:
        for number in range(200):
            assert app.send(number) == "accepted"
    assert app.done == [*range(200)]


def test_on_threads_as_many_run_at_once_as_there_are_workers_and_no_more() -> None:
    app = App(workers=3)
    # Nobody passes until three are there; the count says that there never were four.
    barrier = threading.Barrier(3)
    lock = threading.Lock()
    running: list[int] = []
    most: list[int] = []
    names: set[str] = set()

    @app.handler.on_any
    def handle(event: Any) -> None:
        with lock:
            running.append(event.payload["n"])
            most.append(len(running))
            names.add(threading.current_thread().name)
        barrier.wait(timeout=LONG)
        with lock:
            running.remove(event.payload["n"])
        barrier.wait(timeout=LONG)

    with app.endpoint:
        for number in range(9):
            assert app.send(number) == "accepted"
    assert max(most) == 3
    assert names == {"pylon-webhooks"}


def test_no_more_threads_are_begun_than_there_is_work_for_and_they_end_with_the_endpoint() -> None:
    app = App(workers=8)
    threads: set[threading.Thread] = set()
    app.handler.on_any(lambda _event: threads.add(threading.current_thread()))
    with app.endpoint:
        app.send(1)
    with app.endpoint:
        for number in range(2, 50):
            app.send(number)
    assert 1 <= len(threads) <= 9
    for thread in threads:
        assert thread.daemon
        thread.join(timeout=LONG)
        assert not thread.is_alive()


def test_on_threads_async_handlers_run_each_in_a_loop_of_its_own() -> None:
    app = App()

    @app.handler.on_any
    async def handle(event: Any) -> None:
        await asyncio.sleep(0)
        app.done.append(event.payload["n"])

    with app.endpoint:
        for number in range(20):
            assert app.send(number) == "accepted"
    assert sorted(app.done) == [*range(20)]


ENDS: list[BaseException] = [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), Odd("odd")]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_nothing_that_a_handler_raises_ends_a_thread(
    is_async: bool, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(workers=1)
    threads: list[threading.Thread] = []

    def handle(event: Any) -> None:
        threads.append(threading.current_thread())
        if event.payload["n"] == 1:
            raise error
        app.done.append(event.payload["n"])

    async def ahandle(event: Any) -> None:
        handle(event)

    app.handler.on_any(ahandle if is_async else handle)
    with app.endpoint:
        for number in (1, 2):
            assert app.send(number) == "accepted"
    assert app.done == [2]
    assert len({*threads}) == 1
    if is_async and isinstance(error, asyncio.CancelledError):
        # Nobody has cancelled the handler itself.
        (message,) = messages(caplog)
        assert message.startswith("Pylon webhook not handled: a handler failed for ")
    else:
        assert messages(caplog) == ["a handler raised an exception that no handler should raise"]
    # It was not handled, so it may come again.
    assert len(app.store) == 1


def test_closing_twice_at_once_waits_twice() -> None:
    app = App()
    gate, begun = threading.Event(), threading.Event()

    @app.handler.on_any
    def handle(_event: Any) -> None:
        begun.set()
        assert gate.wait(LONG)
        app.done.append(1)

    app.send()
    assert begun.wait(LONG)
    seen: list[list[int]] = []

    def close() -> None:
        app.endpoint.close()
        seen.append([*app.done])

    threads = [threading.Thread(target=close) for _ in range(3)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(timeout=LONG)
    assert seen == [[1]] * 3


@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_on_threads_what_is_late_is_said_to_be_lost_and_what_never_began_may_come_again(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(workers=1, drain_seconds=0)
    gate, begun, ran = threading.Event(), threading.Event(), list[threading.Thread]()

    @app.handler.on_any
    def handle(event: Any) -> None:
        ran.append(threading.current_thread())
        begun.set()
        assert gate.wait(LONG)
        app.done.append(event.payload["n"])
        if fails:
            raise LookupError("a bug")

    app.handler.on_error(lambda _error: None)
    for number in range(3):
        assert app.send(number) == "accepted"
    assert begun.wait(LONG)
    app.endpoint.close()
    assert messages(caplog) == [LOST.format(3)]
    # The one that runs may yet end well: a copy must not be handled beside it.
    assert len(app.store) == 1
    app.endpoint.close()
    (thread,) = ran
    gate.set()
    thread.join(timeout=LONG)
    assert not thread.is_alive()
    # Those that waited are not handled by a thread that comes to it after they were given up.
    assert app.done == [0]
    assert messages(caplog)[0] == LOST.format(3)
    assert len(messages(caplog)) == 1 + fails
    with app.endpoint:
        assert [app.send(number) for number in range(3)] == [
            "accepted" if fails else "duplicate",
            "accepted",
            "accepted",
        ]


def test_on_threads_a_handler_that_closes_its_own_endpoint_does_not_wait_for_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    ended = threading.Event()

    @app.handler.on_any
    def close(_event: Any) -> None:
        app.endpoint.close()
        ended.set()

    app.send()
    # Far less than it would wait for itself.
    assert ended.wait(LONG / 2)
    assert messages(caplog) == []


def test_aclose_waits_for_threads_without_holding_the_loop_up() -> None:
    app = App()
    gate, begun = threading.Event(), threading.Event()

    @app.handler.on_any
    def handle(_event: Any) -> None:
        begun.set()
        assert gate.wait(LONG)
        app.done.append(1)

    async def live() -> None:
        assert await app.asend(on_threads=True) == "accepted"
        await asyncio.to_thread(begun.wait, LONG)
        closing = asyncio.create_task(app.endpoint.aclose())
        await asyncio.sleep(0)
        gate.set()
        await closing
        assert app.done == [1]

    asyncio.run(live())


def test_where_no_thread_can_be_begun_the_delivery_is_turned_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    app.handler.on_any(lambda event: app.done.append(event.payload["n"]))

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert [app.send(1), app.send(1)] == ["unavailable", "unavailable"]
    assert len(app.store) == 0
    assert messages(caplog) == [NO_THREAD] * 2
    assert {record.levelname for record in caplog.records} == {"ERROR"}
    with app.endpoint:
        assert app.send(1) == "accepted"
    assert app.done == [1]


@pytest.mark.parametrize("fails_at", ["handler", "drain"])
def test_an_async_store_is_given_keys_back_from_a_thread(fails_at: str, caplog: pytest.LogCaptureFixture) -> None:
    class Store:
        """A store that works in one loop alone, as clients of databases do."""

        def __init__(self) -> None:
            self.keys: set[str] = set()
            self.loops: set[Any] = set()

        async def first_seen(self, key: str, expires: int | None) -> bool:
            self.loops.add(asyncio.get_running_loop())
            self.keys.add(key)
            return True

        async def forget(self, key: str) -> None:
            self.loops.add(asyncio.get_running_loop())
            self.keys.remove(key)
            forgotten.set()

    store = Store()
    forgotten = asyncio.Event()
    app = App(ReplayGuard.exact_request(store=store), workers=1, drain_seconds=0 if fails_at == "drain" else LONG)
    gate, begun = threading.Event(), threading.Event()

    @app.handler.on_any
    def fail(_event: Any) -> None:
        begun.set()
        if fails_at == "drain":
            assert gate.wait(LONG)
        else:
            raise LookupError("a bug")

    async def live() -> None:
        assert await app.asend(on_threads=True) == "accepted"
        if fails_at == "drain":
            await asyncio.to_thread(begun.wait, LONG)
            # This one never begins.
            assert await app.asend(1, on_threads=True) == "accepted"
            await app.endpoint.aclose()
        await asyncio.wait_for(forgotten.wait(), LONG)
        gate.set()

    asyncio.run(live())
    # The thread's last words come after it has given the key back.
    app.endpoint.close()
    assert len(store.keys) == (fails_at == "drain")
    assert len(store.loops) == 1
    assert len(messages(caplog)) == 1


def test_an_async_store_is_given_keys_back_after_its_loop_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    class Store:
        def __init__(self) -> None:
            self.keys: set[str] = set()

        async def first_seen(self, key: str, expires: int | None) -> bool:
            self.keys.add(key)
            return True

        async def forget(self, key: str) -> None:
            if self.keys == {"broken"}:
                raise ConnectionError("redis is down")
            self.keys.remove(key)

    store = Store()
    app = App(ReplayGuard.exact_request(store=store))
    gate = threading.Event()

    @app.handler.on_any
    def fail(_event: Any) -> None:
        assert gate.wait(LONG)
        raise LookupError("a bug")

    assert asyncio.run(app.asend(on_threads=True)) == "accepted"
    gate.set()
    app.endpoint.close()
    assert store.keys == set()
    gate.clear()
    with app.endpoint:
        assert asyncio.run(app.asend(on_threads=True)) == "accepted"
        store.keys = {"broken"}
        gate.set()
    assert messages(caplog)[2] == (
        "the replay store failed to forget a delivery whose handlers failed: if Pylon sends it again, it is not handled"
    )


def test_many_threads_submit_and_close_at_once_and_nothing_is_lost() -> None:
    for round_ in range(20):
        app = App(workers=4, capacity=10_000)
        app.handler.on_any(lambda event, app=app: app.done.append(event.payload["n"]))
        accepted: list[int] = []
        barrier = threading.Barrier(9)

        def send(first: int, app: App = app, barrier: Any = barrier, accepted: list[int] = accepted) -> None:
            barrier.wait(timeout=LONG)
            for number in range(first, first + 20):
                if app.send(number) == "accepted":
                    accepted.append(number)

        threads = [threading.Thread(target=send, args=[20 * index]) for index in range(8)]
        for thread in threads:
            thread.start()
        barrier.wait(timeout=LONG)
        # At another moment each time.
        for number in range(1000, 1000 + round_):
            if app.send(number) == "accepted":
                accepted.append(number)
        app.endpoint.close()
        done = sorted(app.done)
        for thread in threads:
            thread.join(timeout=LONG)
        # All that was accepted was done when `close` returned, and nothing was accepted after.
        assert done == sorted(app.done) == sorted(accepted)


# In async frameworks.


def test_plain_handlers_run_on_threads_and_do_not_hold_the_loop_up() -> None:
    app = App(workers=2)
    gate, begun = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    @app.handler.on_any
    def handle(event: Any) -> None:
        threads.append(threading.current_thread())
        begun.set()
        # Only the loop opens it.
        assert gate.wait(LONG)
        app.done.append(event.payload["n"])

    async def live() -> None:
        async with app.endpoint:
            assert await app.asend(1) == "accepted"
            assert await asyncio.to_thread(begun.wait, LONG)
            assert app.done == []
            gate.set()

    asyncio.run(live())
    assert app.done == [1]
    assert [thread.name for thread in threads] == ["pylon-webhooks"]


def test_a_plain_handler_beside_an_async_one_runs_in_the_event_loop() -> None:
    app = App(workers=2)
    threads: list[threading.Thread] = []
    app.handler.on_any(lambda _event: threads.append(threading.current_thread()))

    @app.handler.on_any
    async def handle(_event: Any) -> None:
        threads.append(threading.current_thread())

    async def live() -> None:
        async with app.endpoint:
            assert await app.asend(1) == "accepted"

    asyncio.run(live())
    assert threads == [threading.main_thread()] * 2


def test_on_threads_a_plain_handler_runs_outside_of_any_event_loop() -> None:
    app = App()
    outcomes: list[str] = []

    @app.handler.on_any
    def handle(_event: Any) -> None:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        outcomes.append(asyncio.run(asyncio.sleep(0, "a loop of its own")))

    @app.handler.on_any
    async def ahandle(_event: Any) -> None:
        outcomes.append("awaited")

    with app.endpoint:
        assert app.send(1) == "accepted"
    assert outcomes == ["a loop of its own", "awaited"]


@pytest.mark.parametrize("manner", ["tasks", "threads"])
def test_stop_iteration_is_a_failure_like_any_other(manner: str, caplog: pytest.LogCaptureFixture) -> None:
    app = App(workers=1, capacity=1)
    app.handler.on_any(lambda _event: next(iter(())))

    async def live() -> None:
        async with app.endpoint:
            assert await app.asend(1) == "accepted"

    if manner == "tasks":
        asyncio.run(live())
    else:
        with app.endpoint:
            assert app.send(1) == "accepted"
    (message,) = messages(caplog)
    assert message.startswith("Pylon webhook not handled: a handler failed for ")


def test_without_a_background_plain_handlers_run_where_the_request_is() -> None:
    handler = WebhookHandler(SECRET, clock=lambda: NOW)
    threads: list[threading.Thread] = []
    handler.on_any(lambda _event: threads.append(threading.current_thread()))
    request = App().request(1)
    assert asyncio.run(Endpoint(handler).arespond(*request)).name == "handled"
    assert threads == [threading.main_thread()]


@pytest.mark.parametrize("threads", [False, True], ids=["tasks", "threads"])
def test_an_accepted_delivery_that_comes_again_is_a_duplicate_at_once(threads: bool) -> None:
    app = App()
    gate = threading.Event()
    app.handler.on_any(lambda _event: gate.wait(LONG))

    async def live() -> list[str]:
        async with app.endpoint:
            outcomes = [await app.asend(on_threads=threads) for _ in range(3)]
            gate.set()
        return outcomes

    assert asyncio.run(live()) == ["accepted", "duplicate", "duplicate"]
    gate.clear()
    with app.endpoint:
        outcomes = [app.send(1), app.send(1)]
        gate.set()
    assert outcomes == ["accepted", "duplicate"]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_what_is_around_an_event_is_entered_for_each_and_left_after_its_handlers(is_async: bool) -> None:
    app = App(workers=1)
    happened: list[Any] = []

    def handle(event: Any) -> None:
        happened.append(event.payload["n"])
        if event.payload["n"] == 1:
            raise LookupError("a bug")

    async def ahandle(event: Any) -> None:
        await asyncio.sleep(0)
        handle(event)

    app.handler.on_any(ahandle if is_async else handle)

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        happened.append("enter")
        try:
            yield
        finally:
            happened.append("leave")

    with app.endpoint:
        for number in (1, 2):
            assert app.endpoint.respond(*app.request(number), around=around).name == "accepted"
    assert happened == ["enter", 1, "leave", "enter", 2, "leave"]
    assert len(app.store) == 1


def test_where_what_is_around_an_event_cannot_be_entered_it_may_come_again(caplog: pytest.LogCaptureFixture) -> None:
    app = App(workers=1)
    app.handler.on_any(lambda event: app.done.append(event.payload["n"]))
    failures = [LookupError("a bug")]

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        if failures:
            raise failures.pop()
        yield

    for _ in range(2):
        with app.endpoint:
            assert app.endpoint.respond(*app.request(1), around=around).name == "accepted"
    assert app.done == [1]
    assert messages(caplog) == ["Pylon webhook not handled: something failed before its handlers ran"]
