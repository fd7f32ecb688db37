"""What arrives of each template that docs/reference/templates.md gives, whatever Pylon puts in place of its variables."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pylon_webhooks import PylonWebhookPayloadError, WebhookHandler, parse_webhook_event, sign, template
from pylon_webhooks.testing import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = re.compile(r"\{\{\s*(.*?)\s*\}\}")
#: Read where they come, and in no template.
IN_NO_TEMPLATE = {"issue_sf_type", "issue_salesforce_account_id"}

# By shape: what Pylon would send, and what a handler gets.
TYPED: dict[str, tuple[str, Any]] = {
    "number": ("1042", 1042),
    "boolean": ("true", True),
    "date_time": ("2026-01-02T03:04:05.678Z", datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)),
    "list": ("one, two words,three@example.com", ["one", "two words", "three@example.com"]),
}


def fields(kind: str) -> dict[str, str]:
    """The shapes of a kind's fields, by name."""
    event_class: Any = type(parse_webhook_event({"event_type": kind}))
    return {name: getattr(event_class, name).shape for name in event_class.__match_args__ if name != "event_type"}


def escaped(text: str) -> str:
    """As it stands in JSON."""
    return json.dumps(text)[1:-1]


def rendered(kind: str, value: Callable[[str], str]) -> bytes:
    """The template as Pylon fills it in; `value` gives the text for the name of a field."""

    def fill(line: str) -> str:
        name = line.strip().split('"')[1] if '"' in line else ""
        return VARIABLE.sub(lambda _: value(name), line)

    return "\n".join(fill(line) for line in template(kind).split("\n")).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_json_and_names_all_fields_of_its_event(kind: str) -> None:
    members = json.loads(template(kind))
    assert members["event_type"] == kind
    assert {*members} == {"event_type", *fields(kind)} - IN_NO_TEMPLATE
    assert all(VARIABLE.fullmatch(value) for name, value in members.items() if name != "event_type")
    # A variable in two places would be a slip.
    assert len({*members.values()}) == len(members)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_template_arrives_as_its_type(kind: str) -> None:
    shapes = fields(kind)
    values = {name: TYPED.get(shape, (f"text of {name}", f"text of {name}")) for name, shape in shapes.items()}
    # Addresses may hold commas themselves.
    addresses = ["https://example.com/a,b.txt", "https://example.com/c.txt"]
    values["issue_attachment_urls"] = ", ".join(addresses), addresses
    body = rendered(kind, lambda name: values[name][0])
    event: Any = parse_webhook_event(body)
    assert (event.kind, event.raw, event.problems, event.extra) == (kind, body, [], {})
    for name in {*shapes} - IN_NO_TEMPLATE:
        expected = values[name][1]
        value = getattr(event, name)
        assert (name, type(value), value) == (name, type(expected), expected)
    for name in IN_NO_TEMPLATE & {*shapes}:
        assert getattr(event, name) == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sent", "expected"), [("false", False), ("False", False), ("0", False), ("TRUE", True), ("1", True)]
)
def test_a_boolean_arrives_however_pylon_spells_it(kind: str, sent: str, expected: bool) -> None:
    shapes = fields(kind)
    event = parse_webhook_event(rendered(kind, lambda name: sent if shapes[name] == "boolean" else "1"))
    booleans = [name for name, shape in shapes.items() if shape == "boolean"]
    assert [getattr(event, name) for name in booleans] == [expected] * len(booleans)
    assert not any(problem.field in booleans for problem in event.problems)


# What customers write.
HOSTILE = {
    "quotes": "say \"hi\" and 'bye'",
    "backslashes": "C:\\new\\table\\u0041\\",
    "line feeds": "one\ntwo\r\nthree\u2028four",
    "control characters": "".join(map(chr, range(0x20))) + "\x7f\x85\x9f",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f600",
    "right to left": "\u202eevil\u202c \u05d0\u05d1",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert('x')>&lt;&amp;",
    "JSON": '", "event_type": "issue_assigned", "x": "',
    "a template": "see {{issue.title}} {{{issue.body}}}",
    "a format": "%s %(name)s {0} ${PATH} `id`",
    "SQL": "'; DROP TABLE issues; --",
    "very long": "long \u00e9" * 50_000,
    "combining": "Z\u0351\u036b\u0343" * 50,
}
#: Those that are no JSON unless they are escaped, in any way that could be mended.
NEED_ESCAPES = {"quotes", "backslashes"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_arrive_as_they_were_written_where_pylon_escapes_them(kind: str, value: str) -> None:
    shapes = fields(kind)
    texts = [name for name in {*shapes} - IN_NO_TEMPLATE if shapes[name] == "text"]
    body = rendered(kind, lambda name: escaped(value) if name in texts else TYPED[shapes[name]][0])
    event = parse_webhook_event(body)
    assert (event.kind, event.problems) == (kind, [])
    assert {getattr(event, name) for name in texts} == {value}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in NEED_ESCAPES | {"JSON"}])
def test_hostile_texts_arrive_unescaped_too_where_that_can_be_mended(kind: str, name: str) -> None:
    value = HOSTILE[name]
    shapes = fields(kind)
    texts = [name for name in {*shapes} - IN_NO_TEMPLATE if shapes[name] == "text"]
    event = parse_webhook_event(rendered(kind, lambda name: value if name in texts else TYPED[shapes[name]][0]))
    assert event.kind == kind
    assert {getattr(event, name) for name in texts} == {value}
    mended = [str(problem) for problem in event.problems]
    expected = "payload: raw control characters in strings were read as if escaped"
    assert mended == ([expected] if re.search("[\x00-\x1f]", value) else [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", sorted(NEED_ESCAPES))
def test_a_quote_or_backslash_that_is_not_escaped_is_refused_with_its_line(kind: str, name: str) -> None:
    shapes = fields(kind)
    field = "message_body_html" if kind == "issue_message_new" else "issue_body"
    body = rendered(kind, lambda name_: HOSTILE[name] if name_ == field else "1" if shapes[name_] else "")
    line = 1 + next(index for index, line in enumerate(template(kind).split("\n")) if f'"{field}"' in line)
    with pytest.raises(PylonWebhookPayloadError) as caught:
        parse_webhook_event(body)
    # A backslash at the very end hides the quote after it, so that the fault shows where the next line begins.
    found = int(re.findall(r"at line (\d+) column", str(caught.value))[0])
    assert found in ((line,) if name == "quotes" else (line, line + 1))
    assert "remove that variable from the trigger's template" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_no_customer_text_changes_an_event_where_pylon_escapes_it(kind: str) -> None:
    # With `event_type` first in each template, not even unescaped text that closes its string could name another event unseen.
    body = rendered(kind, lambda _: escaped(HOSTILE["JSON"]))
    assert parse_webhook_event(body).kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_without_values_is_read_and_says_what_is_missing(kind: str) -> None:
    shapes = fields(kind)
    event: Any = parse_webhook_event(rendered(kind, lambda _: ""))
    assert event.kind == kind
    empty = {"number": None, "boolean": None, "date_time": None, "list": []}
    for name, shape in shapes.items():
        assert getattr(event, name) == empty.get(shape, "")
    typed = [name for name, shape in shapes.items() if shape in ("number", "boolean", "date_time")]
    assert [str(problem) for problem in event.problems] == [f"{name}: empty" for name in typed]


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_that_nobody_filled_in_is_read_and_says_so(kind: str) -> None:
    shapes = fields(kind)
    event: Any = parse_webhook_event(template(kind).encode())
    members = json.loads(template(kind))
    assert event.kind == kind
    for name in {*shapes} - IN_NO_TEMPLATE:
        # Identifiers that are placeholders would all be one; texts are shown as they stand.
        empty = {"number": None, "boolean": None, "date_time": None, "list": []}.get(shapes[name], "")
        keeps_text = shapes[name] == "text" and not name.endswith("_id")
        assert getattr(event, name) == (members[name] if keeps_text else empty)
    named = [name for name in shapes if name not in IN_NO_TEMPLATE]
    assert [str(problem) for problem in event.problems] == [f"{name}: an unresolved placeholder" for name in named]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["", "null", "{{x}}", "\n", "\x00", "0", "x" * 10_000, *HOSTILE.values()])
def test_whatever_is_filled_in_is_handled_or_refused_and_breaks_nothing(kind: str, value: str) -> None:
    handler = WebhookHandler("secret")

    @handler.on_any
    def read_all(event: Any) -> dict[str, Any]:
        return {name: getattr(event, name) for name in event.__match_args__} | event.model_dump(mode="json")

    for text in (value, escaped(value)):
        body = rendered(kind, lambda _, text=text: text)  # type: ignore[misc]
        try:
            json.loads(body, strict=False)
        except ValueError:
            with pytest.raises(PylonWebhookPayloadError):
                handler.handle(body, sign("secret", body))
        else:
            ((read),) = handler.handle(body, sign("secret", body))
            assert {*fields(kind)} <= {*read}


NAMES = "issue_new, issue_assigned, issue_status_changed, issue_field_changed, issue_tags_changed, issue_reaction, issue_message_new"


@pytest.mark.parametrize("kind", ["", " ", "issue", "issue_new_", "ticket.created", "issue_new\0", "unknown"])
def test_there_is_no_template_for_another_name(kind: str) -> None:
    with pytest.raises(ValueError, match=f"^no typed event has this name; the names are {NAMES}$"):
        template(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_found_by_any_spelling_of_its_name(kind: str) -> None:
    for spelling in (kind.upper(), f" {kind} ", kind.replace("_", "."), kind.replace("_", "-"), kind.replace("_", " ")):
        assert template(spelling) == template(kind)
