"""Arrays as text that a page can hold and a browser can read: bytes by significance, deflated, in base64."""

import base64
import zlib

import numpy as np
from jaxtyping import Float, Int

_TYPES = {"f8": "f64", "f4": "f32", "u4": "u32", "i4": "i32", "u1": "u8"}


def packed(array: np.ndarray, kind: str) -> dict[str, str | int]:
    """An array as plain data.

    The bytes are laid out by significance (first all lowest bytes, then all second-lowest, …), since the high bytes of
    sorted numbers repeat themselves and deflate finds that.

    Args:
        array: Numbers of any shape; the page gets them flat, in C order.
        kind: Type in the page, as numpy names it: ``f8``, ``f4``, ``u4``, ``i4`` or ``u1``.

    Returns:
        ``{"type", "size", "data"}``, as ``unpack`` of ``static/engine.js`` reads it.

    Raises:
        ValueError: If integers do not fit into the type.

    >>> packed(np.array([1, 2, 3]), "u4")["type"], packed(np.array([1, 2, 3]), "u4")["size"]
    ('u32', 3)
    """
    flat = np.ascontiguousarray(array).ravel()
    narrow = flat.astype(np.dtype(kind).newbyteorder("<"))
    if kind[0] in "ui" and not np.array_equal(narrow, flat):
        raise ValueError(f"integers between {flat.min()} and {flat.max()} do not fit into {kind}")
    planes = narrow.view(np.uint8).reshape(flat.size, narrow.itemsize).T
    data = base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()
    return {"type": _TYPES[kind], "size": int(flat.size), "data": data}


def descending_keys(values: Float[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
    """float32 values, falling, as the first one's key and the steps down from each to the next.

    A key is the 32 bits of the number, changed so that keys are ordered as the numbers are; steps of sorted logits are
    small, so they deflate well, and nothing is rounded.

    Raises:
        ValueError: If the values rise somewhere, or are no float32 numbers.

    >>> descending_keys(np.array([1.0, 1.0, 0.5])).tolist()
    [3212836864, 0, 8388608]
    """
    narrow = np.asarray(values, np.float32) + np.float32(0)  # -0.0 becomes 0.0, which has another key
    if not np.array_equal(narrow, values):
        raise ValueError("values are no float32 numbers; keep logits in the model's own dtype")
    bits = narrow.view(np.uint32).astype(np.int64)
    keys = np.where(bits >> 31, 0xFFFFFFFF - bits, bits + 0x80000000)
    steps = -np.diff(keys)
    if (steps < 0).any():
        raise ValueError("values rise; sort them from the largest down")
    return np.concatenate([keys[:1], steps])
