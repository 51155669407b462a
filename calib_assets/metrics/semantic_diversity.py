"""How far apart the meanings of a prompt's rollouts are (Paper B, §5.2; METHODS §4)."""

import numpy as np
import polars as pl
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from calib_assets.metrics._prompt_rows import whole_prompts
from calib_assets.metrics._prompt_sums import prompt_means, summary_table
from calib_assets.metrics._tables import check_columns
from calib_assets.metrics.embedding_diversity import embedding_diversity
from calib_assets.metrics.vendi import vendi_score
from calib_assets.stats import Bootstrap

MEASURES = ("embedding_diversity", "vendi_score")
DIVERSITY_SCHEMA = {
    "prompt_id": pl.String,
    "n_rollouts": pl.Int64,
    "n_embedded": pl.Int64,
    "embedding_diversity": pl.Float64,
    "vendi_score": pl.Float64,
    "reason": pl.String,
}
NONE_EMBEDDED, ONE_EMBEDDED = "no embedded text", "one embedded text"
# Embeddings are long: fewer rows are read at once.
BATCH_ROWS = 500


def prompt_diversity(embeddings: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Mean pairwise cosine distance and Vendi score of the rollouts of each prompt.

    Args:
        embeddings: prompt_id, embedding (null: the text has none); the rows of a prompt stand together. A
            lazy table is read part by part.

    Returns:
        Columns of `DIVERSITY_SCHEMA`, one row per prompt, in the table's order. ``n_embedded`` of the
        ``n_rollouts`` have an embedding and enter; both measures are null where fewer than two do, and
        ``reason`` says so.

    Raises:
        ValueError: If a column is missing, a prompt's rows stand in separate places, or an embedding is of
            another length than its prompt's others, is zero, or holds a null, NaN or infinity.

    References:
        Paper B, §5.2; `embedding_diversity` and `vendi_score` define the two.

    >>> embeddings = pl.DataFrame({"prompt_id": ["a", "a", "b"], "embedding": [[1.0, 0.0], [0.0, 1.0], None]})
    >>> prompt_diversity(embeddings).select("embedding_diversity", "vendi_score", "reason").rows()
    [(1.0, 2.0, None), (None, None, 'no embedded text')]
    """
    rows = []
    # A prompt's matrices are small: a second thread makes them slower.
    with threadpool_limits(1):
        for part in whole_prompts(embeddings, "embeddings", ("embedding",), BATCH_ROWS):
            for (prompt,), group in part.group_by("prompt_id", maintain_order=True):
                rows.append({"prompt_id": prompt, "n_rollouts": group.height} | _row(group["embedding"], prompt))
    return pl.DataFrame(rows, schema=DIVERSITY_SCHEMA, orient="row")


def diversity_summary(prompt_diversity: pl.DataFrame, bootstrap: Bootstrap = Bootstrap()) -> pl.DataFrame:
    """Semantic diversity of a cell: means over prompts, with intervals.

    Args:
        prompt_diversity: The table of `prompt_diversity`.
        bootstrap: How the intervals are made; both measures share the resampled prompts.

    Returns:
        Columns of `SUMMARY_SCHEMA`; one row each for embedding_diversity and vendi_score. Prompts without a
        value are in ``n_left_out``.

    Raises:
        ValueError: If a column is missing.

    >>> prompts = pl.DataFrame({"prompt_id": ["a", "b", "c"], "embedding_diversity": [0.25, 0.75, None],
    ...                         "vendi_score": [2.0, 4.0, None]})
    >>> diversity_summary(prompts).select("measure", "est", "n_prompts", "n_left_out").rows()
    [('embedding_diversity', 0.5, 2, 1), ('vendi_score', 3.0, 2, 1)]
    """
    check_columns(prompt_diversity, "prompt_diversity", MEASURES, "pass the table of prompt_diversity")
    return summary_table(prompt_means(prompt_diversity, MEASURES), bootstrap)


def _row(embeddings: pl.Series, prompt: str) -> dict:
    """What the table says of one prompt's embeddings."""
    known = embeddings.drop_nulls()
    if len(known) < 2:
        values = {"embedding_diversity": None, "vendi_score": None}
        return values | {"n_embedded": len(known), "reason": ONE_EMBEDDED if len(known) else NONE_EMBEDDED}
    matrix = _matrix(known, prompt)
    try:
        values = {"embedding_diversity": embedding_diversity(matrix), "vendi_score": vendi_score(matrix)}
    except ValueError as error:
        raise ValueError(f"of prompt {prompt!r}: {error}") from None
    return values | {"n_embedded": len(known), "reason": None}


def _matrix(embeddings: pl.Series, prompt: str) -> Float[np.ndarray, "texts dim"]:
    """One row per embedding; an embedding's nulls become NaN, which the measures refuse."""
    lengths = embeddings.list.len().unique().sort().to_list()
    if len(lengths) > 1:
        raise ValueError(
            f"embeddings holds vectors of {lengths[0]} and of {lengths[-1]} numbers for prompt {prompt!r}; "
            "embed all texts with one encoder"
        )
    values = embeddings.explode(keep_nulls=True, empty_as_null=False).to_numpy()
    return values.reshape(len(embeddings), lengths[0])
