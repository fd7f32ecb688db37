"""No source file imports in a circle, and each part of the project knows only the parts that ARCHITECTURE.md allows it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]

Graph = dict[Path, set[Path]]


class Part(NamedTuple):
    """A row of the table "Who knows whom"."""

    name: str
    places: tuple[Path, ...]
    knows: frozenset[str]


# --- what a file imports -------------------------------------------------------------------------------------------------------

#: Comments, literals, and the punctuation of paths. A lifetime is no literal.
_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|r(?P<raw>\#*)".*?"(?P=raw)|"(?:\\.|[^"\\])*"|'(?:\\[^']*|[^\\'])'|(?P<token>\w+|::|[^\s\w])""",
    re.DOTALL,
)


def rust_graph(root: Path) -> Graph:
    """The imports among the files of all crates. A module that re-exports its own children does not depend on them."""
    crates = {
        crate.name.replace("-", "_"): _modules(crate / "src")
        for crate in root.glob("crates/*")
        if (crate / "src").is_dir()
    }
    graph: Graph = {}
    for modules in crates.values():
        for here, file in modules.items():
            reached = graph[file] = set()
            for path, is_reexport in _paths(file.read_text()):
                found = _resolve(path, here, modules, crates)
                is_own_child = found is not None and found in {f for m, f in modules.items() if m[: len(here)] == here}
                if found is not None and found != file and not (is_reexport and is_own_child):
                    reached.add(found)
    return graph


def _modules(source: Path) -> dict[tuple[str, ...], Path]:
    """The files of a crate by module path."""
    modules: dict[tuple[str, ...], Path] = {}
    for file in sorted(source.rglob("*.rs")):
        names = file.relative_to(source).with_suffix("").parts
        modules[names[:-1] if names[-1] in ("lib", "main", "mod") else names] = file
    return modules


def _resolve(
    path: list[str],
    here: tuple[str, ...],
    modules: dict[tuple[str, ...], Path],
    crates: dict[str, dict[tuple[str, ...], Path]],
) -> Path | None:
    """The file of the innermost module on a path; None for a path out of the project."""
    first, rest = path[0], tuple(path[1:])
    if first in crates and (first,) not in modules:
        # Which file behind another crate's title page has the item, is that crate's own affair.
        return crates[first].get(())
    if first == "crate":
        target = rest
    elif first in ("self", "super"):
        base = here
        while path and path[0] in ("self", "super"):
            base = base[:-1] if path[0] == "super" else base
            path = path[1:]
        target = (*base, *path)
    elif (*here, first) in modules:
        target = (*here, first, *rest)
    else:
        return None
    return next((modules[target[:size]] for size in range(len(target), -1, -1) if target[:size] in modules), None)


def _paths(source: str) -> Iterator[tuple[list[str], bool]]:
    """The paths in a file outside of its unit tests, and whether each is a re-export."""
    tokens = [token for match in _TOKEN.finditer(source.split("#[cfg(test)]\nmod ")[0]) if (token := match["token"])]
    place, visibility = 0, -1
    while place < len(tokens):
        token = tokens[place]
        if token == "pub":
            # `pub`, or `pub(crate)`: a `use` after it is a re-export.
            visibility = place + 4 if tokens[place + 1 : place + 2] == ["("] else place + 1
        if token == "use":
            end = tokens.index(";", place)
            yield from ((path, place == visibility) for path in _tree(tokens[place + 1 : end]))
            place = end
        elif (
            tokens[place + 1 : place + 2] == ["::"]
            and (place == 0 or tokens[place - 1] != "::")
            and token.isidentifier()
        ):
            path = [token]
            while tokens[place + 1 : place + 2] == ["::"] and tokens[place + 2].isidentifier():
                path.append(tokens[place + 2])
                place += 2
            yield path, False
        place += 1


def _tree(tokens: list[str]) -> Iterator[list[str]]:
    """The paths of a `use`: `a::{b, c::{d, e}}` has three."""
    path: list[str] = []
    open_braces: list[list[str]] = []
    for token in [*tokens, ","]:
        if token == "{":
            open_braces.append([*path])
        elif token in ("}", ","):
            if path != (open_braces[-1] if open_braces else []):
                yield path
            if token == "}":
                # What follows a closed brace is the comma that ends it, or another brace.
                open_braces.pop()
            path = [*open_braces[-1]] if open_braces else []
        elif token.isidentifier() and token != "as":
            path = [*path, token]


def python_graph(root: Path) -> Graph:
    """The imports among the files of the Python package; imports for annotations count."""
    graph: Graph = {}
    for file in sorted((root / "python" / "pylon_webhooks").rglob("*.py")):
        reached = graph[file] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                folder = file.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                for name in node.names:
                    # `from . import module`, `from .module import name`, `from .package import name`.
                    options = (folder / f"{name.name}.py", folder.with_suffix(".py"), folder / "__init__.py")
                    reached |= {next((option for option in options if option.is_file()), file)} - {file}
    return graph


def circles(graph: Graph) -> list[list[Path]]:
    """One circle after the other, each cut where it was found, until there is none."""
    graph = {file: {*reached} for file, reached in graph.items()}
    found: list[list[Path]] = []
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle: list[Path] = error.args[1]
            found.append(circle)
            graph[circle[1]].discard(circle[0])
        else:
            return found


# --- who may know whom ---------------------------------------------------------------------------------------------------------


def parts_of(root: Path) -> list[Part]:
    """The table "Who knows whom" of ARCHITECTURE.md: a part, its places (one folder, and names in it), the parts it may know."""
    text = (root / "ARCHITECTURE.md").read_text()
    section = text.partition("\n## Who knows whom\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|`]+) \| ([^|]*`[^|]*) \| ([^|]*) \|$", section, re.MULTILINE)
    parts: list[Part] = []
    for name, where, knows in rows:
        base, *inside = re.findall(r"`([^`]+)`", where)
        places = tuple(root / base / name for name in inside) or (root / base,)
        parts.append(Part(name, places, frozenset(re.split(r",\s*", knows)) - {"nobody"}))
    return parts


def part_of(file: Path, parts: list[Part]) -> Part | None:
    """The part with the narrowest place that has the file."""
    return max(
        (part for part in parts if any(_is_in(file, place) for place in part.places)),
        key=lambda part: max(len(place.parts) for place in part.places if _is_in(file, place)),
        default=None,
    )


def _is_in(file: Path, place: Path) -> bool:
    return file.is_relative_to(place) or file.with_suffix("") == place


def broken_rules(graph: Graph, parts: list[Part]) -> set[str]:
    """Which file knows what its part may not know."""
    broken: set[str] = set()
    for file, reached in graph.items():
        part = part_of(file, parts)
        for other in reached:
            known = part_of(other, parts)
            if part is not None and known is not None and known != part and known.name not in part.knows:
                broken.add(f"{_short(file)} ({part.name}) -> {_short(other)} ({known.name})")
    return broken


def _short(file: Path) -> str:
    return str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file.name)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return rust_graph(ROOT) | python_graph(ROOT)


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    return parts_of(ROOT)


def test_no_file_imports_in_a_circle(graph: Graph) -> None:
    assert [" -> ".join(map(_short, reversed(circle))) for circle in circles(graph)] == []


def test_every_file_is_of_a_part(graph: Graph, parts: list[Part]) -> None:
    assert {_short(file) for file in graph if part_of(file, parts) is None} == set()


def test_every_part_knows_only_what_it_may(graph: Graph, parts: list[Part]) -> None:
    assert broken_rules(graph, parts) == set()


def test_the_table_names_only_what_is_there(parts: list[Part]) -> None:
    places = {place for part in parts for place in part.places}
    assert {
        _short(place) for place in places if not place.exists() and not list(place.parent.glob(f"{place.name}.*"))
    } == set()
    names = [part.name for part in parts]
    assert len(names) == len({*names}) > 10
    assert {known for part in parts for known in part.knows} <= {*names}


def test_the_table_itself_has_no_circle(parts: list[Part]) -> None:
    TopologicalSorter({part.name: part.knows for part in parts}).prepare()


def core_layers(root: Path) -> dict[str, int]:
    """The modules of the core by their place in the picture of ARCHITECTURE.md, from the left."""
    picture = (root / "ARCHITECTURE.md").read_text().partition("in the core, each only those to its left:")[2]
    layers = picture.split("```")[1].removeprefix("text").split("◄─")
    return {name: place for place, layer in enumerate(layers) for name in re.findall(r"\w+", layer)}


def test_the_core_imports_only_to_the_left(graph: Graph) -> None:
    source, layers = ROOT / "crates" / "pylon-webhooks" / "src", core_layers(ROOT)

    def layer(file: Path) -> int:
        return layers[file.relative_to(source).with_suffix("").parts[0]]

    files = {file: reached for file, reached in graph.items() if file.is_relative_to(source) and file.name != "lib.rs"}
    assert {file.relative_to(source).with_suffix("").parts[0] for file in files} == {*layers}
    assert [
        f"{_short(file)} -> {_short(other)}"
        for file, reached in files.items()
        for other in reached
        if other.name != "lib.rs" and layer(other) > layer(file)
    ] == []


# --- the finder finds ----------------------------------------------------------------------------------------------------------

RUST = {
    "a/src/lib.rs": "mod one;\nmod two;\npub use one::One;\npub(crate) use two::Two;\n",
    "a/src/one.rs": "use crate::two::{Two, inner::{Deep, Deeper as Other}};\n",
    "a/src/two/mod.rs": "mod inner;\nuse super::one::One; // crate::no::comment\n",
    "a/src/two/inner.rs": "const A: &str = \"crate::one::One\"; const B: char = '\"';\nfn f<'a>() { crate::one::f() }\n",
    "b/src/lib.rs": "fn f() { a::f(); let a = b::c; }\n#[cfg(test)]\nmod tests { use crate::x::Y; }\n",
    "b/src/x.rs": "pub use std::fmt;\npub use super::f as g;\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    def make(files: dict[str, str]) -> Path:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return make


def test_imports_of_rust_are_found_wherever_they_stand(project: Callable[[dict[str, str]], Path]) -> None:
    root = project({f"crates/{name}": text for name, text in RUST.items()})
    graph = rust_graph(root)
    named = {str(file.relative_to(root / "crates")): reached for file, reached in graph.items()}
    assert {name: {str(file.relative_to(root / "crates")) for file in reached} for name, reached in named.items()} == {
        # It re-exports its children, which is not to depend on them.
        "a/src/lib.rs": set(),
        "a/src/one.rs": {"a/src/two/mod.rs", "a/src/two/inner.rs"},
        "a/src/two/mod.rs": {"a/src/one.rs"},
        "a/src/two/inner.rs": {"a/src/one.rs"},
        "b/src/lib.rs": {"a/src/lib.rs"},
        # A re-export of what is not its own.
        "b/src/x.rs": {"b/src/lib.rs"},
    }
    assert sorted(sorted({file.name for file in circle}) for circle in circles(graph)) == [
        ["inner.rs", "one.rs"],
        ["mod.rs", "one.rs"],
    ]


def test_imports_of_python_are_found_those_for_annotations_too(project: Callable[[dict[str, str]], Path]) -> None:
    root = project(
        {
            "python/pylon_webhooks/__init__.py": "from . import one\nfrom .two import b\n",
            "python/pylon_webhooks/one.py": "if TYPE_CHECKING:\n    from .two import b\nimport json\n",
            "python/pylon_webhooks/two.py": "def f():\n    from .kit import a\n    from . import one\n",
            "python/pylon_webhooks/kit/__init__.py": "from ..two import b\n",
        }
    )
    graph = python_graph(root)
    package = root / "python" / "pylon_webhooks"
    assert graph == {
        package / "__init__.py": {package / "one.py", package / "two.py"},
        package / "one.py": {package / "two.py"},
        package / "two.py": {package / "kit" / "__init__.py", package / "one.py"},
        package / "kit" / "__init__.py": {package / "two.py"},
    }
    assert len(circles(graph)) == 2


def test_what_a_part_may_not_know_is_told(project: Callable[[dict[str, str]], Path]) -> None:
    root = project(
        {
            "ARCHITECTURE.md": "# It\n\n## Who knows whom\n\n| Part | Where | May know |\n| --- | --- | --- |\n"
            "| ground | `a/src`: `time`, `id` | nobody |\n| shelf | `a/src` | ground |\n| roof | `b` | shelf, ground |\n\n## More\n",
        }
    )
    parts = parts_of(root)
    assert parts[0] == Part("ground", (root / "a/src/time", root / "a/src/id"), frozenset())
    time, order, roof, stranger = (root / name for name in ("a/src/time.rs", "a/src/timer/mod.rs", "b/lib.rs", "c.rs"))
    named = [part and part.name for part in (part_of(file, parts) for file in (time, order, roof, stranger))]
    assert named == ["ground", "shelf", "roof", None]
    graph = {time: {order}, order: {time, roof}, roof: {time, order}}
    assert broken_rules(graph, parts) == {"time.rs (ground) -> mod.rs (shelf)", "mod.rs (shelf) -> lib.rs (roof)"}
