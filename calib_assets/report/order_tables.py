"""Tables of the order study: each function takes artifacts and gives (frame, columns to show)."""

import polars as pl

from calib_assets.figures.layout import require
from calib_assets.figures.order_parts import STATUSES, order_strategies, strategy_label
from calib_assets.figures.text import share
from calib_assets.report.contract import Column
from calib_assets.report.shape_tables import Shown

NO_CURVE = "no node has a valid candidate"
ONE_SEED = "an interval needs two seeds that differ"
MEASURES = ("auc", "auc_ci_low", "auc_ci_high", "recall_at_precision", "recall_ci_low", "recall_ci_high")
_MISSING = [name for name in STATUSES if name not in ("valid", "invalid")]


def interval(low: str, high: str) -> pl.Expr:
    """Both ends as text in three digits, ``0.612 to 0.745``; null where either is null.

    >>> pl.DataFrame({"a": [0.5, None], "b": [1.0, 1.0]}).select(interval("a", "b").alias("i"))["i"].to_list()
    ['0.5 to 1', None]
    """
    ends = pl.struct(pl.col(low).alias("low"), pl.col(high).alias("high"))
    return ends.map_elements(
        lambda row: None if None in row.values() else f"{share(row['low'], 3)} to {share(row['high'], 3)}",
        return_dtype=pl.String,
    )


def sweep_counts(tree: pl.DataFrame, levels: pl.DataFrame, completions: pl.DataFrame) -> Shown:
    """One row: how large the sweep is, what was skipped, and how many completions were cut off."""
    require(tree, ("seed", "depth", "is_leaf"), "sweep_tree")
    require(levels, ("skipped", "skipped_nodes_below"), "sweep_levels")
    require(completions, ("seed", "item", "finish", "n_tokens"), "completions")
    frame = pl.DataFrame(
        {
            "seeds": tree["seed"].n_unique(),
            "tokens": tree.filter(pl.col("depth") > 0).height,
            "leaves": tree.filter("is_leaf").height,
            "skipped": levels["skipped"].sum(),
            "below": levels["skipped_nodes_below"].sum(),
            "items": completions["item"].n_unique(),
            "truncated": (completions["finish"] == "length").mean(),
            "length": completions["n_tokens"].mean(),
        },
        schema_overrides={"truncated": pl.Float64, "length": pl.Float64},
    )
    return frame, {
        "seeds": Column("Seeds", "count", help="a random prompt and a random prefix each"),
        "tokens": Column("Swept tokens", "count"),
        "leaves": Column("Leaves", "count"),
        "skipped": Column("Branches skipped", "count", help="candidates that the subsampling left out"),
        "below": Column("Leaves not grown", "count", help="at most so many, below the skipped branches"),
        "items": Column("Different texts", "count", help="equal responses to a prompt are judged once"),
        "truncated": Column("Truncated", "share", "no completion", "completions that reached the length limit"),
        "length": Column("Tokens a completion", "number", "no completion", "mean"),
    }


def levels(table: pl.DataFrame) -> Shown:
    """Candidates, kept and skipped branches by depth, over all seeds."""
    names = ("parents", "candidates", "kept", "skipped", "skipped_nodes_below")
    require(table, ("depth", *names), "sweep_levels")
    labels = ("Nodes expanded", "Candidates", "Kept", "Skipped", "Leaves not grown")
    frame = table.group_by("depth").agg(pl.col(names).sum()).sort("depth")
    return frame, {
        "depth": Column("Depth", "count"),
        **{name: Column(label, "count") for name, label in zip(names, labels, strict=True)},
    }


def verdicts(labels: pl.DataFrame, validity: pl.DataFrame) -> Shown:
    """A row a judge: verdicts by status, missing share, and the tokens whose label rests on missing verdicts."""
    require(labels, ("judge", "kind", "status", "is_valid"), "judge_labels")
    require(validity, ("judge", "depth", "is_valid", "is_uncertain"), "token_validity")
    counted = labels.group_by("judge", "kind", maintain_order=True).agg(
        pl.len().alias("leaves"),
        pl.col("is_valid").sum().alias("valid"),
        (~pl.col("is_valid")).sum().alias("invalid"),
        *((pl.col("status") == name).sum().alias(name) for name in _MISSING),
        (pl.col("status") != "ok").mean().alias("missing"),
    )
    tokens = (
        validity.filter(pl.col("depth") > 0)
        .group_by("judge")
        .agg(pl.col("is_uncertain").sum().alias("uncertain"), pl.col("is_valid").null_count().alias("unlabelled"))
    )
    return counted.join(tokens, on="judge", how="left", maintain_order="left"), {
        "judge": Column("Judge"),
        "kind": Column("Kind"),
        "leaves": Column("Leaves", "count"),
        "valid": Column("Valid", "count"),
        "invalid": Column("Invalid", "count"),
        **{name: Column(name.capitalize(), "count") for name in _MISSING},
        "missing": Column("Missing", "share", help="without a verdict; never counted as invalid"),
        "uncertain": Column("Uncertain tokens", "count", help="not found valid, but a leaf below has no verdict"),
        "unlabelled": Column("Unlabelled tokens", "count", help="no leaf below has a verdict"),
    }


def depths(table: pl.DataFrame) -> Shown:
    """Mean AUC and recall at precision by judge, weighting and depth."""
    require(
        table,
        ("judge", "weighting", "depth", "n_nodes", "n_without_valid", "n_seeds", "p0", *MEASURES),
        "depth_summaries",
    )
    frame = with_intervals(table).sort("depth", maintain_order=True)
    frame = frame.sort(first_seen(table, "judge"), pl.col("weighting") != "token", maintain_order=True)
    return frame, {
        "judge": Column("Judge"),
        "weighting": Column("Recall of", help="tokens: each valid token counts once; continuations: by valid leaves"),
        "depth": Column("Depth", "count"),
        "n_nodes": Column("Nodes", "count"),
        "n_without_valid": Column("without valid token", "count", help="such nodes have no curve"),
        **measure_columns(table),
    }


def with_intervals(table: pl.DataFrame) -> pl.DataFrame:
    """The table with its two intervals as text."""
    return table.with_columns(
        interval("auc_ci_low", "auc_ci_high").alias("auc_interval"),
        interval("recall_ci_low", "recall_ci_high").alias("recall_interval"),
    )


def measure_columns(table: pl.DataFrame) -> dict[str, Column]:
    """Columns of AUC and recall at precision p0 with their intervals; p0 itself where rows differ in it."""
    values = table["p0"].unique().to_list() or [0.8]
    several = {"p0": Column("Precision p0", "number")} if len(values) > 1 else {}
    wanted = "p0" if several else f"{values[0]:g}"
    return several | {
        "auc": Column("Mean AUC", "share", NO_CURVE),
        "auc_interval": Column("95 % interval", null_means=ONE_SEED),
        "recall_at_precision": Column(f"Mean recall at precision {wanted}", "share", NO_CURVE),
        "recall_interval": Column("95 % interval of recall", null_means=ONE_SEED),
    }


def robustness(table: pl.DataFrame) -> Shown:
    """AUC and recall from greedy and from sampled continuations, row by row."""
    require(table, ("continuation", "judge", "weighting", "depth", "n_nodes", "p0", *MEASURES), "robustness_summaries")
    frame = with_intervals(table).sort("judge", "weighting", "depth", "continuation")
    return frame, {
        "judge": Column("Judge"),
        "weighting": Column("Recall of"),
        "depth": Column("Depth", "count"),
        "continuation": Column("Continuations"),
        "n_nodes": Column("Nodes", "count"),
        **measure_columns(table),
    }


def token_agreement(table: pl.DataFrame) -> Shown:
    """How often a greedy completion and sampled ones call the same token valid."""
    require(table, ("judge", "greedy_valid", "sampled_valid"), "greedy_robustness")
    greedy, sampled = pl.col("greedy_valid"), pl.col("sampled_valid")
    frame = table.group_by("judge", maintain_order=True).agg(
        pl.len().alias("tokens"),
        (greedy.is_not_null() & sampled.is_not_null()).sum().alias("both"),
        (greedy == sampled).mean().alias("agree"),
        (greedy & ~sampled).sum().alias("greedy_only"),
        (~greedy & sampled).sum().alias("sampled_only"),
    )
    return frame, {
        "judge": Column("Judge"),
        "tokens": Column("Tokens", "count"),
        "both": Column("with both labels", "count"),
        "agree": Column("Same label", "share", "no token has both labels"),
        "greedy_only": Column("Valid by greedy only", "count"),
        "sampled_only": Column("Valid by sampling only", "count"),
    }


def best(table: pl.DataFrame) -> Shown:
    """Best diversity of each strategy at the validity floor, over valid samples and over all, with settings.

    Columns ``model`` and ``sweep`` of the table, when present, come first.
    """
    ends = ("value", "ci_low", "ci_high", "validity", "parameter", "temperature")
    require(table, ("judge", "strategy", "over", "floor", "measure", *ends), "best_decoding")
    keys = [name for name in ("model", "sweep") if name in table.columns] + ["judge", "strategy", "measure"]
    shown = table.with_columns(interval("ci_low", "ci_high").alias("interval"), _setting().alias("setting"))
    parts = [
        shown.filter(pl.col("over") == over).select(
            *keys,
            "floor",
            *(pl.col(name).alias(f"{name}_{over}") for name in ("value", "interval", "validity", "setting")),
        )
        for over in ("valid", "all")
    ]
    strategies = {name: place for place, name in enumerate(order_strategies(table["strategy"]))}
    labels = {name: strategy_label(name) for name in strategies}
    places = [
        *(first_seen(table, key) for key in keys[:-2]),
        pl.col("measure") != "embedding_diversity",
        pl.col("strategy").replace_strict(strategies, return_dtype=pl.Int64),
    ]
    frame = (
        parts[0]
        .join(parts[1], on=[*keys, "floor"], how="full", coalesce=True)
        .sort(*places)
        .with_columns(
            pl.col("strategy").replace_strict(labels, return_dtype=pl.String),
            pl.col("measure").replace({"embedding_diversity": "embedding diversity", "self_bleu": "Self-BLEU"}),
        )
    )
    floors = table["floor"].unique().to_list()
    reach = f"validity {floors[0]:g}" if len(floors) == 1 else "the floor"
    never = f"no setting reaches {reach}, or it has fewer than two such samples"
    columns = {
        "model": Column("Model"),
        "sweep": Column("Sweep"),
        "judge": Column("Judge"),
        "measure": Column("Measure", help="embedding diversity: higher is more diverse; Self-BLEU: lower is"),
        "strategy": Column("Strategy"),
        "floor": Column("Validity floor", "number"),
    }
    columns = {name: column for name, column in columns.items() if name in (*keys, "floor")}
    for over in ("valid", "all"):
        name = f"{over} samples"
        columns |= {
            f"value_{over}": Column(f"Best, {name}", "share", never),
            f"interval_{over}": Column(f"95 % interval, {name}", null_means=ONE_SEED),
            f"validity_{over}": Column(f"at validity, {name}", "share", never),
            f"setting_{over}": Column(f"Setting, {name}", null_means=never),
        }
    return frame, columns


def _setting() -> pl.Expr:
    def words(row: dict) -> str | None:
        if row["temperature"] is None:
            return None
        parameter = "" if row["parameter"] is None else f"{row['parameter']:g}, "
        return f"{parameter}T = {row['temperature']:g}"

    return pl.struct("parameter", "temperature").map_elements(words, return_dtype=pl.String)


def first_seen(table: pl.DataFrame, column: str) -> pl.Expr:
    """Sort key: the order in which a column's values first appear."""
    places = {name: place for place, name in enumerate(table[column].unique(maintain_order=True))}
    return pl.col(column).replace_strict(places, return_dtype=pl.Int64)
