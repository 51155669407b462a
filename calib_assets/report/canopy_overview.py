"""The chapter of the whole canopy study: every model and task side by side, and what fine-tuning changes."""

from collections.abc import Mapping

import polars as pl

from calib_assets import figures
from calib_assets.figures.canopy_parts import CORRELATIONS, SEMANTIC, SIZE
from calib_assets.report import canopy_across
from calib_assets.report.canopy_chapter import Chapter, Sources, has_rows
from calib_assets.report.contract import ReportSection, sources
from calib_assets.report.order_examples import plain
from calib_assets.report.shape_study import Tables

Cell = tuple[str, str]
NO_MODELS = "No model has been measured."
NO_PAIRS = (
    "No two models are a base model and one that names it as its pair, on the same task, so there is no comparison."
)


def canopy_overview(
    cells: Mapping[Cell, Tables],
    provenance: Mapping[Cell, Sources],
    overall: Tables | None = None,
    overall_provenance: Sources | None = None,
) -> ReportSection:
    """Across models and tasks: Tables 1, 2, 5 and 6, and Figures 2 and 3 with base and fine-tuned side by side.

    Args:
        cells: Tables of every (model, rollout task); ``entropy_trajectory`` and ``length_distribution`` are used.
        provenance: Their manifests, by table name.
        overall: ``canopy_models`` and ``canopy_comparison``; see :func:`~calib_assets.report.canopy_study.canopy_part`.
        overall_provenance: Their manifests, by table name.
    """
    overall = dict(overall or {})
    if has_rows(overall.get("canopy_models")):
        overall["canopy_models"] = _with_pairs(overall["canopy_models"], overall.get("canopy_comparison"))
    chapter = Chapter(overall, overall_provenance or {})
    models, pairs = ("canopy_models",), ("canopy_comparison",)
    chapter.add(
        "canopy-levels", "Size of the generation space", models, figures.canopy_levels,
        "Canopy entropy is the entropy of a whole rollout; the two others are its perplexity for each token.",
        "Counterpart of Table 1",
        "Canopy entropy, generation perplexity and branching factor of every model by task.", NO_MODELS,
    )  # fmt: skip
    chapter.add(
        "canopy-change", "From base to instruct", pairs, figures.canopy_change,
        "Percent of the base model's value; both models on the same prompts.", "Counterpart of Table 1",
        "Percent change of canopy entropy, generation perplexity and branching factor by task.", NO_PAIRS,
    )  # fmt: skip
    chapter.add("canopy-table-1", "Base and instruct models", pairs,
                lambda table: canopy_across.changes(table, (*SIZE, "mean_length", "mean_entropy_rate")), "",
                "Counterpart of Table 1", nothing=NO_PAIRS)  # fmt: skip
    chapter.add("canopy-sizes", "Every model and task", models, canopy_across.sizes, "", "Counterpart of Table 1",
                nothing=NO_MODELS)  # fmt: skip
    chapter.add(
        "canopy-correlations", "Length and entropy rate", models,
        lambda table: figures.canopy_levels(table, measures=CORRELATIONS),
        "Above 0, longer rollouts carry more entropy a token.", "Counterpart of Tables 2 and 6",
        "Correlations of length and entropy rate of every model by task.", NO_MODELS,
    )  # fmt: skip
    chapter.add("canopy-table-2", "Length and entropy rate: Pearson correlation", pairs,
                lambda table: canopy_across.changes(table, ("pearson",), percent=False), "", "Counterpart of Table 2",
                nothing=NO_PAIRS)  # fmt: skip
    chapter.add("canopy-table-6", "Length and entropy rate: rank correlations and covariance", pairs,
                lambda table: canopy_across.changes(table, ("spearman", "kendall", "covariance"), percent=False),
                "", "Counterpart of Table 6", nothing=NO_PAIRS)  # fmt: skip
    _side_by_side(chapter, cells, provenance, overall)
    chapter.add("canopy-table-5", "Truncation", models, canopy_across.truncation,
                "Rollouts that reach the limit are cut there and counted in every measure as they are.",
                "Counterpart of Table 5", nothing=NO_MODELS)  # fmt: skip
    chapter.add("canopy-semantic", "Semantic diversity of base and instruct models", pairs,
                lambda table: _shown(canopy_across.changes(table, SEMANTIC)), "", "§5.2", nothing=NO_PAIRS)  # fmt: skip
    chapter.add("canopy-relations", "Every model and task: correlations and meanings", models,
                canopy_across.relations, "", "Definition 4, §5.2", nothing=NO_MODELS)  # fmt: skip
    return chapter.section("canopy-across", "Canopy study: across models and tasks")


def _shown(built: tuple) -> tuple | None:
    """A table with rows; a study without texts has none of these measures."""
    return built if built[0].height else None


def _with_pairs(models: pl.DataFrame, comparison: pl.DataFrame | None) -> pl.DataFrame:
    """The table with a column ``pair``: the name of the pair where it has one, else "base → instruct", else its own.

    A pair that goes by its base model's name would give the values of the other to that model.
    """
    base = {}
    if has_rows(comparison):
        base = dict(comparison.select("instruct", "base").iter_rows())
    known = pl.col("model_name") if "model_name" in models.columns else pl.lit(None, pl.String)
    named = pl.col("model").replace_strict(base, default=None, return_dtype=pl.String) if base else pl.lit(None)
    models = models.with_columns(pair=pl.coalesce(known, named, pl.col("model")))
    labels = {}
    for pair, members in models.group_by("pair", maintain_order=True).agg(pl.col("model").unique()).iter_rows():
        others = sorted(set(members) - {pair})
        labels[pair] = f"{pair} → {', '.join(others)}" if others and pair in members else pair
    return models.with_columns(pl.col("pair").replace(labels))


def _side_by_side(
    chapter: Chapter, cells: Mapping[Cell, Tables], provenance: Mapping[Cell, Sources], overall: Tables
) -> None:
    """Figures 2 and 3 for each task: a panel a pair of models, a line each."""
    models = overall.get("canopy_models")
    places = {}
    if has_rows(models):
        places = {model: (pair, variant) for model, pair, variant in models.select("model", "pair", "variant").rows()}
    for number, task in enumerate(dict.fromkeys(task for _, task in cells), start=1):
        for name, draw, title, paper, alt in (
            ("entropy_trajectory", figures.entropy_trajectories, "Entropy by position", "Counterpart of Figure 2",
             "Mean step entropy and share of active rollouts against position, base and instruct models together."),
            ("length_distribution", figures.length_distributions, "Lengths", "Counterpart of Figure 3",
             "Histograms of lengths, base and instruct models over each other."),
        ):  # fmt: skip
            keys = [key for key in cells if key[1] == task and has_rows(cells[key].get(name))]
            if len(keys) < 2:
                continue  # one model's own section shows the same picture
            parts = []
            for model, _ in keys:
                pair, variant = places.get(model, (model, ""))
                labels = {"panel": pair, "model": model, "variant": variant}
                values = [pl.lit(value, pl.String).alias(column) for column, value in labels.items()]
                parts.append(cells[model, task][name].with_columns(values))
            panels = pl.concat(parts, how="vertical_relaxed").sort("panel", maintain_order=True)
            used = sources(*(provenance.get(key, {}).get(name) for key in keys))
            kind = "trajectories" if name == "entropy_trajectory" else "lengths"
            chapter.put(f"canopy-{kind}-{number}", f"{title}: {plain(task, 80)}", draw(panels), "", paper,
                        f"{alt} {plain(task, 120)}.", used)  # fmt: skip
