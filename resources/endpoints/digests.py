"""Names of things by their content."""

import hashlib
import json
from typing import Any


def digest_of(value: Any) -> str:
    """Hex SHA-256 of a JSON value, its keys sorted.

    >>> digest_of({"b": 1, "a": None}) == digest_of({"a": None, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
