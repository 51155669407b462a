"""What each decoding strategy reaches: validity, and diversity in meaning and in words (Table 1)."""

import polars as pl

from calib_assets.assets.code_in_use import ENCODER_LIBRARIES, encoder_code
from calib_assets.figures import decoding_comparison
from calib_assets.figures.encode import thumbnail
from calib_assets.metrics import best_decoding, decoding_points
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run


def sample_embeddings(run: Run) -> Result:
    """Embedding of every distinct sampled response, L2-normalised float32 (METHODS §5)."""
    texts = run.table("decoding_samples").unique("item", keep="first", maintain_order=True)
    schema, numbers = {"item": pl.String, "embedding": pl.List(pl.Float32)}, {"texts": texts.height}
    if texts.is_empty():
        return Result(tables={"sample_embeddings": pl.DataFrame(schema=schema)}, numbers=numbers)
    encoder = run.tools["embedders"].open(run.context.study.embedder, run.context.store.root)
    # An empty answer is a blank to an encoder, which need not give "" a direction.
    found = encoder.encode([response or " " for response in texts["response"]])
    table = pl.DataFrame({"item": texts["item"], "embedding": found.tolist()}, schema=schema)
    return Result(tables={"sample_embeddings": table}, numbers={**numbers, "dimensions": found.shape[1]})


def decoding_diversity(run: Run) -> Result:
    """Validity and diversity of every setting, and the best of each strategy at the floor (METHODS §3.8)."""
    spec = run.slice("scoring_spec")["decoding"] or {"validity_floor": 0.8, "tokenization": "word"}
    samples, embeddings = run.table("decoding_samples"), dict(run.table("sample_embeddings").iter_rows())
    # Both measures are of whole responses: the prefix is the same for every strategy.
    texts, labels = samples.with_columns(text="response"), run.table("sample_labels")
    points = decoding_points(texts, labels, embeddings, tokenize=spec["tokenization"])
    best = best_decoding(points, floor=spec["validity_floor"])
    return Result(
        tables={"decoding_points": points, "best_decoding": best},
        numbers={"settings": points.select("strategy", "parameter", "temperature").n_unique()},
    )


def _preview(result: Result) -> bytes:
    return thumbnail(decoding_comparison(result.tables["decoding_points"], result.tables["best_decoding"]))


EMBEDDINGS = Node(
    key="sample_embeddings",
    axes=("model", "sweep"),
    deps=("embedder_spec", "decoding_samples"),
    body=sample_embeddings,
    group="order",
    description="Sentence embeddings of the sampled responses (Paper A §4.3).",
    dispatches=encoder_code,
    libraries=ENCODER_LIBRARIES,
    pool="gpu",
)
NODE = Node(
    key="decoding_diversity",
    axes=("model", "sweep"),
    deps=("scoring_spec", "decoding_samples", "sample_labels", "sample_embeddings"),
    body=decoding_diversity,
    group="order",
    description="Validity, embedding diversity and Self-BLEU-4 of every decoding setting; the best of each strategy at "
    "a validity floor, with the oracle filter (Paper A §4.3, Table 1).",
    preview=_preview,
)
