"""Data versions: hashes of what an asset produced, independent of file formats and library versions."""

import hashlib

import numpy as np
import polars as pl


def table_digest(table: pl.DataFrame) -> str:
    """Hash of a table's column names, types and values, in row order.

    Values are hashed as little-endian numbers or length-prefixed UTF-8 with a null mask, not as Parquet bytes or
    polars row hashes: both change between versions of polars though the table is the same.

    Args:
        table: Columns of booleans, integers, floats, strings, or lists of these.

    Returns:
        16 hexadecimal digits.

    Raises:
        TypeError: If a column has another type, naming it.
    """
    state = hashlib.sha256(str(table.height).encode())
    for column in table.get_columns():
        state.update(f"|{column.name}:{column.dtype}|".encode())
        _add_column(state, column)
    return state.hexdigest()[:16]


def artifact_digest(parts: dict[str, str]) -> str:
    """Hash of named part digests (tables, files), in name order."""
    state = hashlib.sha256()
    for name in sorted(parts):
        state.update(f"{name}={parts[name]};".encode())
    return state.hexdigest()[:16]


def bytes_digest(data: bytes) -> str:
    """16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def _add_column(state, column: pl.Series) -> None:
    nulls = column.is_null()
    state.update(np.packbits(nulls.to_numpy()).tobytes())
    dtype = column.dtype
    if isinstance(dtype, pl.List):
        lengths = column.list.len().fill_null(0).to_numpy().astype("<i8")
        state.update(lengths.tobytes())
        _add_column(state, column.drop_nulls().list.explode(keep_nulls=True, empty_as_null=False))
    elif dtype == pl.String:
        encoded = [text.encode() for text in column.fill_null("").to_list()]
        state.update(np.array([len(text) for text in encoded], dtype="<i8").tobytes())
        state.update(b"".join(encoded))
    elif dtype == pl.Boolean:
        state.update(np.packbits(column.fill_null(False).to_numpy()).tobytes())
    elif dtype.is_integer():
        state.update(column.cast(pl.Int64).fill_null(0).to_numpy().astype("<i8").tobytes())
    elif dtype.is_float():
        # -0.0 and 0.0 are one number; NaNs have many bit patterns and one meaning.
        values = column.cast(pl.Float64).fill_null(0.0).to_numpy().astype("<f8") + 0.0
        state.update(np.where(np.isnan(values), np.float64("nan"), values).tobytes())
    elif dtype == pl.Null:
        state.update(b"null")
    else:
        raise TypeError(f"column {column.name!r} has type {dtype}, which has no canonical bytes; cast it first")
