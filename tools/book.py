"""Builds the documentation's site with mdBook, from the same Markdown that the repository shows.

mdBook takes one source folder, and the pages stand in several. So the pages, and the files that they link to, are copied to
one folder first, each at its place in the repository. Every link holds in the site as it does here.

Usage: python tools/book.py MDBOOK OUTPUT        the program, and the folder for the site
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pages import ROOT, links, pages, summary


def stage(folder: Path) -> None:
    """Put the book's source into a folder: settings, table of contents, pages, and the files that pages link to."""
    (folder / "book.toml").write_text((ROOT / "docs" / "book.toml").read_text())
    source = folder / "src"
    source.mkdir()
    # Its links start in docs, where it stands; the book's start at the root.
    contents = summary().read_text().replace("](", "](docs/").replace("](docs/../", "](")
    (source / "SUMMARY.md").write_text(contents)
    linked = {(page.parent / path).resolve() for page in pages() for path, _ in links(page) if path}
    for file in {*pages(), *linked}:
        target = source / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


class _Page(HTMLParser):
    """Where a page of the site leads, and what in it can be led to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        attributes = dict(attrs)
        if attributes.get("id"):
            self.ids.add(str(attributes["id"]))
        if target := attributes.get("href" if tag == "a" else "src"):
            self.targets.append(target)


def broken(site: Path) -> list[str]:
    """The links of the site that lead nowhere."""
    parsed = {file: _Page(file) for file in site.rglob("*.html") if file.name not in {"404.html", "print.html"}}
    found = []
    for file, page in parsed.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            led_to = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            led_to = led_to / "index.html" if led_to.is_dir() else led_to
            if not led_to.is_file():
                found.append(f"{file.relative_to(site)}: no such file: {target}")
            elif parts.fragment and led_to in parsed and unquote(parts.fragment) not in parsed[led_to].ids:
                found.append(f"{file.relative_to(site)}: no such heading: {target}")
    return found


def main() -> int:
    """Build the site; exit status 0 when every link in it holds."""
    mdbook, output = sys.argv[1], Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder))
        subprocess.run([mdbook, "build", folder, "--dest-dir", str(output)], check=True)
    found = broken(output)
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
