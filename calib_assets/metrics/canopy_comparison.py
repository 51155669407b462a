"""What fine-tuning changes: base and instruct on the same resampled prompts (Paper B, Tables 1, 2, 6; METHODS §4)."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl

from calib_assets.metrics import canopy, length_entropy, semantic_diversity
from calib_assets.metrics._prompt_sums import PARTS, PromptSums, estimates, prompt_means, ratio
from calib_assets.metrics._tables import check_columns, check_unique
from calib_assets.stats import Bootstrap, resampled_sums

COMPARISON_SCHEMA = {
    "measure": pl.String,
    **{f"{side}_{part}": pl.Float64 for side in ("base", "instruct") for part in PARTS},
    "change": pl.Float64,
    "change_se": pl.Float64,
    "change_ci_low": pl.Float64,
    "change_ci_high": pl.Float64,
    "percent_change": pl.Float64,
    "percent_change_se": pl.Float64,
    "percent_change_ci_low": pl.Float64,
    "percent_change_ci_high": pl.Float64,
    "n_prompts": pl.Int64,
    "n_left_out": pl.Int64,
}


class _Family(NamedTuple):
    """Measures of one table: its columns, those of them that say whether a prompt has a value, and the sums."""

    measures: tuple[str, ...]
    needed: tuple[str, ...]
    values: tuple[str, ...]
    sums: Callable[[pl.DataFrame], PromptSums]


_CANOPY = ("canopy_entropy", "mean_length", "mean_entropy_rate", "truncation_rate", "tail_ended", "tail_exposure")
FAMILIES = {
    "prompt_measures": _Family(
        canopy.MEASURES[:6], _CANOPY, ("canopy_entropy",), lambda table: canopy.canopy_sums(table, None)
    ),
    "prompt_correlations": _Family(
        length_entropy.MEASURES,
        ("n_rollouts", *length_entropy.MEASURES),
        length_entropy.MEASURES,
        length_entropy.correlation_sums,
    ),
    "prompt_diversity": _Family(
        semantic_diversity.MEASURES,
        semantic_diversity.MEASURES,
        semantic_diversity.MEASURES,
        lambda table: prompt_means(table, semantic_diversity.MEASURES),
    ),
}


def paired_comparison(
    base: Mapping[str, pl.DataFrame | None],
    instruct: Mapping[str, pl.DataFrame | None],
    bootstrap: Bootstrap = Bootstrap(),
) -> pl.DataFrame:
    r"""Every measure of a base model and of its fine-tuned one, and the change, paired by prompt.

    Both are measured on the prompts that both have, and each draw takes the same prompts of both: what a prompt
    does to both cancels in the change. The percent change is :math:`100 (b - a) / |a|`, in each draw of its
    own a.

    Args:
        base: Tables of the base model by name: "prompt_measures", "prompt_correlations", "prompt_diversity";
            None, or no entry, for one that there is not.
        instruct: The same of the fine-tuned model.
        bootstrap: How the intervals are made; all measures share the resampled prompts.

    Returns:
        Columns of `COMPARISON_SCHEMA`, one row per measure: the six of size and length, the four of
        correlation, the two of diversity. ``n_prompts`` have a value in both (and a weight, for Pearson and
        Spearman); ``n_left_out`` are those that only one of the two has, or that are undefined in one. A table
        that neither side has gives no rows, one that one side lacks gives nulls. Numbers are null where
        undefined, the percent change also where the base is 0; standard errors and intervals where fewer than
        two prompts enter.

    Raises:
        ValueError: If a table has another name, lacks a column, or has a prompt twice.

    References:
        Paper B, Tables 1, 2 and 6, and Appendix C.3.

    >>> prompts = {"prompt_id": ["a", "b", "c"], "vendi_score": [1.0, 2.0, 3.0]}
    >>> base = pl.DataFrame(prompts | {"embedding_diversity": [0.2, 0.4, 0.9]})
    >>> instruct = pl.DataFrame(prompts | {"embedding_diversity": [0.1, 0.2, None]})
    >>> found = paired_comparison({"prompt_diversity": base}, {"prompt_diversity": instruct})
    >>> found.select("measure", "change", "percent_change", "n_prompts", "n_left_out").row(0)
    ('embedding_diversity', -0.15000000000000002, -50.0, 2, 1)
    """
    for name, tables in (("base", base), ("instruct", instruct)):
        _check_tables(name, tables)
    families = [name for name in FAMILIES if base.get(name) is not None or instruct.get(name) is not None]
    ids = [_prompt_ids(tables) for tables in (base, instruct)]
    common = [prompt for prompt in ids[0] if prompt in ids[1]]
    n_all = len(ids[0] | ids[1])
    pairs = [_aligned(FAMILIES[name], base.get(name), instruct.get(name), common) for name in families]
    sums = [side for pair in pairs for side in pair]
    draws = [None] * len(sums)
    if len(common) > 1 and sums:
        together = np.hstack([side.columns for side in sums])
        drawn = resampled_sums(together, np.arange(len(common)), bootstrap.n_boot, bootstrap.rng())
        parts = np.split(drawn, np.cumsum([side.columns.shape[1] for side in sums])[:-1], axis=1)
        draws = [side.of_sums(part) for side, part in zip(sums, parts, strict=True)]
    rows = []
    for number, name in enumerate(families):
        two = slice(2 * number, 2 * number + 2)
        rows += _rows(FAMILIES[name], sums[two], draws[two], n_all, bootstrap.level)
    return pl.DataFrame(rows, schema=COMPARISON_SCHEMA, orient="row")


def _rows(family, sums, draws, n_all, level) -> list[dict]:
    """One record per measure of a family; ``sums`` and ``draws`` are those of base and instruct."""
    n_shown = len(family.measures)
    used = sums[0].is_defined.sum(axis=0)[:n_shown]
    a, b = (side.of_all()[:n_shown] for side in sums)
    est = [a, b, b - a, _percent(a, b)]
    spread = [None] * 4
    if draws[0] is not None:
        a, b = (side[:, :n_shown] for side in draws)
        spread = [a, b, b - a, _percent(a, b)]
    found = [estimates(*both, used, level) for both in zip(est, spread, strict=True)]
    rows = []
    for place, measure in enumerate(family.measures):
        row = {"measure": measure, "n_prompts": int(used[place]), "n_left_out": n_all - int(used[place])}
        for side, numbers in zip(("base", "instruct"), found[:2], strict=True):
            row |= {f"{side}_{part}": value for part, value in numbers[place].items()}
        for what, numbers in zip(("change", "percent_change"), found[2:], strict=True):
            row |= {what if part == "est" else f"{what}_{part}": value for part, value in numbers[place].items()}
        rows.append(row)
    return rows


def _percent(a, b):
    return 100 * ratio(b - a, np.abs(a))


def _aligned(family: _Family, base, instruct, common: list[str]) -> list[PromptSums]:
    """Sums of both sides over the common prompts; a value that one side lacks is left out of both."""
    order = pl.DataFrame({"prompt_id": common}, schema={"prompt_id": pl.String})
    tables = []
    for table in (base, instruct):
        table = pl.DataFrame(schema=dict.fromkeys(("prompt_id", *family.needed))) if table is None else table
        table = table.select(pl.col("prompt_id").cast(pl.String), *family.needed)
        tables.append(order.join(table, on="prompt_id", how="left", maintain_order="left"))
    # A value is defined only where its side's sums take it: a correlation of three rollouts has no weight.
    is_defined = np.logical_and(*(family.sums(table).is_defined for table in tables))
    found = []
    for table in tables:
        masks = {name: pl.Series(is_defined[:, place]) for place, name in enumerate(family.values)}
        kept = table.with_columns(pl.when(mask).then(pl.col(name)).alias(name) for name, mask in masks.items())
        found.append(family.sums(kept))
    return found


def _prompt_ids(tables) -> dict[str, None]:
    """All prompts of a side's tables, in order of appearance."""
    known = [table["prompt_id"] for name in FAMILIES if (table := tables.get(name)) is not None]
    return dict.fromkeys(prompt for ids in known for prompt in ids)


def _check_tables(side: str, tables) -> None:
    for name, table in tables.items():
        if name not in FAMILIES:
            raise ValueError(f"{side} holds the table {name!r}; give some of {', '.join(FAMILIES)}")
        if table is not None:
            needed = ("prompt_id", *FAMILIES[name].needed)
            check_columns(table, f"{name} of {side}", needed, "pass the tables as they were computed")
            check_unique(table, f"{name} of {side}", ("prompt_id",), "give one row per prompt of one cell")
