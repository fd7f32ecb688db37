"""The documentation holds together: links, anchors, the table of contents, and the picture. `tools/run_docs.py` runs its code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import pages
import picture

#: A documentation in which everything holds.
GOOD = {
    "README.md": "# Title\n\n![a picture](docs/picture.svg) [Install](docs/install.md#with-pip-and-a-venv) [web](https://example.com)\n",
    "docs/SUMMARY.md": "[Start](../README.md)\n[Contents](SUMMARY.md)\n- [Install](install.md)\n",
    "docs/install.md": "# Install\n\n## With `pip`, and a *venv*\n\n[Up](../README.md#title) [here](#install)\n\n```sh\n# [not a link](x.md)\n```\n",
    "docs/picture.svg": "<svg/>",
}


def documentation(root: Path, changed: dict[str, str]) -> Path:
    """The files of a documentation, some of them changed."""
    for name, text in {**GOOD, **changed}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_every_link_every_anchor_and_the_table_of_contents_hold() -> None:
    assert pages.faults() == []


def test_a_documentation_that_holds_has_no_fault(tmp_path: Path) -> None:
    assert pages.faults(documentation(tmp_path, {})) == []


FAULTS = {
    "a link to no file": (
        {"README.md": "# Title\n\n[x](docs/instal.md)\n"},
        ["README.md: no such file: docs/instal.md"],
    ),
    "a link to a folder": ({"README.md": "# Title\n\n[x](docs)\n"}, ["README.md: no such file: docs"]),
    "a picture that is not there": (
        {"README.md": "# Title\n\n![x](docs/other.svg)\n"},
        ["README.md: no such file: docs/other.svg"],
    ),
    "an anchor of another page": (
        {"README.md": "# Title\n\n[x](docs/install.md#pip)\n"},
        ["README.md: no such heading: docs/install.md#pip"],
    ),
    "an anchor of its own": (
        {"README.md": "# Title\n\n[x](#tittle)\n"},
        ["README.md: no such heading: #tittle"],
    ),
    "an anchor of a heading in a block": (
        {"README.md": "# Title\n\n```sh\n# install\n```\n\n[x](#install)\n"},
        ["README.md: no such heading: #install"],
    ),
    "an anchor in a file without headings": (
        {"README.md": "# Title\n\n[x](docs/picture.svg#top)\n"},
        ["README.md: no such heading: docs/picture.svg#top"],
    ),
    "a page that is not listed": (
        {"docs/how-to/new.md": "# New\n"},
        ["docs/SUMMARY.md: lists docs/how-to/new.md 0 times, expected once"],
    ),
    "a page that is listed twice": (
        {"docs/SUMMARY.md": GOOD["docs/SUMMARY.md"] + "- [Again](install.md)\n"},
        ["docs/SUMMARY.md: lists docs/install.md 2 times, expected once"],
    ),
    "a list that names a page that is gone": (
        {"docs/SUMMARY.md": GOOD["docs/SUMMARY.md"] + "- [Gone](gone.md)\n"},
        ["docs/SUMMARY.md: no such file: gone.md"],
    ),
    "a link to Markdown that the site leaves out": (
        {"notes/todo.md": "# Todo\n", "README.md": "# Title\n\n[x](notes/todo.md)\n"},
        ["README.md: notes/todo.md is not a page of the documentation"],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_named(name: str, tmp_path: Path) -> None:
    changed, expected = FAULTS[name]
    assert pages.faults(documentation(tmp_path, changed)) == expected


def test_headings_of_the_same_words_have_anchors_of_their_own(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One: `a_b`\n\n## Notes\n\n## Notes\n\n## [Linked](x.md), too\n")
    assert pages.anchors(page) == {"one-a_b", "notes", "notes-1", "linked-too"}


ONE = "01a227c7-ceab-7c97-9fd2-4c77c033534a"
TWO = "01a227c7-ceab-7c97-9fd2-0000c033534a"


def test_the_picture_is_the_same_for_every_run_of_the_same_demo() -> None:
    first = f"  new 200  {ONE}\n  other 200  {TWO}\nUp:\n  {ONE}  new, attempt 2\n  {TWO}  other, attempt 2\n"
    second = first.replace(ONE, "x").replace(TWO, ONE).replace("x", TWO)
    assert picture.normalised(first) == picture.normalised(second)
    assert picture.normalised(first)[-1] == "  01a209f8-...-0002  other, attempt 2"


def test_the_picture_shows_another_answer_and_another_count() -> None:
    lines = picture.normalised(f"  new 200  {ONE}\n")
    assert lines != picture.normalised("  new 401  unauthorized\n")
    assert lines != picture.normalised(f"  new 200  {ONE}\n  new 200  {TWO}\n")


def test_what_the_demo_prints_cannot_break_the_picture() -> None:
    drawn = picture.draw(["<script>&"])
    assert "<script>" not in drawn
    assert "&lt;script&gt;&amp;" in drawn
