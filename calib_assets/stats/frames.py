"""Columns of any data frame as polars series: polars, pandas (never imported here), or a mapping of arrays."""

import numpy as np
import polars as pl


def series(data, column: str) -> pl.Series:
    """One column, with NaN, None and pandas' NA all null.

    Args:
        data: A polars DataFrame or LazyFrame, a pandas DataFrame, or a mapping from names to arrays.
        column: Its name.

    Raises:
        ValueError: If there is no such column.
        TypeError: If the data is no table.

    >>> series({"x": np.array([1.0, np.nan])}, "x").to_list()
    [1.0, None]
    """
    if isinstance(data, pl.LazyFrame):
        raise ValueError("the data is a LazyFrame; collect() it first, a fit reads its rows many times")
    if not (isinstance(data, dict) or hasattr(data, "columns")):
        raise TypeError(f"the data is a {type(data).__name__}; give a polars or pandas DataFrame, or a dict of arrays")
    names = list(data.keys() if isinstance(data, dict) else data.columns)
    if column not in names:
        raise ValueError(f"the data has no column {column!r}; it has {names}")
    found = data[column]
    if not isinstance(found, pl.Series):
        found = _from_array(column, found)
    if found.dtype.is_float():
        return found.fill_nan(None)
    if found.dtype in (pl.Categorical, pl.Enum):
        return found.cast(pl.String)
    return found


def _from_array(column, values) -> pl.Series:
    array = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if array.dtype != object:
        return pl.Series(column, array)
    return pl.Series(column, [None if _is_missing(value) else value for value in array], strict=False)


def _is_missing(value) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas' missing values
        return True
    return isinstance(value, float) and value != value
