"""Diversity by prompt: the right texts in each prompt's number, and all left-out ones counted."""

import math

import numpy as np
import polars as pl
import pytest
from drawn_rollouts import naive_draws, naive_interval
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import diversity_summary, embedding_diversity, prompt_diversity, vendi_score
from calib_assets.metrics.semantic_diversity import DIVERSITY_SCHEMA
from calib_assets.stats import Bootstrap

SCHEMA = {"prompt_id": pl.String, "sample": pl.Int64, "embedding": pl.List(pl.Float32), "reason": pl.String}


def drawn_embeddings(sizes, number=0, dim=3):
    """A table, a third of its texts without an embedding."""
    rng = np.random.default_rng(number)
    rows = []
    for place, size in enumerate(sizes):
        for sample in range(size):
            missing = rng.random() < 0.3
            vector = None if missing else rng.integers(1, 9, size=dim).astype(float).tolist()
            rows.append((f"p{place}", sample, vector, "empty text" if missing else None))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


@given(st.lists(st.integers(1, 6), max_size=5), st.integers(0, 10**6))
def test_measures_are_those_of_each_prompts_vectors(sizes, number):
    table = drawn_embeddings(sizes, number)
    found = prompt_diversity(table)
    assert found.schema == DIVERSITY_SCHEMA
    assert prompt_diversity(table.lazy()).equals(found)
    assert found["n_rollouts"].to_list() == sizes
    for row in found.iter_rows(named=True):
        here = [vector for name, _, vector, _ in table.iter_rows() if name == row["prompt_id"] and vector]
        assert row["n_embedded"] == len(here)
        values = (row["embedding_diversity"], row["vendi_score"], row["reason"])
        if len(here) < 2:
            assert values == (None, None, "one embedded text" if here else "no embedded text")
        else:
            vectors = np.array(here, dtype=np.float32)
            assert values == (embedding_diversity(vectors), vendi_score(vectors), None)


def test_summary_equals_the_bootstrap_done_draw_by_draw():
    values = [0.5, None, 0.25, 0.75, 0.125]
    scores = [None if value is None else 1 + 3 * value for value in values]
    table = pl.DataFrame({"prompt_id": list("abcde"), "embedding_diversity": values, "vendi_score": scores})
    found = diversity_summary(table, Bootstrap(n_boot=300))
    for row, column in zip(found.iter_rows(named=True), (values, scores), strict=True):

        def mean(drawn, column=column):
            here = [column[i] for i in drawn if column[i] is not None]
            return sum(here) / len(here) if here else math.nan

        numbers = [row[name] for name in ("est", "se", "ci_low", "ci_high")]
        expected = [mean(range(5)), *naive_interval(naive_draws(mean, 5, 300))]
        assert numbers == pytest.approx(expected, rel=1e-9)
        assert (row["n_prompts"], row["n_left_out"]) == (4, 1)


def test_a_table_without_any_embedding():
    table = drawn_embeddings([2, 1]).with_columns(embedding=None)
    assert prompt_diversity(table)["reason"].to_list() == ["no embedded text"] * 2


def test_summary_without_prompts():
    found = diversity_summary(prompt_diversity(drawn_embeddings([])))
    assert found["est"].to_list() == [None, None] and found["n_prompts"].to_list() == [0, 0]


def test_wrong_embeddings_are_refused():
    def table_of(*vectors):
        rows = [("p", number, vector, None) for number, vector in enumerate(vectors)]
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")

    with pytest.raises(ValueError, match="vectors of 2 and of 3 numbers for prompt 'p'"):
        prompt_diversity(table_of([1, 2], [1, 2, 3]))
    with pytest.raises(ValueError, match="of prompt 'p': embeddings row 1 is zero"):
        prompt_diversity(table_of([1, 2], [0, 0]))
    with pytest.raises(ValueError, match="of prompt 'p': embeddings holds NaN or infinity, first in row 0"):
        prompt_diversity(table_of([1, None], [1, 1]))
    with pytest.raises(ValueError, match=r"embeddings lacks the columns \['embedding'\]"):
        prompt_diversity(table_of([1, 2]).drop("embedding"))
    with pytest.raises(ValueError, match=r"prompt_diversity lacks the columns \['vendi_score'\]"):
        diversity_summary(pl.DataFrame({"prompt_id": ["a"], "embedding_diversity": [0.1]}))
