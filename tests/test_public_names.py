"""The public names of the two libraries in Rust, held to the lists in `tests/public_names`.

A name that comes, goes or changes shows in the list's diff. `PYLON_RENEW_SNAPSHOTS=1` renews the lists. The names are read from
the pages that `cargo doc` has written.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

LISTS = Path(__file__).resolve().parent / "public_names"
DOCS = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "doc"
#: What a page's own members are called in its HTML, in front of their names.
MEMBERS = "method|tymethod|variant|structfield|associatedconstant|associatedtype"
#: What the compiler derives beside what was asked for.
COMPILERS = {"StructuralPartialEq"}


@pytest.mark.parametrize("crate", ["pylon_webhooks", "pylon_receiver"])
def test_the_public_names_of_a_crate_are_those_of_its_list(crate: str) -> None:
    pages = DOCS / crate
    assert pages.is_dir(), f"no {pages}: run `cargo doc --no-deps --all-features -p {crate.replace('_', '-')}`"
    found = "".join(f"{name}\n" for name in names(pages))
    stored = LISTS / f"{crate}.txt"
    if os.environ.get("PYLON_RENEW_SNAPSHOTS"):
        LISTS.mkdir(exist_ok=True)
        stored.write_text(found)
    assert found == stored.read_text(), f"the public names of {crate} differ from {stored}"


def names(pages: Path) -> list[str]:
    """`kind path`, `kind path::member` and `path: Trait` for all that a user of the crate can name."""
    found: set[str] = set()
    for link in re.findall(r'<li><a href="([^"]+)">', (pages / "all.html").read_text()):
        *modules, page = link.split("/")
        kind, name = page.removesuffix(".html").split(".", 1)
        path = "::".join([*modules, name])
        found.add(f"{kind} {path}")
        # Behind these come the implementations that every type has.
        text = re.split(r'<h2 id="(?:synthetic|blanket)-implementations', (pages / link).read_text())[0]
        own, _, traits = text.partition('<h2 id="trait-implementations"')
        # What it has from another type is in the list once, at that type.
        own = own.partition('id="deref-methods-')[0]
        found.update(f"{member} {path}::{name}" for member, name in re.findall(rf'id="({MEMBERS})\.(\w+)"', own))
        implemented = map(unquote, re.findall(r'<section id="impl-([^"]+?)-for-[^"]*"', traits))
        found.update(f"{path}: {name}" for name in implemented if name not in COMPILERS)
    return sorted(found)
