"""Which handlers are called for an event, in which order, and what becomes of what they return."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from pylon_webhooks import (
    BaseIssueEvent,
    IssueAssignedEvent,
    IssueFieldChangedEvent,
    IssueMessageNewEvent,
    IssueNewEvent,
    IssueReactionEvent,
    IssueSnapshotEvent,
    IssueStateChangedEvent,
    IssueStatusChangedEvent,
    IssueTagsChangedEvent,
    MessageNewEvent,
    PylonWebhookAsyncHandlerError,
    PylonWebhookHandlerErrors,
    PylonWebhookNameWarning,
    PylonWebhookUnverifiedWarning,
    UnknownEvent,
    WebhookEvent,
    WebhookHandler,
    parse_webhook_event,
    sign,
)
from pylon_webhooks.testing import sample_event

KINDS = {
    "issue_new": IssueNewEvent,
    "issue_assigned": IssueAssignedEvent,
    "issue_status_changed": IssueStateChangedEvent,
    "issue_field_changed": IssueFieldChangedEvent,
    "issue_tags_changed": IssueTagsChangedEvent,
    "issue_reaction": IssueReactionEvent,
    "issue_message_new": MessageNewEvent,
}
SNAPSHOTS = {*KINDS} - {"issue_message_new"}

# What is registered, and the event names that it is called for.
TARGETS: dict[str, tuple[tuple[Any, ...], set[str]]] = {
    **{cls.__name__: ((cls,), {name}) for name, cls in KINDS.items()},
    **{name: ((name,), {name}) for name in KINDS},
    "IssueStatusChangedEvent": ((IssueStatusChangedEvent,), {"issue_status_changed"}),
    "IssueMessageNewEvent": ((IssueMessageNewEvent,), {"issue_message_new"}),
    "IssueSnapshotEvent": ((IssueSnapshotEvent,), SNAPSHOTS),
    "BaseIssueEvent": ((BaseIssueEvent,), {*KINDS}),
    "WebhookEvent": ((WebhookEvent,), {*KINDS, "ticket.created"}),
    "UnknownEvent": ((UnknownEvent,), {"ticket.created"}),
    "a name of no type": (("ticket.created",), {"ticket.created"}),
    "a name of no type, in another spelling": (("Ticket-Created",), {"ticket.created"}),
    "a name in another spelling": ((" Issue.New ",), {"issue_new"}),
    "two classes": ((IssueNewEvent, MessageNewEvent), {"issue_new", "issue_message_new"}),
    "a class and a name": ((IssueNewEvent, "ticket.created"), {"issue_new", "ticket.created"}),
    "a class and its base": ((IssueNewEvent, BaseIssueEvent), {*KINDS}),
    "a name that nothing bears": (("invoice.paid",), set()),
}


@pytest.mark.parametrize(("targets", "names"), TARGETS.values(), ids=TARGETS)
def test_on_is_called_once_for_the_events_it_names_and_for_no_others(
    targets: tuple[Any, ...], names: set[str], handler: WebhookHandler, delivery: Any
) -> None:
    called: list[str] = []
    handler.on(*targets)(lambda event: called.append(event.event_type))
    for name in [*KINDS, "ticket.created"]:
        handler.handle(*delivery(name))
    assert sorted(called) == sorted(names)


def test_a_handler_gets_the_event_as_its_own_class(handler: WebhookHandler, delivery: Any) -> None:
    handler.on(BaseIssueEvent)(lambda event: event)
    for name, cls in KINDS.items():
        (event,) = handler.handle(*delivery(name, issue_title="Export fails"))
        assert type(event) is cls
        assert event.issue_title == "Export fails"


def test_handlers_run_in_order_of_registration_and_their_results_are_returned_in_it(
    handler: WebhookHandler, delivery: Any
) -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        return lambda _event: (order.append(name), name)[1]

    handler.on_any(named("any first"))
    handler.on("issue_new")(named("by name"))
    handler.on(IssueAssignedEvent)(named("of another class"))
    handler.on(BaseIssueEvent)(named("by base"))
    handler.on_any()(named("any last"))
    handler.on(IssueNewEvent)(named("by class"))
    assert handler.handle(*delivery()) == order == ["any first", "by name", "by base", "any last", "by class"]


def test_decorators_give_the_function_back(handler: WebhookHandler) -> None:
    def function(_event: Any) -> None: ...

    decorators = [
        handler.on(IssueNewEvent),
        handler.on("issue_new"),
        handler.on_any,
        handler.on_any(),
        handler.on_error,
        handler.on_error(),
    ]
    assert [decorate(function) for decorate in decorators] == [function] * 6


def test_a_function_registered_twice_is_called_twice(handler: WebhookHandler, delivery: Any) -> None:
    def function(_event: Any) -> int:
        return 1

    handler.on("issue_new")(handler.on_any(function))
    assert handler.handle(*delivery()) == [1, 1]


def test_a_handler_registered_after_the_first_delivery_is_called_for_the_next(
    handler: WebhookHandler, delivery: Any
) -> None:
    handler.on("issue_new")(lambda _event: "early")
    assert handler.handle(*delivery()) == ["early"]
    handler.on_any(lambda _event: "late")
    assert handler.handle(*delivery()) == ["early", "late"]


def test_a_handler_that_registers_another_leaves_its_own_delivery_as_it_is(
    handler: WebhookHandler, delivery: Any
) -> None:
    @handler.on_any
    def register(_event: Any) -> str:
        handler.on_any(lambda _event: "registered meanwhile")
        return "registers"

    assert handler.handle(*delivery()) == ["registers"]
    assert handler.handle(*delivery()) == ["registers", "registered meanwhile"]


def test_an_event_without_handlers_gives_no_results(handler: WebhookHandler, delivery: Any) -> None:
    assert handler.handle(*delivery("ticket.created")) == []
    assert handler.handle(*delivery(body=b"[1, 2]")) == []


def test_a_removed_handler_is_called_no_more(handler: WebhookHandler, delivery: Any) -> None:
    def function(_event: Any) -> str:
        return "removed"

    handler.on("issue_new")(handler.on_any(function))
    handler.on_any(lambda _event: "kept")
    assert handler.handle(*delivery()) == ["removed", "removed", "kept"][:1] * 2 + ["kept"]
    assert handler.remove(function) is True
    assert handler.handle(*delivery()) == ["kept"]
    assert handler.remove(function) is False


def test_a_removed_on_error_handler_is_told_no_more(handler: WebhookHandler) -> None:
    told: list[Exception] = []
    handler.on_error(told.append)
    for expected in (1, 1):
        with pytest.raises(ValueError, match="^missing signature"):
            handler.handle(b"{}", None)
        assert len(told) == expected
        handler.remove(told.append)


def test_a_bound_method_is_removed_by_naming_it_again(handler: WebhookHandler, delivery: Any) -> None:
    seen: list[Any] = []
    handler.on_any(seen.append)
    assert handler.remove(seen.append)
    handler.handle(*delivery())
    assert seen == []


def test_registered_event_types_are_names_in_order_without_repetition(handler: WebhookHandler) -> None:
    assert handler.registered_event_types == []
    handler.on("ticket.created")(print)
    handler.on(MessageNewEvent, IssueNewEvent)(print)
    handler.on("issue_new")(print)
    handler.on_any(print)
    assert handler.registered_event_types == ["ticket.created", "issue_message_new", "issue_new"]
    handler.on(IssueSnapshotEvent)(print)
    assert set(handler.registered_event_types) == {"ticket.created", *KINDS}
    handler.remove(print)
    assert handler.registered_event_types == []


def test_settings_can_be_read_and_not_be_changed() -> None:
    handler = WebhookHandler("secret", timestamp_tolerance=60, require_timestamp=True)
    assert (handler.timestamp_tolerance, handler.require_timestamp) == (60, True)
    plain = WebhookHandler("secret")
    assert (plain.timestamp_tolerance, plain.require_timestamp) == (300, False)
    for name in ("timestamp_tolerance", "require_timestamp", "registered_event_types"):
        with pytest.raises(AttributeError):
            setattr(handler, name, 1)


# Names that a user maps, further options, the body, and what is called: by mapped name, by class, by the kind's own name.
NAMES = {
    "a mapped name": ({"names": {"issue.created": IssueNewEvent}}, b'{"event": "Issue-Created"}', ["name", "class", "kind"]),
    "a mapped name, as text": ({"names": {"issue.created": "issue_new"}}, b'{"type": "issue.created"}', ["name", "class", "kind"]),
    "the kind's own name beside it": ({"names": {"issue.created": IssueNewEvent}}, b'{"event": "issue_new"}', ["class", "kind"]),
    "no mapping": ({}, b'{"event": "issue.created"}', ["name"]),
    "a pointer": ({"event_name_pointer": "/meta/0/name"}, b'{"meta": [{"name": "issue_new"}], "event": "x"}', ["class", "kind"]),
    "a pointer to nothing": ({"event_name_pointer": "/meta"}, b'{"event": "issue_new"}', []),
    "a fixed kind": ({"event_name": "issue_new"}, b'{"event": "ticket.created"}', ["class", "kind"]),
    "a fixed name": ({"event_name": "issue.created"}, b'{"event": "issue_new"}', ["name"]),
}  # fmt: skip


@pytest.mark.parametrize(("options", "body", "called"), NAMES.values(), ids=NAMES)
def test_configured_names_decide_which_handlers_are_due(options: Any, body: bytes, called: list[str]) -> None:
    handler = WebhookHandler("secret", **options)
    handler.on("issue.created")(lambda _event: "name")
    handler.on(IssueNewEvent)(lambda _event: "class")
    handler.on("issue_new")(lambda _event: "kind")
    assert handler.handle(body, sign("secret", body)) == called


def test_a_known_name_can_be_mapped_to_another_kind() -> None:
    handler = WebhookHandler("secret", names={"issue_new": MessageNewEvent})
    handler.on(IssueNewEvent)(lambda _event: "issue")
    handler.on(MessageNewEvent)(lambda _event: "message")
    handler.on("issue_new")(lambda _event: "name")
    body = b'{"event_type": "issue_new"}'
    assert handler.handle(body, sign("secret", body)) == ["message", "name"]


# What on() does not take, and the sentence that says so.
NO_TARGETS: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "nothing": ((), TypeError, "on() needs an event class or a name; on_any() is for all events"),
    "empty text": (("",), ValueError, "an event name is empty: pass the name that the trigger's template sends"),
    "white space": ((" \t",), ValueError, "an event name is empty: pass the name that the trigger's template sends"),
    "a function": (
        (print,),
        TypeError,
        "on() takes event classes and names: write @handler.on(IssueNewEvent) above the handler",
    ),
    "a list": (
        ([IssueNewEvent],),
        TypeError,
        "on() takes event classes and names: write @handler.on(IssueNewEvent) above the handler",
    ),
    "a class of no event": ((dict,), TypeError, "dict is no event class: call handler.register(name, dict) first"),
    "a good one and a bad one": (
        (IssueNewEvent, int),
        TypeError,
        "int is no event class: call handler.register(name, int) first",
    ),
}


@pytest.mark.parametrize(("targets", "error", "message"), NO_TARGETS.values(), ids=NO_TARGETS)
def test_on_refuses_what_is_no_event(
    targets: tuple[Any, ...], error: type[Exception], message: str, handler: WebhookHandler
) -> None:
    with pytest.raises(error) as caught:
        handler.on(*targets)
    assert (type(caught.value), str(caught.value)) == (error, message)


def test_a_subclass_of_an_event_is_refused_until_it_is_registered(handler: WebhookHandler, delivery: Any) -> None:
    class Mine(IssueNewEvent):
        pass

    # Deliveries never come as this class: a handler for it would silently never run.
    with pytest.raises(TypeError, match=r"^Mine is no event class: call handler\.register\(name, Mine\) first$"):
        handler.on(Mine)
    handler.register("issue_new", Mine)
    handler.on(Mine)(lambda event: event)
    (event,) = handler.handle(*delivery(issue_id="i1"))
    assert (type(event), event.issue_id) == (Mine, "i1")


@pytest.mark.parametrize("function", [None, 1, "issue_new", IssueNewEvent()], ids=["None", "int", "str", "event"])
def test_what_cannot_be_called_is_no_handler(function: Any, handler: WebhookHandler) -> None:
    for register in (handler.on(IssueNewEvent), handler.on_any(), handler.on_error()):
        with pytest.raises(TypeError, match="^a handler must be callable$"):
            register(function)


def _generator(_event: Any) -> Any:
    yield


async def _async_generator(_event: Any) -> Any:
    yield


@pytest.mark.parametrize("function", [_generator, _async_generator, functools.partial(_generator)])
def test_a_generator_is_no_handler_for_calling_it_runs_nothing(function: Any, handler: WebhookHandler) -> None:
    for register in (handler.on(IssueNewEvent), handler.on_any(), handler.on_error()):
        with pytest.raises(
            TypeError, match="^a handler must not be a generator function: calling it runs none of its lines$"
        ):
            register(function)


# A name, and the one that was probably meant; None where there is nothing to warn of.
TYPOS = {
    "isue_new": "issue_new",
    "issue_nwe": "issue_new",
    "Issue.Asigned": "issue_assigned",
    "issue_status_change": "issue_status_changed",
    "issue_message_news": "issue_message_new",
    "message_new": "issue_message_new",
    "MessageNew": "issue_message_new",
    "issue_message": "issue_message_new",
    "issue_state_changed": "issue_status_changed",
    "IssueNew": "issue_new",
    "issue_new": None,
    "MessageNewEvent": None,
    "ISSUE-NEW": None,
    "issue.created": None,
    "invoice.paid": None,
    "new-issue": None,
}


@pytest.mark.parametrize(("name", "meant"), TYPOS.items())
def test_a_probable_typo_is_warned_of_on_the_line_that_has_it(
    name: str, meant: str | None, handler: WebhookHandler
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = line_of_next_call()
        handler.on(name)
    if meant is None:
        assert caught == []
        return
    (warning,) = caught
    assert warning.category is PylonWebhookNameWarning
    assert str(warning.message) == f"Pylon is unlikely to send an event named {name!r}; did you mean {meant!r}?"
    assert (Path(warning.filename), warning.lineno) == (Path(__file__), line)


@pytest.mark.parametrize("name", ["MessageNewEvent", "IssueMessageNewEvent", "issue_message_new", "Issue.Message-New"])
def test_a_class_or_its_kind_may_be_given_as_text(name: str, handler: WebhookHandler) -> None:
    seen: list[WebhookEvent] = []
    handler.on(name)(seen.append)
    handler.dispatch(sample_event("issue_message_new"))
    handler.dispatch(sample_event("issue_new"))
    assert [type(event) for event in seen] == [MessageNewEvent]
    # A template may send another name for the kind, here that of the class.
    own = WebhookHandler("secret", names={"message": name})
    own.on(MessageNewEvent)(seen.append)
    own.dispatch(parse_webhook_event(b'{"event_type": "MessageNewEvent"}'))
    assert len(seen) == 2


def test_a_name_near_a_kind_that_is_mapped_or_registered_is_no_typo(handler: WebhookHandler) -> None:
    # Warnings are errors here: the name is warned of once, where it is registered.
    dict_like = type("Newt", (), {})
    with pytest.warns(
        PylonWebhookNameWarning,
        match="^Pylon is unlikely to send an event named 'issue_newt'; did you mean 'issue_new'",
    ) as caught:
        handler.register("issue_newt", dict_like)
    assert caught[0].filename == __file__
    handler.on("issue_newt")(print)
    handler.on(dict_like)(print)
    WebhookHandler("secret", names={"issue_knew": IssueNewEvent}).on("issue_knew")(print)


def test_verification_switched_off_is_warned_of_loudly_on_the_line_that_does_it() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = line_of_next_call()
        handler = WebhookHandler("secret", verify_signature=False)
    (warning,) = caught
    assert warning.category is PylonWebhookUnverifiedWarning
    assert str(warning.message) == (
        "verify_signature=False: anyone who finds the address can send events; sign test deliveries with "
        "pylon_webhooks.sign instead"
    )
    assert (Path(warning.filename), warning.lineno) == (Path(__file__), line)
    handler.on_any(lambda event: event.event_type)
    assert handler.handle(b'{"event": "x"}', None) == ["x"]
    with pytest.raises(ValueError, match="^missing signature"):
        handler.verify_signature(b"{}", None)


def test_an_async_handler_is_met_before_any_handler_runs_and_ahandle_is_named(
    handler: WebhookHandler, delivery: Any
) -> None:
    called: list[str] = []
    handler.on_any(lambda _event: called.append("sync"))

    @handler.on(IssueNewEvent)
    async def wait(_event: IssueNewEvent) -> None:
        called.append("async")

    expected = (
        "cannot await the async handler "
        "test_an_async_handler_is_met_before_any_handler_runs_and_ahandle_is_named.<locals>.wait here: "
        "call `await handler.ahandle(...)` or `adispatch(...)` instead"
    )
    for call in (lambda: handler.handle(*delivery()), lambda: handler.dispatch(IssueNewEvent())):
        with pytest.raises(PylonWebhookAsyncHandlerError) as caught:
            call()
        assert str(caught.value) == expected
        assert not isinstance(caught.value, ValueError)
    assert called == []
    # An event that it is not for is handled as ever.
    assert handler.handle(*delivery("issue_reaction")) == [None]
    assert called == ["sync"]


async def _wait(_event: Any) -> str:
    return "waited"


class _Waiter:
    async def __call__(self, _event: Any) -> str:
        return "waited"

    async def method(self, _event: Any) -> str:
        return "waited"


@pytest.mark.parametrize(
    "function",
    [_wait, functools.partial(_wait), _Waiter(), _Waiter().method],
    ids=["async def", "partial", "object", "method"],
)
def test_every_form_of_async_handler_is_known_for_one(function: Any, handler: WebhookHandler, delivery: Any) -> None:
    handler.on_any(function)
    with pytest.raises(PylonWebhookAsyncHandlerError, match="^cannot await the async handler "):
        handler.handle(*delivery())
    assert asyncio.run(handler.ahandle(*delivery())) == ["waited"]


def test_a_plain_function_that_returns_a_coroutine_fails_in_handle_and_is_awaited_in_ahandle(
    handler: WebhookHandler, delivery: Any
) -> None:
    def disguised(event: Any) -> Any:
        return _wait(event)

    handler.on_any(disguised)
    handler.on_any(lambda _event: "next")
    with pytest.raises(PylonWebhookHandlerErrors) as caught:
        handler.handle(*delivery())
    (failure,) = caught.value.exceptions
    assert type(failure) is PylonWebhookAsyncHandlerError
    assert "disguised returned here: call `await handler.ahandle(...)` or `adispatch(...)` instead" in str(failure)
    assert asyncio.run(handler.ahandle(*delivery())) == ["waited", "next"]


def test_ahandle_runs_sync_and_async_handlers_one_after_the_other_in_order(
    handler: WebhookHandler, delivery: Any
) -> None:
    order: list[str] = []

    @handler.on_any
    async def first(_event: Any) -> str:
        order.append("first begins")
        await asyncio.sleep(0)
        order.append("first ends")
        return "first"

    @handler.on_any
    def second(_event: Any) -> str:
        order.append("second")
        return "second"

    @handler.on(BaseIssueEvent)
    async def third(event: BaseIssueEvent) -> str:
        order.append("third")
        return event.issue_id

    expected = ["first", "second", "i1"]
    arguments = delivery(issue_id="i1")
    headers = {"x-pylon-signature": arguments.signature}
    for call in (
        lambda: handler.ahandle(*arguments),
        lambda: handler.ahandle(arguments.payload, headers=headers),
        lambda: handler.ahandle_headers(arguments.payload, headers),
        lambda: handler.adispatch(parse_webhook_event(arguments.payload)),
    ):
        order.clear()
        assert asyncio.run(call()) == expected
        assert order == ["first begins", "first ends", "second", "third"]


@pytest.mark.parametrize(
    "stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError], ids=lambda stop: stop.__name__
)
def test_what_stops_the_program_passes_straight_through(
    stop: type[BaseException], handler: WebhookHandler, delivery: Any
) -> None:
    called: list[str] = []

    @handler.on_any
    def fail(_event: Any) -> None:
        raise stop

    handler.on_any(lambda _event: called.append("the next handler"))
    handler.on_error(lambda _error: called.append("on_error"))
    with pytest.raises(stop):
        handler.handle(*delivery())
    with pytest.raises(stop):
        handler.dispatch(IssueNewEvent())

    async def run(call: Any) -> None:
        with pytest.raises(stop):
            await call

    async def both() -> None:
        await run(handler.ahandle(*delivery()))
        await run(handler.adispatch(IssueNewEvent()))

    if stop is not asyncio.CancelledError:
        asyncio.run(both())
    assert called == []


def test_what_a_handler_awaited_and_somebody_cancelled_is_that_handlers_failure(handler: WebhookHandler) -> None:
    called: list[str] = []

    @handler.on_any
    async def awaiting(_event: Any) -> None:
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()
        await inner

    @handler.on_any
    def raising(_event: Any) -> None:
        raise asyncio.CancelledError

    handler.on_any(lambda _event: called.append("the next handler"))
    handler.on_error(lambda error: called.append(type(error).__name__))

    async def scenario() -> None:
        with pytest.raises(PylonWebhookHandlerErrors) as caught:
            await handler.adispatch(IssueNewEvent())
        assert [(type(error), str(error)) for error in caught.value.exceptions] == [
            (RuntimeError, "something that the handler awaited was cancelled")
        ] * 2
        for error in caught.value.exceptions:
            assert isinstance(error.__cause__, asyncio.CancelledError)

    asyncio.run(scenario())
    assert called == ["the next handler", "PylonWebhookHandlerErrors"]


def test_a_handlers_own_time_limit_cancels_nobody_else(handler: WebhookHandler) -> None:
    called: list[str] = []

    @handler.on_any
    async def limited(_event: Any) -> None:
        async with asyncio.timeout(0):
            await asyncio.get_running_loop().create_future()

    handler.on_any(lambda _event: called.append("the next handler"))

    async def scenario() -> None:
        with pytest.raises(PylonWebhookHandlerErrors) as caught:
            await handler.adispatch(IssueNewEvent())
        assert [type(error) for error in caught.value.exceptions] == [TimeoutError]

    asyncio.run(scenario())
    assert called == ["the next handler"]


def test_a_cancelled_delivery_is_cancelled_where_it_waits(handler: WebhookHandler, delivery: Any) -> None:
    called: list[str] = []

    async def scenario() -> None:
        waits = asyncio.Event()

        @handler.on_any
        async def wait_forever(_event: Any) -> None:
            waits.set()
            await asyncio.get_running_loop().create_future()

        handler.on_any(lambda _event: called.append("the next handler"))
        handler.on_error(lambda _error: called.append("on_error"))
        task = asyncio.create_task(handler.ahandle(*delivery()))
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(scenario())
    assert called == []


def test_context_variables_reach_the_handlers_and_come_back(handler: WebhookHandler, delivery: Any) -> None:
    request = contextvars.ContextVar("request", default="none")

    @handler.on_any
    def read(_event: Any) -> str:
        seen = request.get()
        request.set("set by a handler")
        return seen

    @handler.on_error
    def read_too(_error: Exception) -> None:
        request.set(f"{request.get()}, told of an error")

    def scenario() -> None:
        request.set("set by the caller")
        assert handler.handle(*delivery()) == ["set by the caller"]
        assert request.get() == "set by a handler"
        with pytest.raises(ValueError, match="^missing signature"):
            handler.handle(b"{}", None)
        assert request.get() == "set by a handler, told of an error"

    async def scenario_async() -> None:
        request.set("set by the caller")
        assert await handler.ahandle(*delivery()) == ["set by the caller"]
        assert request.get() == "set by a handler"

    contextvars.copy_context().run(scenario)
    asyncio.run(scenario_async())


@pytest.mark.parametrize("trusted", [b"{}", {}, None, "issue_new", 1], ids=lambda value: type(value).__name__)
def test_dispatch_takes_events_alone(trusted: Any, handler: WebhookHandler) -> None:
    expected = "dispatch() takes an event that is already verified; pass a delivery that has just arrived to handle()"
    with pytest.raises(TypeError) as caught:
        handler.dispatch(trusted)
    assert str(caught.value) == expected
    with pytest.raises(TypeError) as caught:
        asyncio.run(handler.adispatch(trusted))
    assert str(caught.value) == expected


def test_dispatch_calls_the_handlers_of_an_event_made_here_or_read_again(handler: WebhookHandler) -> None:
    handler.on(IssueNewEvent)(lambda event: event.issue_title)
    handler.on("ticket.created")(lambda event: event.extra)
    assert handler.dispatch(IssueNewEvent(issue_title="Export fails")) == ["Export fails"]
    assert handler.dispatch(parse_webhook_event(b'{"type": "ticket.created", "n": 1}')) == [{"n": 1}]


def test_two_handlers_share_nothing(delivery: Any, secret: str) -> None:
    one, other = WebhookHandler(secret), WebhookHandler(secret)
    one.on_any(lambda _event: 1)
    assert one.handle(*delivery()) == [1]
    assert other.handle(*delivery()) == []


def test_a_registration_during_a_delivery_in_another_thread_is_not_forgotten(
    handler: WebhookHandler, delivery: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pylon_webhooks import _dispatch as module

    handler.on(IssueNewEvent)(lambda _event: "early")
    fits = module.OfClass.fits

    def interrupted(target: Any, event: WebhookEvent) -> bool:
        # As another thread would, between reading the registrations and keeping what was found among them.
        monkeypatch.setattr(module.OfClass, "fits", fits)
        handler.on_any(lambda _event: "late")
        return fits(target, event)

    monkeypatch.setattr(module.OfClass, "fits", interrupted)
    assert handler.handle(*delivery()) == ["early"]
    assert handler.handle(*delivery()) == ["early", "late"]


def line_of_next_call() -> int:
    """The number of the line below the one that calls this."""
    import sys

    return sys._getframe(1).f_lineno + 1


# Events that nobody takes.

UNTAKEN = ("INFO", "no handler takes events of this name: {!r}")
NOBODY = (
    "WARNING",
    "events arrive, and no handler is registered: register handlers, or call `receive` for the event alone",
)


def lines_of(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "pylon_webhooks"]


def untaken(name: str) -> tuple[str, str]:
    return UNTAKEN[0], UNTAKEN[1].format(name)


def named(name: str) -> WebhookEvent:
    return parse_webhook_event(json.dumps({"event_type": name}).encode())


def dispatch_all(handler: WebhookHandler, names: list[str]) -> None:
    for name in names:
        event = named(name)
        handler.dispatch(event)
        asyncio.run(handler.adispatch(event))


def test_each_name_that_no_handler_takes_has_one_line(
    handler: WebhookHandler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    handler.on(IssueNewEvent)(lambda _event: None)
    dispatch_all(handler, ["issue_new", "ticket.created", "ticket\n.created", "ticket.created"])
    assert lines_of(caplog) == [untaken("ticket.created"), untaken("ticket\n.created")]


def test_a_handler_without_handlers_is_warned_of_once(
    handler: WebhookHandler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    dispatch_all(handler, ["", ""])
    assert lines_of(caplog) == [NOBODY, untaken("")]


def test_no_line_is_logged_where_a_handler_fails(handler: WebhookHandler, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    @handler.on("fails")
    def fail(_event: WebhookEvent) -> None:
        raise LookupError("a bug")

    with pytest.raises(PylonWebhookHandlerErrors):
        handler.dispatch(named("fails"))
    assert lines_of(caplog) == []


def test_a_hundred_names_are_told_and_of_each_a_hundred_characters(
    handler: WebhookHandler, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    handler.on(IssueNewEvent)(lambda _event: None)
    for number in range(200):
        handler.dispatch(named(f"{number:03}{'ü' * 1000}"))
    assert lines_of(caplog) == [untaken(f"{number:03}{'ü' * 97}") for number in range(100)]
