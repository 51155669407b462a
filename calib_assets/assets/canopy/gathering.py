"""Tables of all cells as the comparisons read them: our own rollouts and data from elsewhere under one set of names."""

from collections.abc import Mapping

import polars as pl

from calib_assets.staleness.run import Run

# Table -> the asset of our own rollouts that holds it.
MEASURED = {
    "prompt_measures": "canopy_entropy",
    "canopy_entropy": "canopy_entropy",
    "prompt_correlations": "length_entropy_correlation",
    "length_entropy_correlation": "length_entropy_correlation",
    "prompt_diversity": "semantic_diversity",
    "semantic_diversity": "semantic_diversity",
}
PLACE = ("model", "task", "model_name", "variant")


def gathered(run: Run, name: str) -> pl.DataFrame:
    """A table of every model and task, with the columns of :data:`PLACE` in front; without columns if there is none.

    ``model_name`` is what base and instruct have in common: the base model's name, or the file's own.
    """
    own = run.table(MEASURED[name], name)
    parts = []
    if own.width:
        schema = dict.fromkeys(("model", *PLACE[2:]), pl.String)
        catalogue = pl.DataFrame(list(catalogue_of(run).values()), schema=schema)
        rows = own.rename({"rollout": "task"}).join(catalogue, on="model", how="left", maintain_order="left")
        parts.append(rows.select(*PLACE, *(c for c in rows.columns if c not in PLACE)))
    brought = run.table("external_data", name)
    if brought.width > 1:
        parts.append(brought.drop("external"))
    return pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame()


def catalogue_of(run: Run) -> dict[str, dict[str, str]]:
    """Model -> what comparisons know of it; the asset reads ``pairs_spec``."""
    rows = {row["name"]: row for row in run.slice("pairs_spec")["models"]}
    return {
        name: {"model": name, "model_name": _base(row, rows)["name"], "variant": row["variant"]}
        for name, row in rows.items()
    }


def _base(row: Mapping, rows: Mapping[str, Mapping]) -> Mapping:
    """The model after which a pair is called: its base model, or a model without a pair itself."""
    if row["variant"] == "base":
        return row
    if row["pair"] is not None:
        return rows[row["pair"]]
    return next((other for other in rows.values() if other["pair"] == row["name"] and other["variant"] == "base"), row)


def pairs_of(table: pl.DataFrame) -> list[tuple[str, str, str]]:
    """(task, base model, other model) for every model that has a base model on the same task."""
    if not table.width:
        return []
    places = table.select(PLACE).unique(maintain_order=True)
    base = places.filter(pl.col("variant") == "base").rename({"model": "base"}).drop("variant")
    others = places.filter(pl.col("variant") != "base")
    joined = others.join(base, on=["task", "model_name"], how="inner", maintain_order="left")
    return list(joined.select("task", "base", "model").iter_rows())
