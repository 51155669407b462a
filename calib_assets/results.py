"""Finished tables for notebooks: every cell of an asset in one polars frame, and the logits behind them."""

from pathlib import Path

import polars as pl

from calib_assets.assets import GRAPH
from calib_assets.assets.shape.reading import CACHE, CACHE_FOLDER
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import load_study, study_path
from resources.artifacts.logit_cache import LogitCache
from resources.services import StoreService, StudyService


class Results:
    """The results of a study, as they stand in the store; nothing is computed here.

    Args:
        study: Study file (default: ``CALIB_STUDY``, then ``studies/demo.yaml``).
        store: Folder or URL of results (default: ``CALIB_STORE``, then the study's ``storage.root``).
    """

    def __init__(self, study: str | Path | None = None, store: str | Path | None = None):
        path = str(study_path(str(study) if study else None))
        self.study = load_study(path)
        self.store: ArtifactStore = StoreService(study=StudyService(path=path), root=str(store or "")).open()

    def table(self, asset: str, name: str | None = None) -> pl.DataFrame:
        """One table of an asset over all its cells, with the columns ``model``, ``task`` and ``sweep`` in front.

        Args:
            asset: Asset key, such as ``decoding_sweep``.
            name: Name of one of its tables (default: the one named as the asset).

        Raises:
            KeyError: If there is no such asset.
            ResultError: If no cell has been computed, or a stored file is damaged.
        """
        if asset not in GRAPH.nodes:
            raise KeyError(f"unknown asset {asset!r}; assets are {', '.join(GRAPH.nodes)}")
        axes, cells = GRAPH.axes(asset), GRAPH.cells(asset, self.study)
        done = [cell for cell in cells if self.store.current(asset, cell) is not None] or cells[:1]
        parts = []
        for cell in done:
            table = self.store.table(asset, cell, name or asset)
            labels = [pl.lit(value).alias(axis) for axis, value in zip(axes, cell, strict=True)]
            parts.append(table.select(*labels, pl.all()))
        return pl.concat(parts, how="vertical_relaxed")

    def logits(self, model: str, task: str) -> LogitCache:
        """The logit cache of one model and task, memory-mapped: ``cache[row]`` belongs to ``cache.trie.internal[row]``.

        Raises:
            ResultError: If it has not been computed, or its files are not those of its manifest.
        """
        manifest = self.store.require(CACHE, (model, task))
        return LogitCache.open(self.store.files(manifest) / CACHE_FOLDER)

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
        """Where every result comes from: one row for each asset and cell, from the manifests."""
        rows = []
        for asset in GRAPH.nodes:
            for cell in GRAPH.cells(asset, self.study):
                manifest = self.store.current(asset, cell)
                if manifest is not None:
                    rows.append(
                        {
                            "asset": asset,
                            "cell": "|".join(cell),
                            "fingerprint": manifest.fingerprint,
                            "data_version": manifest.data_version,
                            "produced_at": manifest.produced_at,
                            "seconds": manifest.seconds,
                            "run_id": manifest.run_id,
                        }
                    )
        return pl.DataFrame(rows)
