"""Sentences under the headline: what the order study found, every number with its interval."""

import polars as pl

from calib_assets.figures.order_parts import ORACLE_FILTER, strategy_label
from calib_assets.figures.text import share
from calib_assets.report.contract import Finding, Provenance, sources
from calib_assets.report.order_examples import plain
from calib_assets.report.study import count


def order_findings(
    model: str,
    sweep: str,
    depth_summaries: pl.DataFrame | None,
    best_decoding: pl.DataFrame | None,
    provenance: dict[str, Provenance],
    *,
    judge: str | None = None,
) -> tuple[Finding, ...]:
    """What one model's sweep says about depth and about the oracle filter; nothing where there is no value.

    Whether intervals overlap is said as it is; a difference is never called one on the means alone.

    Args:
        depth_summaries: Columns ``judge, weighting, depth, n_nodes, n_without_valid, auc, auc_ci_low, auc_ci_high``,
            or None.
        best_decoding: Columns ``judge, strategy, over, floor, measure, value, ci_low, ci_high``, or None.
        provenance: Manifests by table name.
        judge: Whose labels; default the first of each table.
    """
    where = f"{plain(model, 60)}, {plain(sweep, 60)}"
    known = [table for table in (depth_summaries, best_decoding) if table is not None and table.height]
    judge = known[0]["judge"][0] if known and judge is None else judge
    found = []
    for name, table, say in (
        ("depth_summaries", depth_summaries, _by_depth),
        ("best_decoding", best_decoding, _oracle_filter),
    ):
        if table is None or table.is_empty():
            continue
        who = judge if judge in table["judge"] else table["judge"][0]
        sentence = say(table.filter(pl.col("judge") == who))
        if sentence:
            text = f"{where}: {sentence} (judge {plain(str(who), 60)})."
            found.append(Finding(text, sources(provenance.get(name))))
    return tuple(found)


def _by_depth(rows: pl.DataFrame) -> str:
    rows = rows.filter(pl.col("weighting") == "token").drop_nulls("auc").sort("depth")
    if rows.is_empty():
        return ""
    first, last = rows.row(0, named=True), rows.row(-1, named=True)
    numbers = [(row["auc"], row["auc_ci_low"], row["auc_ci_high"]) for row in (first, last)]
    start = f"the mean area under the local precision–recall frontier is {_value(*numbers[0])} {_at_depth(first)}"
    if rows.height == 1:
        return start
    return f"{start}, and {_value(*numbers[1])} {_at_depth(last)}{_overlap(*numbers)}"


def _at_depth(row: dict) -> str:
    """The depth, and how many of its nodes the mean is of: those where some swept token is valid."""
    every = row["n_nodes"] + row["n_without_valid"]
    return f"at depth {row['depth']}, over the {row['n_nodes']:,} of {count(every, 'node')} with a valid token"


def _oracle_filter(rows: pl.DataFrame) -> str:
    rows = rows.filter((pl.col("over") == "valid") & (pl.col("measure") == "embedding_diversity"))
    if rows.is_empty():
        return ""
    floor = f"validity ≥ {rows['floor'][0]:g}"
    known = rows.drop_nulls("value")
    tops = [
        next(part.sort("value", descending=True).iter_rows(named=True), None)
        for part in (
            known.filter(pl.col("strategy") != ORACLE_FILTER),
            known.filter(pl.col("strategy") == ORACLE_FILTER),
        )
    ]
    numbers = [None if top is None else (top["value"], top["ci_low"], top["ci_high"]) for top in tops]
    if tops[0] is None:
        start = f"no cutoff strategy reaches {floor}"
    else:
        name = strategy_label(tops[0]["strategy"])
        start = f"at {floor} the largest embedding diversity of a cutoff strategy is {_value(*numbers[0])}, by {name}"
    if ORACLE_FILTER not in rows["strategy"]:
        return start
    if tops[1] is None:
        return f"{start}; the oracle filter does not reach that validity"
    both = _overlap(*numbers) if tops[0] is not None else ""
    return f"{start}; sampling under the oracle filter gives {_value(*numbers[1])}{both}"


def _value(value: float, low: float | None, high: float | None) -> str:
    """A number with its interval, or the remark that there is none.

    >>> _value(0.5, 0.4, 0.61), _value(0.9998, None, None)
    ('0.5 [0.4, 0.61]', '1−2×10⁻⁴ [no interval]')
    """
    if low is None or high is None:
        return f"{share(value, 3)} [no interval]"
    return f"{share(value, 3)} [{share(low, 3)}, {share(high, 3)}]"


def _overlap(one: tuple, other: tuple) -> str:
    """Whether two intervals overlap, in words; nothing where one is unknown."""
    if None in (*one, *other):
        return ""
    apart = one[2] < other[1] or other[2] < one[1]
    return "; the 95 % intervals do not overlap" if apart else "; the 95 % intervals overlap"
