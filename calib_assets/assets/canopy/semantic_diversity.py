"""How far apart the meanings of a prompt's rollouts are."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import polars as pl

from calib_assets.assets.code_in_use import ENCODER_LIBRARIES, encoder_code
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
    counts = {"texts": 0, "texts without a direction": 0}

    def frames() -> Iterator[pl.LazyFrame]:
        for table in embedded(run, rows, pieces, f"{run.model} {run.rollout}"):
            counts["texts"] += table.height
            counts["texts without a direction"] += table["embedding"].null_count()
            yield table.lazy()

    result = streamed(run, "rollout_embeddings", frames(), SCHEMA)
    result.numbers |= counts
    pieces.prune()
    return result


def embedded(run: Run, rows: pl.LazyFrame, pieces: Pieces, what: str) -> Iterator[pl.DataFrame]:
    """Embeddings of the texts of a rollouts table, a prompt at a time (the asset reads ``embedder_spec``).

    Args:
        rows: prompt_id, sample, text; rows of one prompt stand together.
        pieces: Where embeddings of blocks of texts are kept, by the texts.
        what: For progress.

    Yields:
        Columns of :data:`SCHEMA`, the rows of one prompt.
    """
    counts = rows.group_by("prompt_id", maintain_order=True).len().collect()["len"]
    say, first = Progress(f"{what}: rollouts embedded", run.log), 0
    encoder = run.tools["embedders"].open(run.context.study.embedder, run.context.store.root)
    for count in counts:
        texts = rows.slice(first, count).select("prompt_id", "sample", "text").collect()
        blocks = [texts["text"].slice(begin, BLOCK) for begin in range(0, count, BLOCK)]
        found = [pieces.get(table_digest(block.to_frame()), partial(_encoded, encoder, block)) for block in blocks]
        yield pl.concat([texts.drop("text"), pl.concat(found)], how="horizontal")
        first += count
        say(first, int(counts.sum()))


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
    description="Sentence embeddings of the rollouts' texts (Paper B §5.2).",
    dispatches=encoder_code,
    libraries=ENCODER_LIBRARIES,
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
