"""JSON for the native half; loaded when first needed, so that importing the package stays quick."""

import json
from datetime import date

loads = json.loads


def dumps(value: object) -> str:
    """JSON text of what `model_dump(mode="json")` gives."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def encode(fields: dict[str, object]) -> bytes:
    """The body that an event made from keywords has."""
    return json.dumps(fields, default=_text, separators=(",", ":"), allow_nan=False).encode()


def _text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"an event's field must be JSON or a date, not {type(value).__name__}")
