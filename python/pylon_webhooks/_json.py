"""JSON for the native half; loaded when first needed, so that importing the package stays quick."""

import json
from datetime import date

loads = json.loads


def dumps(value: object) -> str:
    """JSON text of what `model_dump(mode="json")` gives."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def encode(fields: dict[str, object]) -> bytes:
    """The body that an event made from keywords has.

    Raises TypeError for a value without JSON form, ValueError for one that JSON cannot hold or that nests too deep.
    """
    try:
        return json.dumps(fields, default=_text, separators=(",", ":"), allow_nan=False).encode()
    except RecursionError:
        raise ValueError("an event's fields must not nest so deep") from None


def _text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"an event's field must be JSON or a date, not {type(value).__name__}")
