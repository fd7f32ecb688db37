"""The public names of the Python package, with their signatures, held to the list `tests/public_names/python.txt`.

A name or parameter that comes, goes or changes shows in the list's diff. `PYLON_RENEW_SNAPSHOTS=1` renews the list.
"""

from __future__ import annotations

import inspect
import os
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import pylon_webhooks
import pylon_webhooks.testing

LIST = Path(__file__).resolve().parent / "public_names" / "python.txt"


def test_the_public_names_of_the_package_are_those_of_its_list() -> None:
    found = "".join(f"{line}\n" for line in lines())
    if os.environ.get("PYLON_RENEW_SNAPSHOTS"):
        LIST.parent.mkdir(exist_ok=True)
        LIST.write_text(found)
    assert found == LIST.read_text(), f"the public names differ from {LIST}"


def modules() -> list[str]:
    """The modules that users may import."""
    walked = pkgutil.walk_packages(pylon_webhooks.__path__, "pylon_webhooks.")
    return ["pylon_webhooks", *(found.name for found in walked if "._" not in found.name)]


def test_every_public_module_lists_its_names() -> None:
    for name in modules():
        module = import_module(name)
        exported = module.__all__
        assert exported == sorted(exported, key=_by_isort), name
        assert [export for export in exported if not hasattr(module, export)] == []


def _by_isort(name: str) -> tuple[int, str]:
    """Constants, classes, the rest: the order that ruff gives `__all__`."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def lines() -> list[str]:
    """A line for each module, class, function, attribute and constant. An object has its lines where it was defined."""
    found: list[str] = []
    for module_name in modules():
        module = import_module(module_name)
        found.append(module_name)
        for name in module.__all__:
            thing, path = getattr(module, name), f"{module_name}.{name}"
            home = f"{getattr(thing, '__module__', module_name)}.{getattr(thing, '__qualname__', name)}"
            if inspect.ismodule(thing):
                continue
            if home == path or "._" in home:
                found += described(path, thing)
            else:
                found.append(f"{path} is {home}")
    return sorted({*found}, key=lambda line: line.removeprefix("async "))


def described(path: str, thing: Any) -> Iterator[str]:
    """The lines of a class with its own attributes, of a function, or of a constant."""
    if inspect.isclass(thing):
        bases = ", ".join(base.__qualname__ for base in thing.__bases__ if base is not object)
        yield f"{path}{signature(thing)}{f' of {bases}' if bases else ''}"
        for name, attribute in vars(thing).items():
            if not name.startswith("_") or name in ("__enter__", "__aenter__", "__len__"):
                yield member(f"{path}.{name}", attribute)
    elif callable(thing):
        yield f"{path}{signature(thing)}"
    else:
        yield f"{path}: {type(thing).__name__}"


def member(path: str, attribute: Any) -> str:
    """The line of an attribute of a class."""
    function = getattr(attribute, "__func__", attribute)
    if callable(function):
        return f"{'async ' if inspect.iscoroutinefunction(function) else ''}{path}{signature(function)}"
    if type(attribute).__name__ == "Field":
        return f"{path}: {attribute.shape}"
    return path


class _Text(str):
    """An annotation as it was written."""

    __repr__ = str.__str__


def signature(thing: Any) -> str:
    """The parameters; without them where Python knows none, as of exceptions."""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(...)"
    parameters = [kept.replace(annotation=_written(kept.annotation)) for kept in found.parameters.values()]
    return str(found.replace(parameters=parameters, return_annotation=_written(found.return_annotation)))


def _written(annotation: Any) -> Any:
    return _Text(annotation) if isinstance(annotation, str) else annotation


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        (pylon_webhooks.Background, "Background(*, capacity: int = 1000, workers: int = 8, drain_seconds: float = 25)"),
        (pylon_webhooks.names_match, "names_match(one, other)"),
        (
            pylon_webhooks.testing.sample_event,
            "sample_event(kind: str = 'issue_new', /, **overrides: Any) -> WebhookEvent",
        ),
        (7, "7: int"),
    ],
)
def test_the_list_shows_parameters(thing: Any, expected: str) -> None:
    path = getattr(thing, "__name__", str(thing))
    assert next(described(path, thing)).startswith(expected)
