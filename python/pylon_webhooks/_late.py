"""The modules that only native code uses: loaded when it first needs them, so that importing the package stays quick.

They are imported here, in Python, so that PyInstaller and its like see that they belong to an app.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from types import ModuleType


def json() -> ModuleType:
    """JSON for the values of events."""
    from . import _json

    return _json


def pydantic() -> ModuleType:
    """How pydantic takes events."""
    from . import _pydantic

    return _pydantic
