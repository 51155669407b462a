"""Sequence-level precision and recall of the cutoff rules."""

import polars as pl

from calib_assets.decoding import RULES
from calib_assets.figures import sequence_precision_recall as figure
from calib_assets.figures.encode import thumbnail
from calib_assets.metrics.pareto import FLOOR_TOLERANCE
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run
from calib_assets.study.slices import rules_in_use

KEYS = ["rule", "parameter", "temperature"]


def sequence_precision_recall(run: Run) -> Result:
    """Prec_seq and Rec_seq of every setting, with its factors α_t and β_t (Theorem E.1)."""
    points = run.table("decoding_sweep").select(*KEYS, "sequence_precision", "sequence_recall", "retained_mean")
    # A rule whose set does not change with the temperature has one point, not one for each temperature.
    kept = points.unique(
        ["rule", "parameter", "sequence_precision", "sequence_recall", "retained_mean"],
        keep="first",
        maintain_order=True,
    )
    steps = run.table("decoding_sweep", "steps").join(kept.select(KEYS), on=KEYS, how="semi", nulls_equal=True)
    best = kept.filter(~pl.col("rule").is_in([name for name, rule in RULES.items() if rule.uses_valid_set]))
    reached = best.filter(pl.col("sequence_precision") >= 0.8 - FLOOR_TOLERANCE)["sequence_recall"].max()
    return Result(
        tables={"sequence_precision_recall": kept.drop("retained_mean"), "steps": steps},
        numbers={"best Rec_seq of a practical rule at Prec_seq >= 0.8": reached},
    )


NODE = Node(
    key="sequence_precision_recall",
    axes=("model", "task"),
    deps=("decoding_sweep",),
    body=sequence_precision_recall,
    group="shape",
    description="Sequence precision and recall of every cutoff rule, and the exact factors behind them "
    "(Paper A §4, Definition 4.1, Theorem E.1).",
    preview=lambda result: thumbnail(figure(result.tables["sequence_precision_recall"])),
    dispatches=lambda study, cell: rules_in_use(study),  # which rules are oracles, which keep ranks
)
