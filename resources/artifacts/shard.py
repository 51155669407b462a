"""One shard of a logit cache: a safetensors file with the single tensor ``logits [rows, vocab]``.

Written by hand, because numpy has no bfloat16 and the file must be hashed while it is written; any
safetensors reader opens it. Read by mapping: a row costs its own pages, not the file.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
from jaxtyping import Float

from resources.artifacts.atomic import ArtifactError, replacing

#: dtype of the model -> (safetensors name, numpy dtype of the stored bits)
STORED = {"float32": ("F32", "<f4"), "bfloat16": ("BF16", "<u2"), "float16": ("F16", "<f2")}
_WRITE = 1 << 22


def narrow(logits: Float[np.ndarray, "rows vocab"], dtype: str) -> np.ndarray:
    """Bits of float32 logits in the model's own dtype, without loss.

    Raises:
        ValueError: If a value is NaN or +inf, or is not representable in ``dtype`` (then it is not what the
            model computed, or the dtype is wrong).

    >>> narrow(np.array([[1.5, -2.0]], np.float32), "bfloat16").tolist()
    [[16320, 49152]]
    """
    logits = np.ascontiguousarray(logits, np.float32)
    # A row's maximum is NaN or +inf exactly if the row has one: no array of the block's size is allocated.
    if not (logits.max(axis=-1, initial=-np.inf) < np.inf).all():
        raise ValueError(
            "logits contain NaN or +inf; the model's arithmetic overflowed: use dtype float32 or bfloat16"
        )
    if dtype == "float32":
        return logits
    if dtype == "bfloat16":
        bits = logits.view(np.uint32)
        lossless, stored = not (bits & 0xFFFF).any(), (bits >> 16).astype("<u2")
    else:
        with np.errstate(over="ignore"):
            stored = logits.astype("<f2")
        lossless = np.array_equal(stored.astype(np.float32), logits)
    if not lossless:
        raise ValueError(
            f"logits are not {dtype} values; store them in float32, or give the model's own dtype"
        )
    return stored


def widen(stored: np.ndarray, dtype: str) -> Float[np.ndarray, "*shape"]:
    """Float32 values of stored bits; exact inverse of :func:`narrow`."""
    if dtype == "bfloat16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32, copy=False)


def _header(dtype: str, n_rows: int, vocab_size: int) -> bytes:
    name, numpy_dtype = STORED[dtype]
    size = n_rows * vocab_size * np.dtype(numpy_dtype).itemsize
    text = json.dumps(
        {"logits": {"dtype": name, "shape": [n_rows, vocab_size], "data_offsets": [0, size]}}
    ).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of eight, as the format asks
    return len(text).to_bytes(8, "little") + text


def write_shard(path: str | Path, stored: np.ndarray, dtype: str) -> dict[str, int | str]:
    """Atomically write bits from :func:`narrow` ``[rows, vocab]``; return its ``bytes`` and ``sha256``.

    Raises:
        DiskSpaceError: The disk is full; nothing of the shard remains.
    """
    header, data = _header(dtype, *stored.shape), memoryview(stored).cast("B")
    digest = hashlib.sha256(header)
    with replacing(path) as file:
        file.write(header)
        for start in range(0, len(data), _WRITE):
            chunk = data[start : start + _WRITE]
            digest.update(chunk)
            file.write(chunk)
    return {"bytes": len(header) + len(data), "sha256": digest.hexdigest()}


def map_shard(path: str | Path, dtype: str, n_rows: int, vocab_size: int) -> np.ndarray:
    """Map a shard's bits read-only, ``[rows, vocab]``.

    Raises:
        ArtifactError: If the header is not the one that :func:`write_shard` writes for these arguments.
    """
    header = _header(dtype, n_rows, vocab_size)
    with open(path, "rb") as file:
        found = file.read(len(header))
    if found != header:
        remedy = "run the asset again: only the damaged shard is computed again"
        raise ArtifactError(path, f"logits {dtype} [{n_rows}, {vocab_size}]", "another header", remedy)
    return np.memmap(path, STORED[dtype][1], mode="r", offset=len(header), shape=(n_rows, vocab_size))
