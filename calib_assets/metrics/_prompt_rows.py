"""Tables of rollouts read a few whole prompts at a time, so that one larger than memory can be measured."""

from collections.abc import Iterator, Sequence

import polars as pl

from calib_assets.metrics._tables import check_columns

# Rows that are read at once from a lazy table; one prompt may hold more.
BATCH_ROWS = 500


def whole_prompts(
    table: pl.DataFrame | pl.LazyFrame, name: str, columns: Sequence[str], batch_rows: int = BATCH_ROWS
) -> Iterator[pl.DataFrame]:
    """Successive parts of a table, each with all the rows of its prompts.

    Args:
        table: Has ``prompt_id`` and ``columns``; the rows of a prompt stand together. Of a lazy table at most
            ``batch_rows`` rows, or those of one prompt, are in memory at once; of its other columns none. A lazy
            table that is no plain file is made anew for every part.
        name: What messages call the table.
        columns: Columns that are read besides ``prompt_id``.
        batch_rows: Rows that are read at once, unless one prompt has more.

    Yields:
        Parts with at least one row, in the table's order; prompt_id is a string.

    Raises:
        ValueError: If a column is missing, a prompt has no id, or its rows stand in separate places.

    >>> table = pl.DataFrame({"prompt_id": ["a", "a", "b", "c", "c"], "length": [1, 2, 3, 4, 5]})
    >>> [part["length"].to_list() for part in whole_prompts(table.lazy(), "rollouts", ["length"], batch_rows=2)]
    [[1, 2], [3], [4, 5]]
    """
    check_rollout_columns(table, name, ["prompt_id", *columns])
    rows = table.lazy().select(pl.col("prompt_id").cast(pl.String), *columns)
    runs = rows.select(pl.col("prompt_id").rle()).unnest("prompt_id").collect()
    if runs["value"].null_count():
        nameless = runs.filter(pl.col("value").is_null())["len"].sum()
        raise ValueError(f"{name} holds {nameless} rows whose prompt_id is null; name every prompt")
    apart = runs["value"].filter(runs["value"].is_duplicated())
    if len(apart):
        raise ValueError(
            f"{name} holds rows of prompt {apart[0]!r} in separate places; sort by prompt_id and sample first"
        )
    if isinstance(table, pl.DataFrame):
        if table.height:
            yield rows.collect()
        return
    first, held = 0, 0
    for count in [*runs["len"], None]:
        # Slices, not the batches of one query: such a query reads ahead as far as there is file.
        if held and (count is None or held + count > batch_rows):
            yield rows.slice(first, held).collect()
            first, held = first + held, 0
        held += count or 0


def check_rollout_columns(table: pl.DataFrame | pl.LazyFrame, name: str, columns: Sequence[str]) -> None:
    """Raise a ValueError that names the columns that ``table`` lacks; of a lazy table nothing is read."""
    check_columns(pl.DataFrame(schema=table.lazy().collect_schema()), name, columns, "pass one row for each rollout")
