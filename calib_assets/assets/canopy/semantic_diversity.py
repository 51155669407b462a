"""How far apart the meanings of a prompt's rollouts are."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from calib_assets.assets.order.decoding_diversity import embedder_code
from calib_assets.assets.streamed import streamed
from calib_assets.metrics import diversity_summary, prompt_diversity
from calib_assets.staleness.content import table_digest
from calib_assets.staleness.graph import Node
from calib_assets.staleness.pieces import Pieces
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from calib_assets.stats import Bootstrap
from resources.embedders import Embedder, EmbeddingError

BLOCK = 64  # texts of one piece
PIECE = {"embedding": pl.List(pl.Float32), "reason": pl.String}
SCHEMA = {"prompt_id": pl.String, "sample": pl.Int64, **PIECE}


def rollout_embeddings(run: Run) -> Result:
    """Embedding of every rollout's text; those that an earlier result had are not computed again."""
    # Texts, not rollouts, make an embedding: the same text under other rollouts is the same piece.
    pieces, rows = run.pieces("rollouts"), run.scan("rollouts")
    result = embedded(run, rows, pieces, f"{run.model} {run.rollout}")
    pieces.prune()
    return result


def embedded(run: Run, rows: pl.LazyFrame, pieces: Pieces, what: str) -> Result:
    """Embeddings of the texts of a rollouts table, a prompt at a time (the asset reads ``embedder_spec``)."""
    counts = rows.group_by("prompt_id", maintain_order=True).len().collect()
    encoder, frames, first = None, [], 0
    say, total = Progress(f"{what}: rollouts embedded", run.log), int(counts["len"].sum())
    for prompt, count in counts.iter_rows():
        texts = rows.slice(first, count).select("prompt_id", "sample", "text").collect()
        parts = []
        for begin in range(0, count, BLOCK):
            block = texts["text"].slice(begin, BLOCK)
            name = table_digest(block.to_frame())
            if not pieces.is_whole(name):
                encoder = encoder or run.tools["embedders"].open(run.context.study.embedder, run.context.store.root)
                pieces.write(name, _encoded(encoder, block.to_list()))
            parts.append(pl.scan_parquet(pieces.path(name)))
        frames.append(pl.concat([texts.lazy().select("prompt_id", "sample"), pl.concat(parts)], how="horizontal"))
        first += count
        say(first, total)
    result = streamed(run, "rollout_embeddings", frames, counts["len"].to_list(), SCHEMA)
    without = pl.scan_parquet(run.folder / "rollout_embeddings.parquet").select(pl.col("embedding").is_null().sum())
    result.numbers |= {"texts": first, "texts without a direction": without.collect().item()}
    return result


def _encoded(encoder: Embedder, texts: Sequence[str]) -> pl.DataFrame:
    """One row a text; a text whose vector has no direction has a reason instead."""
    try:
        vectors: list[np.ndarray | None] = list(encoder.encode(texts))
        reasons = [None] * len(texts)
    except EmbeddingError:  # names one text: find all of them
        vectors, reasons = [], []
        for text in texts:
            try:
                vectors.append(encoder.encode([text])[0])
                reasons.append(None)
            except EmbeddingError:
                vectors.append(None)
                reasons.append("zero vector" if text.strip() else "empty text")
    rows = [None if vector is None else vector.tolist() for vector in vectors]
    return pl.DataFrame({"embedding": rows, "reason": reasons}, schema=PIECE)


def semantic_diversity(run: Run) -> Result:
    """Mean pairwise cosine distance and Vendi score of each prompt's rollouts, and their means (METHODS §4)."""
    prompts = prompt_diversity(run.scan("rollout_embeddings"))
    summary = diversity_summary(prompts, Bootstrap())
    return Result(
        tables={"prompt_diversity": prompts, "semantic_diversity": summary},
        numbers=dict(summary.select("measure", "est").iter_rows()),
    )


EMBEDDINGS = Node(
    key="rollout_embeddings",
    axes=("model", "rollout"),
    deps=("embedder_spec", "rollouts"),
    body=rollout_embeddings,
    group="canopy",
    description="Sentence embeddings of the rollouts' texts.",
    dispatches=embedder_code,
    libraries=("sentence-transformers", "tokenizers", "torch", "transformers"),
    pool="gpu",
)
NODE = Node(
    key="semantic_diversity",
    axes=("model", "rollout"),
    deps=("rollout_embeddings",),
    body=semantic_diversity,
    group="canopy",
    description="Embedding diversity and Vendi score of the rollouts of each prompt (Paper B §5.2).",
)
