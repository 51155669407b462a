"""Entropy by position and lengths against plain counting and a draw-by-draw bootstrap."""

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from drawn_rollouts import by_prompt, drawn_rollouts, naive_draws, naive_interval
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import entropy_trajectory, length_distribution, trajectories
from calib_assets.metrics.trajectories import LENGTH_SCHEMA, TRAJECTORY_SCHEMA
from calib_assets.stats import Bootstrap

FEW = Bootstrap(n_boot=20)
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=5)


@given(sizes, st.integers(0, 10**6))
def test_means_and_counts_equal_counting_by_position(counts, number):
    rollouts = drawn_rollouts(number, counts, ties=False)
    found = entropy_trajectory(rollouts, FEW)
    assert found.schema == TRAJECTORY_SCHEMA
    steps = rollouts["step_entropy"].to_list()
    assert found["position"].to_list() == list(range(1, max(map(len, steps)) + 1))
    for row in found.iter_rows(named=True):
        here = [entropies[row["position"] - 1] for entropies in steps if len(entropies) >= row["position"]]
        assert row["mean"] == pytest.approx(math.fsum(here) / len(here), rel=1e-12)
        assert (row["active"], row["active_share"]) == (len(here), len(here) / len(steps))
    assert entropy_trajectory(rollouts.lazy(), FEW).equals(found)


@pytest.mark.parametrize("block", [3, 512])
def test_intervals_equal_the_bootstrap_done_draw_by_draw(monkeypatch, block):
    monkeypatch.setattr(trajectories, "BLOCK", block)
    rollouts = drawn_rollouts(4, (6, 2, 4, 1, 7), cap=9)
    prompts = by_prompt(rollouts)
    found = entropy_trajectory(rollouts, Bootstrap(n_boot=300, level=0.8))
    for row in found.iter_rows(named=True):
        at = row["position"] - 1

        def mean(drawn, at=at):
            here = [steps[at] for i in drawn for steps in prompts[i]["step_entropy"] if len(steps) > at]
            return sum(here) / len(here) if here else math.nan

        n_active = sum(any(len(steps) > at for steps in rows["step_entropy"]) for rows in prompts)
        assert row["active_share"] == row["active"] / rollouts.height
        numbers = [row[name] for name in ("se", "ci_low", "ci_high")]
        if n_active < 2:
            assert numbers == [None] * 3
        else:
            assert numbers == pytest.approx(naive_interval(naive_draws(mean, 5, 300), 0.8), rel=1e-9)
    assert found["se"].null_count() < found.height > 6


def test_hand_worked_trajectory():
    table = pl.DataFrame(
        {"prompt_id": ["a", "a", "b"], "length": [1, 3, 2], "step_entropy": [[1.0], [2.0, 4.0, 8.0], [3.0, 0.0]]}
    )
    found = entropy_trajectory(table, Bootstrap(n_boot=200))
    assert found["mean"].to_list() == [2, 2, 8] and found["active"].to_list() == [3, 2, 1]
    assert found["active_share"].to_list() == pytest.approx([1, 2 / 3, 1 / 3])
    # Draws of (a, a), (a, b) and (b, b) have means 1.5, 2 and 3 at the first position.
    assert (found["ci_low"][0], found["ci_high"][0]) == (1.5, 3)
    assert found["se"].to_list()[2] is None  # prompt a alone gets there


def test_one_prompt_has_no_interval():
    found = entropy_trajectory(drawn_rollouts(sizes=(4,)), FEW)
    assert found["se"].null_count() == found.height > 0


def test_entropy_of_a_chain_is_flat_where_every_step_is_alike():
    # Steps of one distribution: the mean at each position is its own, whoever is still active.
    rng = np.random.default_rng(9)
    rows = [(f"p{i // 20}", length := int(rng.geometric(0.1)), rng.gamma(2, size=length).tolist()) for i in range(4000)]
    table = pl.DataFrame(rows, schema=("prompt_id", "length", "step_entropy"), orient="row")
    found = entropy_trajectory(table, Bootstrap(n_boot=500)).filter(pl.col("active") >= 100)
    off = (found["mean"] - 2) / found["se"]
    assert found.height > 25 and off.abs().max() < 4
    assert found["active_share"].to_numpy() == pytest.approx(0.9 ** np.arange(found.height), abs=0.03)
    shown = found.filter(pl.col("active") > 400)
    assert shown["se"].to_numpy() == pytest.approx(np.sqrt(2 / shown["active"].to_numpy()), rel=0.2)


def test_rollouts_without_step_entropies_are_left_out():
    rollouts = drawn_rollouts(3, (3, 4))
    some = rollouts.with_columns(
        step_entropy=pl.when(pl.col("sample") != 1).then(pl.col("step_entropy"))
    )
    assert entropy_trajectory(some, FEW).equals(entropy_trajectory(rollouts.filter(pl.col("sample") != 1), FEW))
    none = entropy_trajectory(rollouts.with_columns(step_entropy=pl.lit(None, pl.List(pl.Float64))), FEW)
    assert none.height == 0 and none.schema == TRAJECTORY_SCHEMA
    untyped = entropy_trajectory(rollouts.with_columns(step_entropy=None), FEW)
    assert untyped.height == entropy_trajectory(rollouts[:0], FEW).height == 0


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([1.0], "rollouts holds 1 step entropies for length 2 of prompt 'a'; give one for each token"),
        ([], "rollouts holds 0 step entropies"),
        ([1.0, None], "a step entropy of prompt 'a' that is null, NaN or infinite"),
        ([1.0, math.nan], "null, NaN or infinite"),
    ],
)
def test_wrong_step_entropies_are_refused(steps, message):
    schema = {"prompt_id": pl.String, "length": pl.Int64, "step_entropy": pl.List(pl.Float64)}
    with pytest.raises(ValueError, match=message):
        entropy_trajectory(pl.DataFrame({"prompt_id": ["a"], "length": [2], "step_entropy": [steps]}, schema=schema))


@given(sizes, st.integers(0, 10**6))
def test_lengths_are_counted(counts, number):
    rollouts = drawn_rollouts(number, counts, cap=6)
    found = length_distribution(rollouts)
    assert found.schema == LENGTH_SCHEMA
    assert dict(found.select("length", "n").iter_rows()) == Counter(rollouts["length"].to_list())
    assert found["length"].is_sorted()
    cut = Counter(rollouts.filter("truncated")["length"].to_list())
    assert {length: n for length, _, n in found.iter_rows() if n} == cut
    assert length_distribution(rollouts.lazy()).equals(found)


def test_unknown_truncation_is_not_counted_as_none():
    unknown = pl.DataFrame({"length": [3, 2, 3], "truncated": [None] * 3}, schema_overrides={"truncated": pl.Boolean})
    found = length_distribution(unknown)
    assert found.schema == LENGTH_SCHEMA and found.rows() == [(2, 1, None), (3, 2, None)]


def test_wrong_lengths_are_refused():
    for bad in (None, 0):
        with pytest.raises(ValueError, match=f"rollouts holds the length {bad}"):
            length_distribution(pl.DataFrame({"length": [3, bad], "truncated": [False, False]}))
    with pytest.raises(ValueError, match="rollouts holds 1 rows where truncated is null"):
        length_distribution(pl.DataFrame({"length": [3, 2], "truncated": [False, None]}))
    with pytest.raises(ValueError, match=r"rollouts lacks the columns \['truncated'\]"):
        length_distribution(pl.DataFrame({"length": [3]}))
