"""Tables of rollouts read a few whole prompts at a time, so that one larger than memory can be measured."""

from collections.abc import Iterator, Sequence

import polars as pl

from calib_assets.metrics._tables import check_columns

# Rows that are read at once from a lazy table; one prompt may hold more.
BATCH_ROWS = 2_000


def whole_prompts(
    table: pl.DataFrame | pl.LazyFrame, name: str, columns: Sequence[str], batch_rows: int = BATCH_ROWS
) -> Iterator[pl.DataFrame]:
    """Successive parts of a table, each with all the rows of its prompts.

    Args:
        table: Has ``prompt_id`` and ``columns``; the rows of a prompt stand together. Of a lazy table about
            ``batch_rows`` rows and those of one prompt are in memory at once; of its other columns none.
        name: What messages call the table.
        columns: Columns that are read besides ``prompt_id``.
        batch_rows: Rows that are read at once.

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
    eager = isinstance(table, pl.DataFrame)
    batches = [rows.collect()] if eager else rows.collect_batches(chunk_size=batch_rows, maintain_order=True)
    seen: set[str] = set()
    held: list[pl.DataFrame] = []
    for batch in batches:
        if batch.is_empty():
            continue
        ids = batch["prompt_id"]
        if ids.null_count():
            raise ValueError(f"{name} holds {ids.null_count()} rows whose prompt_id is null; name every prompt")
        if held and held[0]["prompt_id"][0] != ids[0]:
            yield _checked(pl.concat(held), name, seen)
            held = []
        others = (ids != ids[-1]).arg_true()
        first_of_last = int(others[-1]) + 1 if len(others) else 0
        if first_of_last:
            yield _checked(pl.concat([*held, batch[:first_of_last]]), name, seen)
            held = []
        held.append(batch[first_of_last:])
    if held:
        yield _checked(pl.concat(held), name, seen)


def check_rollout_columns(table: pl.DataFrame | pl.LazyFrame, name: str, columns: Sequence[str]) -> None:
    """Raise a ValueError that names the columns that ``table`` lacks; of a lazy table nothing is read."""
    check_columns(pl.DataFrame(schema=table.lazy().collect_schema()), name, columns, "pass one row for each rollout")


def _checked(part: pl.DataFrame, name: str, seen: set[str]) -> pl.DataFrame:
    """The part; its prompts, which must be new, are added to ``seen``."""
    for prompt in part["prompt_id"].rle().struct.field("value"):
        if prompt in seen:
            raise ValueError(
                f"{name} holds rows of prompt {prompt!r} in separate places; sort by prompt_id and sample first"
            )
        seen.add(prompt)
    return part
