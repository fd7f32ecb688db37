"""Foreign programs for the tests, which are skipped where one is missing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from debian_programs import MissingProgram, environment_of_programs, find_program, is_demanded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["debian_program", "environment_of_programs", "skips_where_missing"]


def debian_program(name: str) -> Path:
    """A program of a Debian package; the test is skipped where it cannot be had."""
    with skips_where_missing():
        return find_program(name)


@contextmanager
def skips_where_missing() -> Iterator[None]:
    """Skips the test if a program is missing; fails it where every program is demanded."""
    try:
        yield
    except MissingProgram as error:
        if is_demanded():
            pytest.fail(str(error))
        pytest.skip(str(error))
