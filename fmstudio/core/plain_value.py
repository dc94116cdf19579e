"""Values of the store → what JSON and text can say of them, with every digit: as exports write them."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
from typing import Any


def plain_text(value: Any) -> str:
    """A value as one text: nested ones as JSON, bytes in base64, nothing for what is missing."""
    if value is None:
        return ""
    plain = plain_value(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def plain_value(value: Any) -> Any:
    """What JSON can say: texts, whole and finite numbers, truth, and lists and records of them; keys become text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value).replace("nan", "NaN").replace("inf", "Infinity")
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key if isinstance(key, str) else plain_text(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return str(value)
