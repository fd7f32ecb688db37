"""What `make dist` makes of the repository holds; `make dist` itself installs and uses all of it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import dist
import pages

HOME = "https://example.com/project"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[Install](docs/install.md)", f"[Install]({HOME}/blob/v1/docs/install.md)"),
        ("[Install](docs/install.md#receiver)", f"[Install]({HOME}/blob/v1/docs/install.md#receiver)"),
        ("![a\npicture](docs/images/demo.svg)", f"![a\npicture]({HOME}/raw/v1/docs/images/demo.svg)"),
        ("[a](LICENSE-MIT) and [b](docs/b.md)", f"[a]({HOME}/blob/v1/LICENSE-MIT) and [b]({HOME}/blob/v1/docs/b.md)"),
        ("[elsewhere](https://usepylon.com)", "[elsewhere](https://usepylon.com)"),
        ("[mail](mailto:a@example.com)", "[mail](mailto:a@example.com)"),
        ("[here](#install)", "[here](#install)"),
        ("a list[0] (of things)", "a list[0] (of things)"),
    ],
)
def test_links_lead_to_the_repository_from_anywhere(text: str, expected: str) -> None:
    assert dist.with_absolute_links(text, HOME, "v1") == expected


def test_no_relative_link_of_the_readme_is_left(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(dist.with_absolute_links((ROOT / "README.md").read_text(), HOME, "v1"))
    assert list(pages.links(ROOT / "README.md"))
    assert list(pages.links(page)) == []


@pytest.mark.parametrize("crate", dist.CRATES)
def test_every_crate_has_both_licences(crate: str) -> None:
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        assert (ROOT / "crates" / crate / name).read_text() == (ROOT / name).read_text()


@pytest.mark.parametrize("folder", [".", "crates/pylon-receiver-cli"])
def test_every_package_names_the_one_repository(folder: str) -> None:
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Repository"] == dist.repository()
    assert all(url.startswith(dist.repository()) for url in project["urls"].values())


def test_the_source_distribution_may_drop_members_from_the_lock_file() -> None:
    # It holds two of the five crates, so cargo must be allowed to take the others out of Cargo.lock.
    assert "locked" not in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["maturin"]
