"""The values that the papers print, beside those of the study: same model, this study's prompts and limits."""

from collections.abc import Mapping

import polars as pl

from calib_assets.figures.canopy_parts import MEASURES
from calib_assets.report.canopy_chapter import Sources, has_rows
from calib_assets.report.canopy_regression import term_words
from calib_assets.report.contract import Column, ReportSection, ReportTable, sources
from calib_assets.report.published_values import published_models, published_random_effects, published_regression
from calib_assets.report.shape_study import Tables

KEYS = ["hub_id", "task", "measure", "quantity"]
SAME_MODEL = (
    "Both values are of the same model. Prompts, lengths and numbers of rollouts are each study's own, so a difference "
    "is not yet a contradiction. The last column is the difference over the root of the sum of both squared standard "
    "errors."
)
REFERENCE = "google/gemma-3-12b-pt"
FAMILIES = {"LLaMA-3.1-8B": "meta-llama/Llama-3.1-8B", "Qwen3-8B": "Qwen/Qwen3-8B-Base"}
"""The paper's name of a family -> hub id of the base model, after which a pair is called here (``model_name``)."""
NOT_HERE = "not in this study: its task, or the pair of models, is missing"


def published_section(
    overall: Tables, hub_ids: Mapping[str, str], provenance: Sources
) -> ReportSection:
    """Paper B's Tables 1, 2, 5 and 6 for the models that the study has, and 7 to 9 where it has all of them.

    Args:
        overall: ``canopy_models``, ``canopy_comparison``, ``coefficients``, ``random_effects``; None where missing.
        hub_ids: Name of each model of the study that comes from the hub -> its hub id.
        provenance: Manifests by table name.
    """
    printed = published_models()
    known = set(printed["hub_id"].unique())
    here = {name: hub for name, hub in hub_ids.items() if hub in known}
    items = []
    if here:
        ours = _ours(overall, here)
        rows = printed.filter(pl.col("hub_id").is_in(list(here.values()))).join(ours, on=KEYS, how="left").with_columns(
            (pl.col("own") - pl.col("value")).alias("difference"), label=_label(), quantity=_quantity())
        rows = rows.with_columns(z=pl.col("difference") / (pl.col("se") ** 2 + pl.col("own_se") ** 2).sqrt())
        used = sources(provenance.get("canopy_models"), provenance.get("canopy_comparison"))
        for numbers, title in (
            ((1,), "Size of the generation space"),
            ((2, 6), "Length and entropy rate"),
            ((5,), "Truncation"),
        ):
            items.append(_table(rows.filter(pl.col("table").is_in(numbers)), numbers, title, used))
    if known <= set(here.values()) and has_rows(overall.get("coefficients")):
        items += _regression(overall, here, provenance)
    title = "Published values beside the study's own"
    return ReportSection("published", title, tuple(items), intro=_intro(here, known))


def _intro(here: Mapping[str, str], known: set[str]) -> str:
    if not here:
        return (
            "Paper B prints values for " + ", ".join(sorted(known)) + ". This study has none of these models (rows are "
            "matched by the hub id of a model's source), so nothing stands beside them."
        )
    absent = sorted(known - set(here.values()))
    return (
        "Paper B prints values for models of this study: " + ", ".join(sorted(here.values())) + "."
        + (f" It prints others for models that this study lacks: {', '.join(absent)}; the regression of its Tables 3 "
           "and 7 to 9 is of all of them, so it is not compared." if absent else "")
    )  # fmt: skip


def _ours(overall: Tables, here: Mapping[str, str]) -> pl.DataFrame:
    """Our values in the keys of the printed ones; a model's level, and changes named by the instruct model."""
    numbers = {"own": pl.Float64, "own_se": pl.Float64}
    frames = [pl.DataFrame(schema={**dict.fromkeys(KEYS, pl.String), **numbers})]
    models, pairs = overall.get("canopy_models"), overall.get("canopy_comparison")
    if has_rows(models):
        own = models.select("model", "task", "measure", own="est", own_se="se")
        frames.append(_keyed(own, "model", "level", here))
    if has_rows(pairs):
        for quantity, value in (("change", "change"), ("percent_change", "percent_change")):
            own = pairs.select("instruct", "task", "measure", own=value, own_se=f"{value}_se")
            frames.append(_keyed(own, "instruct", quantity, here))
    return pl.concat(frames)


def _keyed(own: pl.DataFrame, name: str, quantity: str, here: Mapping[str, str]) -> pl.DataFrame:
    own = own.filter(pl.col(name).is_in(list(here)))
    hub_id = pl.col(name).replace_strict(dict(here), return_dtype=pl.String)
    return own.select(hub_id.alias("hub_id"), "task", "measure", pl.lit(quantity).alias("quantity"),
                      pl.col("own").cast(pl.Float64), pl.col("own_se").cast(pl.Float64))  # fmt: skip


def _table(rows: pl.DataFrame, numbers: tuple[int, ...], title: str, used: tuple[str, ...]) -> ReportTable:
    columns = {
        "table": Column("Table of Paper B", "count"),
        "task": Column("Task"),
        "hub_id": Column("Model"),
        "label": Column("Measure"),
        "quantity": Column("Quantity"),
        "value": Column("Published", "number"),
        "se": Column("± SE", "number", "none is printed"),
        "own": Column("This study", "number", NOT_HERE),
        "own_se": Column("± SE", "number", NOT_HERE),
        "difference": Column("Difference", "number", NOT_HERE, "this study's less the published value"),
        "z": Column("Difference in SE", "number", "needs both standard errors"),
    }
    name = "-".join(map(str, numbers))
    return ReportTable.from_frame(rows, columns, id=f"published-{name}", title=f"{title}: published and own",
                                  caption=SAME_MODEL, paper=_paper(numbers), provenance=used)  # fmt: skip


def _regression(overall: Tables, here: Mapping[str, str], provenance: Sources) -> list[ReportTable]:
    own = overall["coefficients"].select("part", _term("term").alias("key"), own="estimate", own_se="se")
    printed = published_regression().with_columns(_term("term").replace(_families(own["key"], here)).alias("key"))
    rows = printed.join(own, on=["part", "key"], how="left", maintain_order="left")
    difference = pl.col("own") - pl.col("estimate")
    rows = rows.with_columns(
        words=pl.col("term").map_elements(term_words, pl.String), difference=difference,
        z=difference / (pl.col("se") ** 2 + pl.col("own_se") ** 2).sqrt(),
    )  # fmt: skip
    columns = {
        "part": Column("Part of the model"),
        "words": Column("Term"),
        "estimate": Column("Published", "number"),
        "se": Column("± SE", "number"),
        "own": Column("This study", "number", "no such term in this study's fit"),
        "own_se": Column("± SE", "number", "no such term in this study's fit"),
        "difference": Column("Difference", "number", "no such term in this study's fit"),
        "z": Column("Difference in SE", "number", "no such term in this study's fit"),
    }
    made = [
        ReportTable.from_frame(
            rows, columns, id="published-regression", title="Beta regression: published and own", caption=SAME_MODEL,
            paper=_paper((3, 7, 9)), provenance=sources(provenance.get("coefficients")),
        )
    ]  # fmt: skip
    if has_rows(overall.get("random_effects")):
        spread = published_random_effects().join(
            overall["random_effects"].select("group", own="variance"), on="group", how="left"
        )
        made.append(
            ReportTable.from_frame(
                spread,
                {"group": Column("Random intercept of"), "variance": Column("Published variance", "number"),
                 "own": Column("This study's", "number", "no such effect in this study's fit")},
                id="published-random", title="Random effects: published and own", paper=_paper((8,)),
                provenance=sources(provenance.get("random_effects")),
            )
        )  # fmt: skip
    return made


def _families(terms: pl.Series, here: Mapping[str, str]) -> dict[str, str]:
    """The printed terms of model families as this study's fit has them, called by base models.

    None where the fit compares with another family than the paper, Gemma: its terms are then other contrasts.
    """
    names = {hub: f"model_name{name}" for name, hub in here.items()}
    if names[REFERENCE] in terms:
        return {}
    return {f"model_name{family}": names[hub] for family, hub in FAMILIES.items()}


def _term(column: str) -> pl.Expr:
    """A term whatever the order of its factors."""
    return pl.col(column).str.split(":").list.sort().list.join(":")


def _label() -> pl.Expr:
    return pl.col("measure").replace_strict({name: MEASURES[name].axis for name in MEASURES}, default=pl.col("measure"))


def _quantity() -> pl.Expr:
    words = {"level": "value", "change": "change from base", "percent_change": "change from base, %"}
    return pl.col("quantity").replace_strict(words)


def _paper(numbers: tuple[int, ...]) -> str:
    return f"Paper B, Table{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
