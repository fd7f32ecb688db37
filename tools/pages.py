"""The pages of the documentation: which there are, and whether every link, every anchor and the table of contents hold.

A heading's anchor is made as GitHub makes it; mdBook makes the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


def summary(root: Path = ROOT) -> Path:
    """The table of contents, from which mdBook builds the site."""
    return root / "docs" / "SUMMARY.md"


def pages(root: Path = ROOT) -> list[Path]:
    """Every page of the documentation, the table of contents among them."""
    folders = ["docs", "deploy", "benchmarks", "vectors"]
    return [*sorted(root.glob("*.md")), *(page for folder in folders for page in sorted((root / folder).rglob("*.md")))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text())):
        # A link in a heading counts by its text.
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text).lower().replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def links(page: Path) -> Iterator[tuple[str, str]]:
    """The links of a page that lead to a file: path (empty for the page itself) and anchor (empty for none)."""
    for target in _LINK.findall(_CODE.sub("", _FENCE.sub("", page.read_text()))):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def faults(root: Path = ROOT) -> list[str]:
    """What does not hold, a sentence each."""
    found = []
    known = pages(root)
    for page in known:
        place = page.relative_to(root)
        for path, anchor in links(page):
            target = (page.parent / path).resolve() if path else page
            if not target.is_file():
                found.append(f"{place}: no such file: {path}")
            elif anchor and (target.suffix != ".md" or anchor not in anchors(target)):
                found.append(f"{place}: no such heading: {path}#{anchor}")
            elif target.suffix == ".md" and target not in known:
                found.append(f"{place}: {path} is not a page of the documentation")
    listed = Counter((summary(root).parent / path).resolve() for path, _ in links(summary(root)))
    for page in known:
        if listed[page] != 1:
            found.append(f"docs/SUMMARY.md: lists {page.relative_to(root)} {listed[page]} times, expected once")
    return found
