"""Fingerprints: a strict hash of plain data. What cannot be serialized without doubt is refused."""

import hashlib
import json
import math


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces, for hashing.

    Args:
        value: None, bool, int, finite float, str, and lists, tuples and string-keyed dicts of these.

    Raises:
        TypeError: For anything else (a Path, a set, an object): the message names the place and type. A default
            such as ``str(value)`` would hash a memory address or a machine's path.
        ValueError: For NaN and infinities, which JSON cannot hold.
    """
    _refuse(value, "value")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: object) -> str:
    """First 16 hexadecimal digits of SHA-256 of :func:`canonical_json`.

    Examples:
        >>> digest({"b": 1, "a": [1.0, None]}) == digest({"a": (1.0, None), "b": 1})
        True
        >>> digest(1) == digest(1.0), digest("1") == digest(1)
        (False, False)
    """
    return text_digest(canonical_json(value))


def text_digest(text: str) -> str:
    """:func:`digest` of a value whose canonical JSON this is."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def canonical_object(members: dict[str, str]) -> str:
    """Canonical JSON of a mapping whose values are canonical JSON already, so that no part is written twice.

    Examples:
        >>> canonical_object({"b": canonical_json([1]), "a": canonical_json("x")}) == canonical_json(dict(a="x", b=[1]))
        True
    """
    return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{members[key]}" for key in sorted(members)) + "}"


def _refuse(value: object, place: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{place} is {value}, which has no canonical form; leave it out or use null")
        return
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse(item, f"{place}[{index}]")
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{place} has the key {key!r} of type {type(key).__name__}; keys must be strings")
            _refuse(item, f"{place}.{key}")
        return
    raise TypeError(
        f"{place} is a {type(value).__name__}, which a fingerprint refuses; turn it into numbers, text, lists or dicts"
    )
