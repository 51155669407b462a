"""Sentences at the top of the page: what the shape study found for a model, and which decoding rule costs least.

Values of the shape study are exact sums over all valid sequences, at the settings of the study's grid; they have no
sampling error, so they have no interval, and the sentences say "exact". What a grid does not hold is not claimed.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from calib_assets.figures.style import is_oracle, rule_label
from calib_assets.figures.text import share as share_text
from calib_assets.report.contract import Finding, Provenance, sources
from calib_assets.report.headline import TIE
from calib_assets.report.order_examples import plain
from calib_assets.report.study import count

Tables = Mapping[str, pl.DataFrame | None]
NARROW = "\u202f"
"""A blank at which no line breaks."""
NEEDS = ("calibration_gap", "best_diversity", "conditional_calibration")


def shape_findings(
    model: str, tables: Mapping[str, Tables], provenance: Mapping[str, Mapping[str, Provenance]], *, floor: float
) -> tuple[Finding, ...]:
    """Why one model's outputs collapse on its tasks, and which practical rule keeps most; nothing without data.

    Args:
        tables: By task: ``calibration_gap``, ``best_diversity``, ``conditional_calibration``; None where missing.
        provenance: By task, manifests by table name.
        floor: The validity floor of the sentences.
    """
    found = []
    for needed, say in zip(NEEDS, (_gaps, _rules, _order), strict=True):
        known = {task: held[needed] for task, held in tables.items() if held.get(needed) is not None}
        sentence = say(known, floor) if known else ""
        if sentence:
            used = sources(*(provenance.get(task, {}).get(needed) for task in known))
            found.append(Finding(f"{plain(model, 60)}{sentence}", used))
    return tuple(found)


def _gaps(gaps: Mapping[str, pl.DataFrame], floor: float) -> str:
    rows = {task: _at(table, floor) for task, table in gaps.items()}
    rows = {task: row for task, row in rows.items() if row is not None}
    if not rows:
        return ""
    best = {task: row["best_rule_diversity"] for task, row in rows.items()}
    reached = sorted(value for value in best.values() if value is not None)
    parts = [f", validity ≥ {floor:g} on {_tasks(len(rows))} (exact, over the study's grid): "]
    never = [task for task, value in best.items() if value is None]
    if reached:
        parts.append(
            f"the best practical decoding rule reaches {_span(reached)} of full diversity"
            + (f" where one reaches that validity; on {_named(never)} none does" if never else "")
        )
    else:
        parts.append("no practical decoding rule reaches that validity")
    split = {
        task: (row["order_gap"], row["shape_gap"])
        for task, row in rows.items()
        if row["order_gap"] is not None and row["shape_gap"] is not None
    }
    to_shape = [task for task, (order, shape) in split.items() if shape > order]
    to_order = [task for task, (order, shape) in split.items() if order > shape]
    if to_shape:
        parts.append(f"; more is lost to shape than to order on {_named(to_shape)} ({_both(split, to_shape)})")
    if to_order:
        parts.append(f"; more is lost to order than to shape on {_named(to_order)} ({_both(split, to_order)})")
    unsplit = [task for task, row in rows.items() if row["order_gap"] is None]
    if unsplit:
        parts.append(
            f"; on {_named(unsplit)} even the cutoff oracle, which knows how many tokens are valid, never reaches that "
            "validity: valid tokens do not hold the top ranks"
        )
    return "".join(parts) + "."


def _rules(best: Mapping[str, pl.DataFrame], floor: float) -> str:
    """The rule that keeps most of what the best rule of each task reaches; a rule below the floor keeps nothing."""
    frames = [
        table.filter(((pl.col("floor") - floor).abs() < 1e-9) & ~pl.col("rule").map_elements(is_oracle, pl.Boolean))
        .group_by("rule").agg(pl.col("diversity").max().fill_null(0.0))
        .with_columns(task=pl.lit(task))
        for task, table in best.items()
    ]  # fmt: skip
    rows = pl.concat(frames).filter(pl.col("diversity").max().over("task") > 0)
    if rows.is_empty():
        return ""
    n = rows["task"].n_unique()
    kept = (
        rows.with_columns(share=pl.col("diversity") / pl.col("diversity").max().over("task"))
        .group_by("rule").agg(pl.col("share").sum() / n, least=pl.col("share").min())
        .sort("share", "rule", descending=[True, False])
    )  # fmt: skip
    alike = pl.col("share") > kept["share"][0] - TIE
    first, others = kept.filter(alike), kept.filter(~alike).head(3)
    names = _listed(sorted(rule_label(name) for name in first["rule"]))
    what, be, keep = ("rule that costs", "is", ": it keeps ")
    if first.height > 1:
        what, be, keep = ("rules that cost", "are", ", which tie: they keep ")
    say = f": the decoding {what} least at validity ≥ {floor:g} {be} {names}{keep}"
    if n == 1:  # a mean over one task, of its own best, would say nothing
        say += f"a diversity of {share_text(rows['diversity'].max(), 3)} on {_named([rows['task'][0]])} (exact)"
    else:
        say += (
            f"on average {_percent(first['share'][0])} of the diversity that the best rule of each task reaches (at "
            f"worst {_percent(first['least'].min())}; {_tasks(n)}, exact)"
        )
    next_ones = [f"{rule_label(row['rule'])} {_percent(row['share'])}" for row in others.iter_rows(named=True)]
    of_it = " of it" if n == 1 else ""
    return say + (f"; next {', '.join(next_ones)}{of_it}" if next_ones else "") + "."


def _order(tables: Mapping[str, pl.DataFrame], floor: float) -> str:
    names = ("n_valid", "order_auroc", "is_order_calibrated", "effective_support", "last_valid_rank")
    rows = pl.concat([table.select(*names, task=pl.lit(task)) for task, table in tables.items()])
    rows = rows.filter(pl.col("n_valid") >= 2)
    if rows.is_empty():
        return ""
    ordered, auroc = int(rows["is_order_calibrated"].sum()), rows["order_auroc"].drop_nulls()
    support = rows["effective_support"].drop_nulls()
    worst = rows.with_columns(above=pl.col("last_valid_rank") - pl.col("n_valid")).filter(pl.col("above") > 0)
    worst = worst.sort("above", descending=True, maintain_order=True).head(1).to_dicts()
    return (
        f": of {count(rows.height, 'context')} with two or more valid tokens {ordered:,} "
        f"{'is' if ordered == 1 else 'are'} order-calibrated"
        + (f" (median order AUROC {share_text(auroc.median(), 4)})" if len(auroc) else "")
        + "".join(
            f"; at worst, on {_named([row['task']])}, {count(row['above'], 'invalid token')} "
            f"stand{'s' if row['above'] == 1 else ''} above the last of {row['n_valid']:,} valid ones"
            for row in worst
        )
        + (
            f"; the mass on valid tokens spreads over an effective {_percent(support.median())} of them at the median "
            "context (100 % would be even)"
            if len(support)
            else ""
        )
        + "; exact."
    )


def _at(table: pl.DataFrame, floor: float) -> dict | None:
    rows = table.filter((pl.col("floor") - floor).abs() < 1e-9)
    return rows.row(0, named=True) if rows.height else None


def _both(split: Mapping[str, tuple[float, float]], tasks: Sequence[str]) -> str:
    order, shape = (sorted(split[task][place] for task in tasks) for place in (0, 1))
    return f"order gap {_span(order)}, shape gap {_span(shape)}"


def _span(values: Sequence[float]) -> str:
    """The range of sorted values in three digits, as tables have them.

    >>> _span([0.25, 0.5]), _span([0.25]), _span([-0.01342, 0.0004])
    ('0.25 to 0.5', '0.25', '−0.0134 to 4.0×10⁻⁴')
    """
    low, high = share_text(values[0], 3), share_text(values[-1], 3)
    return low if low == high else f"{low} to {high}"


def _percent(share: float) -> str:
    """A share in percent; less than all is never written as all, more than nothing never as nothing.

    >>> [_percent(value).replace(NARROW, " ") for value in (0.9999, 1.0, 0.0001, 0.256)]
    ['over 99.9 %', '100 %', 'under 0.1 %', '25.6 %']
    """
    if share in (0, 1):
        return f"{share * 100:.0f}{NARROW}%"
    near = "over 99.9" if share > 0.9994 else "under 0.1" if share < 0.0005 else f"{share * 100:.1f}"
    return f"{near}{NARROW}%"


def _tasks(number: int) -> str:
    return count(number, "task")


def _listed(names: Sequence[str]) -> str:
    """Names with commas and an "and".

    >>> _listed(["a"]), _listed(["a", "b"]), _listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _named(tasks: Sequence[str]) -> str:
    """Names of a few tasks, the number of many."""
    names = [plain(task, 40) for task in tasks]
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} tasks ({', '.join(names[:3])}, …)"
