"""The body of `decoding_diversity` on upstream tables that are written by hand."""

import polars as pl
import pytest
from workplace import Workplace

from calib_assets.assets.order.decoding_diversity import decoding_diversity
from calib_assets.staleness.manifest import Manifest
from calib_assets.staleness.run import Run
from calib_assets.staleness.store import parquet_bytes

CELL = ("alpha", "letters")
SETTING = {"seed": 0, "strategy": "top_k", "parameter": 3.0, "temperature": 1.0}
# (item, response, how it ended, verdict): one text twice, cut at the length limit and ended, and judged apart.
SAMPLED = [
    ("u", "a b", "end", True),
    ("u", "a b", "length", None),
    ("v", "a c", "end", False),
    ("u", "a b", "end", True),
]


@pytest.fixture
def run(tmp_path):
    place = Workplace(tmp_path / "study")
    view = place.view()
    samples = [{**SETTING, "item": item, "response": said, "finish": end} for item, said, end, _ in SAMPLED]
    labels = [{"judge": "j", "item": item, "finish": end, "is_valid": ok} for item, _, end, ok in SAMPLED]
    tables = {
        "decoding_samples": pl.DataFrame(samples),
        "sample_labels": pl.DataFrame(labels, schema_overrides={"is_valid": pl.Boolean}),
        "sample_embeddings": pl.DataFrame({"item": ["u", "v"], "embedding": [[1.0, 0.0], [0.0, 1.0]]}),
    }
    for key, table in tables.items():
        files = view.store.write_files(key, CELL, "f", {f"{key}.parquet": parquet_bytes(table)})
        view.store.publish(Manifest(key, CELL, "f", key, {}, files))
    return Run(view, "decoding_diversity", CELL, tmp_path, "f", print)


def test_a_text_that_was_cut_is_judged_apart_from_the_same_text_that_ended(run):
    """Two of three judged samples are valid; the fourth has no verdict, and is neither valid nor invalid."""
    points = decoding_diversity(run).tables["decoding_points"]
    found = {row["over"]: row for row in points.iter_rows(named=True)}
    assert {row["n_samples"] for row in found.values()} == {4} and {row["n_judged"] for row in found.values()} == {3}
    assert found["all"]["validity"] == pytest.approx(2 / 3)
    # Of six pairs of samples the three with "v" are at right angles, the others alike; the valid ones are alike.
    assert found["all"]["embedding_diversity"] == pytest.approx(3 / 6)
    assert found["valid"]["embedding_diversity"] == pytest.approx(0.0)
