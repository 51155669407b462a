"""Tables of a partition's section: each function takes an artifact and gives (frame, columns to show)."""

import polars as pl

from calib_assets.figures.layout import require
from calib_assets.figures.style import order_rules, rule_label
from calib_assets.report.contract import Column

Shown = tuple[pl.DataFrame, dict[str, Column]]
_UNREACHED = "no configuration of this rule reaches the floor"
_NO_PARAMETER = "the rule has no parameter"
STRAIGHT = 99.0
"""A shift C of so many times the ranks is at the end of its search (100 times, in `metrics.logit_fit`)."""


def calibration(table: pl.DataFrame) -> Shown:
    """Number of contexts and medians of the graded calibration measures, by depth."""
    require(
        table,
        (
            "depth",
            "n_valid",
            "order_auroc",
            "average_precision",
            "is_order_calibrated",
            "shape_divergence",
            "effective_support",
            "valid_mass",
            "last_valid_rank",
        ),
        "conditional_calibration",
    )
    frame = (
        table.group_by("depth")
        .agg(
            pl.len().alias("contexts"),
            pl.col("n_valid").median(),
            pl.col("is_order_calibrated").mean(),
            pl.col(
                "order_auroc",
                "average_precision",
                "last_valid_rank",
                "valid_mass",
                "shape_divergence",
                "effective_support",
            ).median(),
        )
        .sort("depth")
    )
    return frame, {
        "depth": Column("Depth", "count"),
        "contexts": Column("Contexts", "count"),
        "n_valid": Column("Valid tokens", "number"),
        "is_order_calibrated": Column("Order-calibrated", "share", help="Share of contexts, Definition D.1"),
        "order_auroc": Column("Order AUROC", "share", null_means="every token or no token is valid"),
        "average_precision": Column("Average precision", "share"),
        "last_valid_rank": Column("Rank of the last valid token", "number"),
        "valid_mass": Column("Valid mass", "share"),
        "shape_divergence": Column("Shape divergence (nats)", "number"),
        "effective_support": Column("Effective support", "share"),
    }


def answers(table: pl.DataFrame, count: int = 8) -> Shown:
    """The most and the least probable answers at the temperature nearest to 1, and the invalid mass."""
    require(
        table,
        ("temperature", "rank", "answer", "text", "probability", "log_probability"),
        "sequence_probabilities",
    )
    nearest = table.select(pl.col("temperature").sort_by((pl.col("temperature") - 1).abs()).first())
    rows = table.join(nearest, on="temperature", how="semi")
    valid = rows.filter(pl.col("answer") >= 0).sort("rank")
    chosen = valid if valid.height <= 2 * count else pl.concat([valid.head(count), valid.tail(count)])
    frame = pl.concat([chosen, rows.filter(pl.col("answer") == -1)])
    return frame, {
        "temperature": Column("Temperature", "number"),
        "rank": Column("Rank", "count", null_means="all invalid sequences together"),
        "text": Column("Answer"),
        "probability": Column("Probability", "share"),
        "log_probability": Column("Log-probability (nats)", "number"),
    }


def best(table: pl.DataFrame) -> Shown:
    """Best diversity of each rule at each floor, rules in legend order."""
    require(table, ("rule", "floor", "diversity", "validity", "parameter", "temperature"), "best_diversity")
    order = order_rules(table["rule"])
    frame = table.sort(
        pl.col("rule").replace_strict(order, list(range(len(order))), return_dtype=pl.Int64),
        "floor",
        maintain_order=True,
    ).with_columns(pl.col("rule").replace_strict(order, [rule_label(name) for name in order]))
    return frame, {
        "rule": Column("Rule"),
        "floor": Column("Validity floor", "number"),
        "diversity": Column("Best diversity", "share", null_means=_UNREACHED),
        "validity": Column("at validity", "share", null_means=_UNREACHED),
        "parameter": Column("Parameter", "number", null_means=f"{_NO_PARAMETER}, or {_UNREACHED}"),
        "temperature": Column("Temperature", "number", null_means=_UNREACHED),
    }


def gaps(table: pl.DataFrame) -> Shown:
    """The gap split at each floor."""
    require(
        table,
        ("floor", "oracle_diversity", "best_rule", "best_rule_diversity", "order_gap", "shape_gap"),
        "calibration_gap",
    )
    names = table["best_rule"].drop_nulls().unique().to_list()
    frame = table.sort("floor").with_columns(
        pl.col("best_rule").replace(names, [rule_label(name) for name in names])
    )
    return frame, {
        "floor": Column("Validity floor", "number"),
        "best_rule": Column("Best practical rule", null_means="no practical rule reaches the floor"),
        "best_rule_diversity": Column(
            "its diversity", "share", null_means="no practical rule reaches the floor"
        ),
        "oracle_diversity": Column(
            "Cutoff oracle", "share", null_means="the cutoff oracle does not reach the floor"
        ),
        "order_gap": Column("Order gap", "share", null_means="needs the cutoff oracle"),
        "shape_gap": Column("Shape gap", "number", null_means="needs the cutoff oracle and a practical rule"),
    }


def identity(points: pl.DataFrame, steps: pl.DataFrame) -> Shown:
    """Largest |Prec_seq − Π α_t| and |Rec_seq − Π β_t| of each rule, over all configurations."""
    key = ["rule", "parameter", "temperature"]
    require(points, (*key, "sequence_precision", "sequence_recall"), "sequence_precision_recall")
    require(steps, (*key, "step", "alpha", "beta"), "sequence_precision_recall steps")
    products = steps.group_by(key).agg(pl.col("alpha").product(), pl.col("beta").product())
    joined = points.join(products, on=key, how="left", nulls_equal=True)
    order = order_rules(points["rule"])
    frame = (
        joined.group_by("rule")
        .agg(
            pl.len().alias("configurations"),
            pl.col("alpha").is_null().sum().alias("without_steps"),
            (pl.col("sequence_precision") - pl.col("alpha")).abs().max().alias("precision"),
            (pl.col("sequence_recall") - pl.col("beta")).abs().max().alias("recall"),
        )
        .sort(pl.col("rule").replace_strict(order, list(range(len(order))), return_dtype=pl.Int64))
    )
    frame = frame.with_columns(pl.col("rule").replace_strict(order, [rule_label(name) for name in order]))
    return frame, {
        "rule": Column("Rule"),
        "configurations": Column("Configurations", "count"),
        "without_steps": Column("without factors", "count"),
        "precision": Column("Largest |Prec − Π α|", "number"),
        "recall": Column("Largest |Rec − Π β|", "number"),
    }


def fits(table: pl.DataFrame, curves: pl.DataFrame) -> Shown:
    """Parameters of the piecewise fits, a row a conditional; no exponent of a tail that C makes a straight line."""
    names = (
        "prefix",
        "c",
        "m",
        "b",
        "A",
        "B",
        "C",
        "r2",
        "head_r2",
        "tail_r2",
        "mse",
        "geometric_rate",
        "zipf_exponent",
    )
    require(table, (*names, "depth"), "logit_fits")
    require(curves, ("node", "rank"), "logit_fit_curves")
    last = table.join(curves.group_by("node").agg(last=pl.col("rank").max()), on="node", how="left")
    curved = pl.col("C") < STRAIGHT * pl.col("last")
    frame = last.sort("node").with_columns(
        pl.when(pl.col("prefix") == "").then(pl.lit("(start)")).otherwise(pl.col("prefix")).alias("prefix"),
        pl.when(curved).then("zipf_exponent"),
    )
    help_of = {
        "geometric_rate": "rate λ of the head",
        "zipf_exponent": "exponent of the tail",
        "c": "change point",
    }
    labels = {
        "prefix": "Prefix",
        "r2": "R²",
        "head_r2": "R² head",
        "tail_r2": "R² tail",
        "mse": "MSE",
        "geometric_rate": "λ",
        "zipf_exponent": "Zipf exponent",
    }
    kinds = {"prefix": "text", "c": "count", "r2": "share", "head_r2": "number", "tail_r2": "number"}
    return frame, {
        name: Column(
            labels.get(name, name),
            kinds.get(name, "number"),
            "the tail is a straight line" if name == "zipf_exponent" else "too few ranks to tell",
            help_of.get(name, ""),
        )
        for name in names
    }
