"""JSON for the native module. Loaded when first needed, so that importing the package stays quick."""

import json
from datetime import date

loads = json.loads


def dumps(value: object) -> str:
    """JSON text of what `model_dump(mode="json")` gives."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def encode(fields: dict[str, object]) -> bytes:
    """The body of an event that is made from keywords.

    Raises TypeError for a value without a JSON form, ValueError for a number that JSON has not, or too deep nesting.
    """
    try:
        return json.dumps(fields, default=_text, separators=(",", ":"), allow_nan=False).encode()
    except RecursionError:
        raise ValueError("an event's fields nest too deep") from None


def _text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"an event's field must be JSON or a date, not {type(value).__name__}")
