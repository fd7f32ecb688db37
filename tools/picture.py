"""Draws the picture in README, `docs/images/demo.svg`, from what `pylon-receiver demo` prints.

Only ids differ from run to run: they are shortened, and numbered in the order of their first line. So the same program gives the
same picture.

Usage: python tools/picture.py            draw it
       python tools/picture.py --check    exit status 1 when the demo prints something else by now
"""

from __future__ import annotations

import re
import subprocess
import sys
from html import escape
from pathlib import Path

from receiver_shell import receiver_program

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "demo.svg"
_PROMPT = "$ pylon-receiver demo"
_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
#: Pixels: a character, a line, the edge, and the bar at the top.
_CHARACTER, _LINE, _EDGE, _BAR = 8.4, 20, 20, 34
#: By what a line says, the colour that it has.
_COLOURS = [(re.compile(r"^\$ "), "#e6edf3"), (re.compile(r" 401 "), "#ff7b72"), (re.compile(r"^  .* 200 "), "#7ee787")]
_DELIVERED, _TEXT = "#79c0ff", "#c9d1d9"


def demo() -> list[str]:
    """The lines of the demo, without what differs from run to run."""
    done = subprocess.run([receiver_program(), "demo"], check=True, capture_output=True, text=True, timeout=120)
    return normalised(done.stdout)


def normalised(printed: str) -> list[str]:
    """The lines of a demo, without what differs from run to run."""
    numbers: dict[str, int] = {}

    def short(found: re.Match[str]) -> str:
        number = numbers.setdefault(found[0], len(numbers) + 1)
        return f"01a209f8-...-{number:04}"

    return _ID.sub(short, printed).splitlines()


def colour(line: str) -> str:
    """The colour of a line."""
    for pattern, found in _COLOURS:
        if pattern.search(line):
            return found
    return _DELIVERED if line.startswith("  ") else _TEXT


def draw(lines: list[str]) -> str:
    """A terminal that shows the lines, as SVG."""
    shown = [_PROMPT, *lines]
    width = round(max(map(len, shown)) * _CHARACTER + 2 * _EDGE)
    height = _BAR + len(shown) * _LINE + _EDGE
    dots = "".join(
        f'<circle cx="{_EDGE + 18 * place}" cy="{_BAR / 2:g}" r="6" fill="{fill}"/>'
        for place, fill in enumerate(["#ff5f57", "#febc2e", "#28c840"])
    )
    texts = "\n".join(
        f'<text x="{_EDGE}" y="{_BAR + number * _LINE + 15}" fill="{colour(line)}">{escape(line)}</text>'
        for number, line in enumerate(shown)
        if line
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">
<title>The output of pylon-receiver demo</title>
<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>
{dots}
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" xml:space="preserve">
{texts}
</g>
</svg>
"""


def renew() -> None:
    """Draw the picture anew."""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw(demo()))


def difference() -> list[str]:
    """Says in a sentence that the picture no longer shows what the demo prints; nothing when it does."""
    drawn = PICTURE.read_text() if PICTURE.is_file() else ""
    name = "/".join(PICTURE.parts[-3:])
    return [] if drawn == draw(demo()) else [f"{name}: the demo prints something else by now: run tools/picture.py"]


def main() -> int:
    """Draw the picture, or check it."""
    if sys.argv[1:] == ["--check"]:
        found = difference()
        sys.stderr.writelines(f"{fault}\n" for fault in found)
        return 1 if found else 0
    renew()
    return 0


if __name__ == "__main__":
    sys.exit(main())
