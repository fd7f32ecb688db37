"""Each adapter loads its own framework, and the package none."""

from __future__ import annotations

import subprocess
import sys

import pytest

FRAMEWORKS = {"aiohttp", "django", "fastapi", "flask", "litestar", "quart", "starlette", "werkzeug"}
#: What each adapter may load of these, and what it cannot do without.
NEEDS = {
    "asgi": set[str](),
    "wsgi": set[str](),
    "aws_lambda": set[str](),
    "starlette": {"starlette"},
    "fastapi": {"fastapi", "starlette"},
    "flask": {"flask", "werkzeug"},
    "django": {"django"},
    "aiohttp": {"aiohttp"},
}

_BUILT_UPON = {
    "fastapi": {"pylon_webhooks.starlette"},
    "django": {"pylon_webhooks.wsgi"},
    "flask": {"pylon_webhooks.wsgi"},
}


def run(code: str) -> list[str]:
    start = f"import sys\nsys.path[:0] = {sys.path!r}\n"
    command = [sys.executable, "-S", "-E", "-c", start + code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("name", ["", *(f".{adapter}" for adapter in NEEDS)])
def test_importing_an_adapter_loads_no_other_framework(name: str) -> None:
    loaded = {*run(f"import pylon_webhooks{name}\nprint(*sys.modules, sep='\\n')")}
    assert loaded & FRAMEWORKS == NEEDS.get(name[1:], set())
    adapters = {f"pylon_webhooks.{adapter}" for adapter in NEEDS}
    own = {f"pylon_webhooks{name}"} if name else set()
    # FastAPI's builds upon Starlette's, and those of Django and Flask read a body as WSGI has it.
    built_upon = _BUILT_UPON.get(name[1:], set())
    assert loaded & adapters == own | built_upon


@pytest.mark.parametrize("adapter", ["asgi", "wsgi", "aws_lambda"])
def test_an_adapter_without_a_framework_loads_neither_asyncio_nor_logging(adapter: str) -> None:
    loaded = {*run(f"import pylon_webhooks.{adapter}\nprint(*sys.modules, sep='\\n')")}
    assert loaded.isdisjoint({"asyncio", "logging", "typing", "json", "http"})


@pytest.mark.parametrize("adapter", [adapter for adapter, needs in NEEDS.items() if needs])
def test_where_the_framework_is_missing_python_says_so(adapter: str) -> None:
    code = f"""
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {adapter!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
try:
    import pylon_webhooks.{adapter}
except ModuleNotFoundError as error:
    print(error.name.partition(".")[0], error)
    print(*error.__notes__, sep="\\n")
"""
    line, note = run(code)
    assert line.startswith(f"{adapter} No module named '{adapter}")
    assert note.startswith("this module needs ")
    assert note.endswith(f", or this package with the extra [{adapter}]")
