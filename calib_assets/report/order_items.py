"""Catalogue of the order study's report: figures and tables of a model and sweep, in the order of the paper.

To add one, write its figure function or its table function and name it here. An item of an optional part of a
sweep (``part``) is left out where the study does not ask for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
from matplotlib.figure import Figure

from calib_assets import figures
from calib_assets.figures.single_step import TOP
from calib_assets.figures.sweep_tree import telling_seed
from calib_assets.report import order_examples, order_tables
from calib_assets.report.item import Item

PARTS = {
    "decoding": "This sweep has no decoding comparison.",
    "robustness": "This sweep has no check of greedy against sampled continuations.",
}
"""Optional parts of a sweep and what the section says without them."""


@dataclass(frozen=True)
class OrderOptions:
    """What the items of a section depend on beside its tables: precision, validity floor, judges and thresholds."""

    p0: float = 0.8
    floor: float = 0.8
    judges: tuple[str, ...] = ()
    thresholds: Mapping[str, float] | None = None

    @property
    def judge(self) -> str | None:
        """The judge of items that show one: the first."""
        return self.judges[0] if self.judges else None


def order_items(options: OrderOptions) -> list[Item]:
    """Items in reading order."""
    return [
        *_counts(),
        *_tree(options),
        *_frontiers(options),
        *_examples(options),
        *_decoding(options),
        *_robustness(options),
    ]


def table_names() -> tuple[str, ...]:
    """Names of the tables that a complete section is made of, in order of first use."""
    items = order_items(OrderOptions())
    return tuple(dict.fromkeys(name for entry in items for name in entry.needs))


def _counts() -> list[Item]:
    return [
        Item(
            "counts",
            "The sweep in numbers",
            ("sweep_tree", "sweep_levels", "completions"),
            order_tables.sweep_counts,
            "",
            "Appendix B.2",
        ),
        Item("levels", "Branches by depth", ("sweep_levels",), order_tables.levels, "Over all seeds.", "Appendix B.2"),
        Item(
            "verdicts",
            "Verdicts",
            ("judge_labels", "token_validity"),
            order_tables.verdicts,
            "A missing verdict is neither valid nor invalid.",
            "Appendix A.1",
        ),
    ]


def _tree(options: OrderOptions) -> list[Item]:
    def draw(validity: pl.DataFrame, completions: pl.DataFrame, prefixes: pl.DataFrame) -> Figure:
        seed = telling_seed(validity, judge=options.judge)
        own = prefixes.filter(pl.col("seed") == seed)["prefix"].to_list()
        return figures.sweep_tree(
            validity, judge=options.judge, seed=seed, prefix=own[0] if own else None, completions=completions
        )

    return [
        Item(
            "tree",
            "Part of a swept tree",
            ("token_validity", "completions", "prefixes"),
            draw,
            "Each swept token is forced, each leaf completed greedily and judged.",
            "Counterpart of Figure 2, left",
            "A tree of tokens, each marked valid or invalid, with the completions of its leaves.",
        ),
        Item(
            "scores",
            "Scores",
            ("judge_labels",),
            lambda labels: figures.judge_scores(labels, thresholds=options.thresholds),
            "What every judge said of the completed leaves.",
            "Appendix A.1",
            "Histograms of overall scores by judge, and shares of missing verdicts.",
        ),
    ]


def _frontiers(options: OrderOptions) -> list[Item]:
    shown = [(options.judge, "token"), (options.judge, "continuation")]
    shown += [(judge, "token") for judge in options.judges[1:]]
    items = [
        Item(
            f"frontiers-{number}",
            "Frontiers by depth" if weighting == "token" else "Frontiers by depth, recall of continuations",
            ("depth_frontiers",),
            lambda table, judge=judge, weighting=weighting: figures.depth_frontiers(
                _of(table, judge), weighting=weighting, p0=options.p0
            ),
            "Best precision of any cutoff at a recall, over the nodes of a depth; the interval resamples seeds. "
            + ("" if weighting == "token" else "A valid token counts as often as valid leaves are below it."),
            "Counterpart of Figure 2, right",
            "Precision against recall by depth: mean with interval, best and worst node.",
        )
        for number, (judge, weighting) in enumerate(shown, start=1)
    ]
    depths = Item(
        "depths",
        "Frontiers by depth",
        ("depth_summaries",),
        order_tables.depths,
        "Means over the nodes of a depth that have a valid token; intervals resample seeds.",
        "§4.1",
    )
    return [*items, depths, _step(options, "swept"), _step(options, "top")]


def _of(table: pl.DataFrame, judge: str | None) -> pl.DataFrame:
    """Rows of one judge; none where the judge has none, which figures say, while a wrong name would be an error."""
    return table if judge is None else table.filter(pl.col("judge") == judge)


def _step(options: OrderOptions, normalise: str) -> Item:
    def draw(curves: pl.DataFrame, validity: pl.DataFrame) -> Figure | None:
        if normalise == "top" and (validity.is_empty() or validity["rank"].max() <= TOP):
            return None  # the same picture as without it
        return figures.single_step(curves, validity, judge=options.judge, normalise=normalise)

    published = "Recall is counted inside the top 2,000 ranks, as the paper's published figure does."
    return Item(
        "step" if normalise == "swept" else "step-published",
        "One step: precision and recall by cutoff",
        ("node_curves", "token_validity"),
        draw,
        "At the first swept token of one seed. " + ("" if normalise == "swept" else published),
        "Counterpart of Figure 3",
        "Precision falling and recall rising with the cutoff rank; ticks of valid and invalid tokens.",
    )


def _examples(options: OrderOptions) -> list[Item]:
    return [
        Item(
            "examples",
            "Examples",
            ("prefixes", "sweep_tree", "completions", "judge_labels"),
            lambda *tables: order_examples.examples(*tables, judge=options.judge),
            "Drawn at random with a fixed seed among valid, invalid and unjudged leaves; long text is cut."
            + (f" Judge: {order_examples.plain(options.judge, 60)}." if options.judge else ""),
            "Counterpart of Table 2",
        )
    ]


def _decoding(options: OrderOptions) -> list[Item]:
    return [
        Item(
            "decoding",
            "Decoding strategies",
            ("decoding_points", "best_decoding"),
            lambda points, best: figures.decoding_comparison(_of(points, options.judge), best),
            "Every setting of every strategy. The oracle filter samples only valid tokens in the first steps.",
            "Counterpart of Table 1",
            "Validity against embedding diversity and against 1 − Self-BLEU of every decoding setting.",
            "decoding",
        ),
        Item(
            "best",
            f"Best diversity at validity ≥ {options.floor:g}",
            ("best_decoding",),
            order_tables.best,
            "The most diverse setting of each strategy at or above the floor, within a prompt.",
            "Counterpart of Table 1",
            part="decoding",
        ),
    ]


def _robustness(options: OrderOptions) -> list[Item]:
    return [
        Item(
            "robustness",
            "Greedy and sampled continuations",
            ("robustness_frontiers",),
            lambda table: figures.greedy_robustness(_of(table, options.judge), p0=options.p0),
            "The same tokens, labelled from a greedy completion and from sampled ones.",
            "Counterpart of Figure 7",
            "Frontiers from greedy and from sampled continuations side by side.",
            "robustness",
        ),
        Item(
            "robustness-table",
            "Greedy and sampled continuations",
            ("robustness_summaries",),
            order_tables.robustness,
            "",
            "Appendix A.3",
            part="robustness",
        ),
        Item(
            "robustness-tokens",
            "Labels of single tokens",
            ("greedy_robustness",),
            order_tables.token_agreement,
            "By sampling, a token is valid if any of its continuations is.",
            "Appendix A.3",
            part="robustness",
        ),
    ]
