"""Finished tables for notebooks: every cell of an asset in one polars frame, and the logits behind them."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from calib_assets.assets import GRAPH
from calib_assets.assets.shape.reading import CACHE, CACHE_FOLDER
from calib_assets.assets.tables import HELD, about_column
from calib_assets.staleness.graph import Cell
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import load_study, study_path
from resources.artifacts.logit_cache import LogitCache
from resources.services import StoreService, StudyService

__all__ = ["Results", "UnknownName"]

PROVENANCE = {
    "fingerprint": pl.String,
    "data_version": pl.String,
    "produced_at": pl.String,
    "seconds": pl.Float64,
    "run_id": pl.String,
}


class UnknownName(KeyError):
    """A name that the graph or the study does not have; the text lists those that there are."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would print it quoted and escaped


class Results:
    """The results of a study, as they stand in the store; nothing is computed here.

    Args:
        study: Study file (default: ``CALIB_STUDY``, then ``studies/first.yaml``).
        store: Folder or URL of results (default: ``CALIB_STORE``, then the study's ``storage.root``).

    Raises:
        StudyError: If the study file is missing or wrong; the text names file, field and remedy.
    """

    def __init__(self, study: str | Path | None = None, store: str | Path | None = None):
        path = str(study_path(str(study) if study else None))
        self.study = load_study(path)
        self.store: ArtifactStore = StoreService(study=StudyService(path=path), root=str(store or "")).open()

    def __repr__(self) -> str:
        return f"Results of the study {self.study.name!r} in {self.store.location}; .assets() lists them"

    def assets(self) -> pl.DataFrame:
        """What can be read: one row for each asset that has cells in this study.

        Returns:
            asset, axes (what its cells are named by), cells (of the study), done (of these, in the store), tables.
        """
        rows = []
        for asset in GRAPH.nodes:
            cells = GRAPH.cells(asset, self.study)
            done = sum(self.store.current(asset, cell) is not None for cell in cells)
            axes, tables = ", ".join(GRAPH.axes(asset)), ", ".join(HELD.get(asset, ()))
            if cells:
                rows.append((asset, axes, len(cells), done, tables))
        names = {"asset": pl.String, "axes": pl.String, "cells": pl.Int64, "done": pl.Int64, "tables": pl.String}
        return pl.DataFrame(rows, schema=names, orient="row")

    def table(self, asset: str, name: str | None = None, **where: str) -> pl.DataFrame:
        """One table of an asset over its cells, with what names a cell (``model``, ``task``, ``sweep``, …) in front.

        Cells without a result are left out (`assets` counts them). A result stays until it is made anew, so it may be
        older than the study file: ``calib-assets status`` says what is stale.

        Args:
            asset: Asset key, such as ``decoding_sweep``.
            name: Name of one of its tables (default: the one named as the asset, else its first).
            where: Axis = value, to read these cells alone: ``model="smollm2-135m-instruct"``.

        Returns:
            The rows of all cells under each other.

        Raises:
            UnknownName: If there is no such asset, table, axis or value; the message lists those that there are.
            ResultError: If no cell has been computed, or a stored file is damaged.
        """
        name = self._table_name(asset, name)
        axes, cells = GRAPH.axes(asset), self._cells(asset, where)
        done = [cell for cell in cells if self.store.current(asset, cell) is not None] or cells[:1]
        parts = []
        for cell in done:
            table = self.store.table(asset, cell, name)
            labels = [pl.lit(value).alias(axis) for axis, value in zip(axes, cell, strict=True)]
            parts.append(table.select(*labels, pl.all()))
        return pl.concat(parts, how="vertical_relaxed")

    def columns(self, asset: str, name: str | None = None) -> pl.DataFrame:
        """What the columns of a table mean, with their units.

        Args:
            asset: As `table`.
            name: As `table`.

        Returns:
            column, type, meaning (null for a column that only names the cell).

        Raises:
            UnknownName: As `table`.
            ResultError: As `table`: the columns are those of a stored table.
        """
        table = self.table(asset, name)
        held = self._table_name(asset, name)
        rows = [(column, str(kind), about_column(held, column)) for column, kind in table.schema.items()]
        return pl.DataFrame(rows, schema=["column", "type", "meaning"], orient="row")

    def logits(self, model: str, task: str) -> LogitCache:
        """The logit cache of one model and task, memory-mapped: ``cache[row]`` belongs to ``cache.trie.internal[row]``.

        Args:
            model: Name of a model of the study.
            task: Name of a task of the study.

        Returns:
            The cache; ``validity_diversity(cache.trie, cache, rule, temperature)`` takes it as it is.

        Raises:
            UnknownName: If the study has no such model or task.
            ResultError: If it has not been computed, or its files are not those of its manifest.
        """
        (cell,) = self._cells(CACHE, {"model": model, "task": task})
        manifest = self.store.require(CACHE, cell)
        return LogitCache.open(self.store.files(manifest) / CACHE_FOLDER)

    @staticmethod
    def _table_name(asset: str, name: str | None) -> str:
        """The table that is meant."""
        _known("asset", asset, GRAPH.nodes)
        if not HELD.get(asset):
            raise UnknownName(f"asset {asset!r} holds no tables; those that do are {', '.join(HELD)}")
        if name is not None:
            _known(f"table of {asset}", name, HELD[asset])
        return name or (asset if asset in HELD[asset] else HELD[asset][0])

    def _cells(self, asset: str, where: Mapping[str, str]) -> list[Cell]:
        """The cells of an asset that ``where`` leaves, at least one."""
        axes, cells = GRAPH.axes(asset), GRAPH.cells(asset, self.study)
        if not cells:
            raise UnknownName(f"the study {self.study.name!r} has no {' and '.join(axes)} that {asset} would be of")
        for axis, value in where.items():
            _known(f"axis of {asset}", axis, axes)
            place = axes.index(axis)
            _known(axis, value, dict.fromkeys(cell[place] for cell in cells))
        wanted = {axes.index(axis): value for axis, value in where.items()}
        return [cell for cell in cells if all(cell[place] == value for place, value in wanted.items())]

    def annotation_sheet(self, items: int = 50, seed: int = 0) -> pl.DataFrame:
        """Judged texts for people to score, as the study's `annotations` file wants them.

        Args:
            items: How many distinct texts, drawn uniformly from those of every sweep (all, if there are fewer).
            seed: Of the draw.

        Returns:
            Columns item, annotator, grammar, semantic, overall (empty, to be filled in: 0 to 100), prompt, response.
            Judges' scores are left out: they would lead the annotators.
        """
        texts = self.table("completions").unique("item", keep="first").sort("item").select("item", "prompt", "response")
        drawn = texts.sample(min(items, texts.height), seed=seed, shuffle=True)
        empty = [pl.lit("").alias(name) for name in ("annotator", "grammar", "semantic", "overall")]
        return drawn.select("item", *empty, "prompt", "response")

    def provenance(self) -> pl.DataFrame:
        """Where every result comes from, from the manifests.

        Returns:
            asset, cell ("model|task"; empty for the whole study), fingerprint, data_version, produced_at, seconds,
            run_id: one row for each asset and cell that has a result.
        """
        found = ((asset, cell) for asset in GRAPH.nodes for cell in GRAPH.cells(asset, self.study))
        manifests = ((asset, cell, self.store.current(asset, cell)) for asset, cell in found)
        rows = [
            (asset, "|".join(cell), *(getattr(manifest, name) for name in PROVENANCE))
            for asset, cell, manifest in manifests
            if manifest is not None
        ]
        schema = {"asset": pl.String, "cell": pl.String, **PROVENANCE}
        return pl.DataFrame(rows, schema=schema, orient="row")


def _known(what: str, name: str, names: Iterable[str]) -> None:
    """Raise unless a name is among those that there are."""
    names = list(names)
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UnknownName(f"unknown {what} {name!r}{hint}; there are {', '.join(names) or 'none'}")
