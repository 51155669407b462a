"""Canopy entropy: against the definitions in plain Python, closed forms, and a draw-by-draw bootstrap."""

import math
import statistics

import numpy as np
import polars as pl
import pytest
from chains import capped, top_entropies, uncapped
from drawn_rollouts import by_prompt, drawn_rollouts, naive_draws, naive_interval
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import canopy_measures, canopy_summary, prompt_measures
from calib_assets.metrics.canopy import MEASURES, PROMPT_SCHEMA
from calib_assets.stats import Bootstrap

sizes = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def measures_by_definition(rows, cap):
    """One prompt's row, a rollout and a position at a time."""
    tail = [t for t in range(1, cap + 1) if t > cap - max(1, cap // 4)]
    row = {
        "n_rollouts": len(rows["length"]),
        "canopy_entropy": statistics.fmean(sum(steps) for steps in rows["step_entropy"]),
        "mean_length": statistics.fmean(rows["length"]),
        "mean_entropy_rate": statistics.fmean(
            sum(steps) / n for steps, n in zip(rows["step_entropy"], rows["length"])
        ),
        "truncation_rate": statistics.fmean(rows["truncated"]),
        "tail_ended": sum(n in tail and not cut for n, cut in zip(rows["length"], rows["truncated"])),
        "tail_exposure": sum(t <= n for n in rows["length"] for t in tail),
    }
    for name, values in (
        ("var_sequence_entropy", [sum(steps) for steps in rows["step_entropy"]]),
        ("var_length", rows["length"]),
        ("var_entropy_rate", rows["entropy_rate"]),
    ):
        row[name] = statistics.variance(values) if len(values) > 1 else None
    return row


def summary_by_definition(rows, ranks):
    """Of the rows of some prompts, a prompt counted as often as it is there."""

    def mean(name):
        return sum(row[name] for row in rows) / len(rows)

    entropy, length, rate = mean("canopy_entropy"), mean("mean_length"), mean("mean_entropy_rate")
    truncation, ended = mean("truncation_rate"), sum(row["tail_ended"] for row in rows)
    if truncation == 0:
        bound = 0.0
    elif ended == 0:
        bound = math.inf
    else:
        hazard = ended / sum(row["tail_exposure"] for row in rows)
        bound = math.log(ranks) * truncation / hazard
    values = (entropy, math.exp(entropy / length), math.exp(rate), length, rate, truncation, length * rate)
    return [*values, entropy - length * rate, bound]


@given(sizes, st.integers(0, 10**6), st.integers(1, 20))
def test_prompt_measures_equal_the_definitions(counts, number, cap):
    rollouts = drawn_rollouts(number, counts, cap)
    found = prompt_measures(rollouts, cap)
    assert found.schema == PROMPT_SCHEMA
    assert found["prompt_id"].to_list() == rollouts["prompt_id"].unique(maintain_order=True).to_list()
    for row, rows in zip(found.iter_rows(named=True), by_prompt(rollouts), strict=True):
        for name, value in measures_by_definition(rows, cap).items():
            assert row[name] == (value if value is None else pytest.approx(value, rel=1e-12, abs=1e-12)), name
    assert prompt_measures(rollouts.lazy(), cap).equals(found)


def test_summary_equals_the_bootstrap_done_draw_by_draw():
    rollouts = drawn_rollouts(5, (6, 4, 9, 1, 7, 5, 3, 8), cap=6)
    measures = prompt_measures(rollouts, 6)
    rows = measures.to_dicts()
    assert 0 < measures["truncation_rate"].mean() < 1 and measures["tail_ended"].sum()
    found = canopy_summary(measures, entropy_ranks=50, bootstrap=Bootstrap(n_boot=400, level=0.9))
    draws = naive_draws(lambda drawn: summary_by_definition([rows[i] for i in drawn], 50), len(rows), 400)
    assert np.isfinite(draws).all()
    expected = summary_by_definition(rows, 50)
    assert found["measure"].to_list() == list(MEASURES)
    for row, value, column in zip(found.iter_rows(named=True), expected, draws.T, strict=True):
        numbers = [row[name] for name in ("est", "se", "ci_low", "ci_high")]
        assert numbers == pytest.approx([value, *naive_interval(column, 0.9)], rel=1e-9, abs=1e-12)
        assert (row["n_prompts"], row["n_left_out"]) == (8, 0)


def summary_of(rows, ranks=100, **options):
    table = canopy_summary(pl.DataFrame(rows), entropy_ranks=ranks, **options)
    return {row["measure"]: row for row in table.iter_rows(named=True)}


def row_of(name, entropy=2.0, length=4.0, rate=0.5, truncation=0.0, ended=1, exposure=2):
    names = ("prompt_id", "canopy_entropy", "mean_length", "mean_entropy_rate", "truncation_rate", "tail_ended")
    return dict(zip((*names, "tail_exposure"), (name, entropy, length, rate, truncation, ended, exposure)))


def test_hand_worked_summary():
    # E[S] = 3, E[tau] = 6, E[r] = .75; 1 of 4 rollouts truncated, hazard 3 / 12: 4 more steps each, 1 on average.
    found = summary_of([row_of("a", 2, 4, 0.5, 0.0, 2, 4), row_of("b", 4, 8, 1.0, 0.5, 1, 8)])
    expected = dict(zip(MEASURES, (3, math.exp(0.5), math.exp(0.75), 6, 0.75, 0.25, 4.5, -1.5, math.log(100))))
    assert {name: row["est"] for name, row in found.items()} == pytest.approx(expected)


def test_essays_of_the_paper():
    # Paper B, Appendix B.1: half the essays have 10 words from 64, half 1000 words from 2.
    lengths = np.array([10, 1000] * 50)
    rates = np.log([64, 2] * 50)
    found = canopy_measures(lengths * rates, lengths)
    assert found.branching_factor == pytest.approx(math.sqrt(64 * 2))
    assert found.gen_ppl == pytest.approx(math.exp((10 * math.log(64) + 1000 * math.log(2)) / 1010))
    assert found.length_driven + found.covariance_part == pytest.approx(found.canopy_entropy)
    assert found.summary["se"].null_count() == found.summary.height == 7  # one prompt: nothing to resample


def test_geometric_rollouts_have_their_closed_form():
    # Every step has entropy h and ends with probability q: CE = h / q, and beyond a cap T the bound is exact but
    # for ln K in the place of h.
    q, h, cap, n_prompts, n = 0.05, 1.25, 40, 300, 60
    tau = np.random.default_rng(1).geometric(q, size=n_prompts * n)
    prompts = np.repeat(np.arange(n_prompts), n)
    free = canopy_measures(h * tau, tau, prompts)
    se = free.summary.filter(pl.col("measure") == "canopy_entropy")["se"].item()
    assert se == pytest.approx(h * math.sqrt(1 - q) / q / math.sqrt(n_prompts * n), rel=0.15)
    assert abs(free.canopy_entropy - h / q) < 4 * se
    assert free.gen_ppl == pytest.approx(math.exp(h)) and free.branching_factor == pytest.approx(math.exp(h))
    length = np.minimum(tau, cap)
    table = pl.DataFrame({"prompt_id": prompts.astype(str), "length": length, "truncated": tau > cap})
    table = table.with_columns(sequence_entropy=h * pl.col("length"), entropy_rate=pl.lit(h))
    found = summary_of(prompt_measures(table, cap).to_dicts(), ranks=100)["bias_bound"]
    truth = math.log(100) * (1 - q) ** cap / q
    assert abs(found["est"] - truth) < 4 * found["se"] < truth
    assert found["ci_low"] < truth < found["ci_high"]


def chain_rollouts(table, entropies, end, cap, counts, rng):
    """Rollouts of a Markov chain; ``counts[i]`` of prompts whose context is state i, 50 rollouts each."""
    rows = []
    for state, count in enumerate(counts):
        for prompt in range(count):
            for _ in range(50):
                at, entropy, length = state, 0.0, 0
                while length < cap:
                    entropy, length = entropy + entropies[at], length + 1
                    at = rng.choice(len(table), p=table[at])
                    if at == end:
                        break
                rows.append((f"{state}-{prompt}", entropy, length, entropy / length, at != end))
    names = ("prompt_id", "sequence_entropy", "length", "entropy_rate", "truncated")
    return pl.DataFrame(rows, schema=names, orient="row")


def test_a_chain_under_a_cap_has_its_closed_form():
    # States a, b and the end token; the exact expectations share no line with the measures.
    table, cap = np.array([[0.6, 0.3, 0.1], [0.05, 0.75, 0.2], [0, 0, 1.0]]), 8
    entropies = top_entropies(table, 3)
    start, counts = np.array([0.25, 0.75, 0]), (20, 60)
    exact = capped(start, table, entropies, (2,), cap)
    rollouts = chain_rollouts(table, entropies, 2, cap, counts, np.random.default_rng(3))
    found = summary_of(prompt_measures(rollouts, cap).to_dicts(), ranks=3)
    truth = {
        "canopy_entropy": exact.canopy_entropy,
        "gen_ppl": math.exp(exact.canopy_entropy / exact.length),
        "branching_factor": math.exp(exact.entropy_rate),
        "mean_length": exact.length,
        "mean_entropy_rate": exact.entropy_rate,
        "truncation_rate": exact.truncated,
        "length_driven": exact.length * exact.entropy_rate,
        "covariance_part": exact.canopy_entropy - exact.length * exact.entropy_rate,
    }
    for name, value in truth.items():
        assert 0 < abs(found[name]["est"] - value) < 4 * found[name]["se"], name
    # What the cap cut off is below the bound, which is not far off: it has ln 3 for each entropy.
    lost = uncapped(start, table, entropies, (2,)).canopy_entropy - exact.canopy_entropy
    assert lost < found["bias_bound"]["ci_low"] < found["bias_bound"]["est"] < 2 * lost


def test_canopy_entropy_is_the_entropy_of_whole_rollouts():
    # Theorem 1. Tokens a, b and the end, at most 4 steps; every rollout as often as it comes in 4 ** 4 of them.
    moves, cap = {"": (2, 1, 1), "a": (1, 2, 1), "b": (0, 2, 2)}, 4

    def entropy(weights):
        return -sum(w / sum(weights) * math.log(w / sum(weights)) for w in weights if w)

    counts = []  # (how often, S, tau)
    stack = [("", 4**cap, 0.0)]
    while stack:
        said, count, so_far = stack.pop()
        if said.endswith(".") or len(said) == cap:
            counts.append((count, so_far, len(said)))
            continue
        weights = moves[said[-1:]]
        stack += [(said + t, count * w // 4, so_far + entropy(weights)) for t, w in zip("ab.", weights) if w]
    times, entropies, lengths = zip(*counts)
    assert sum(times) == 4**cap and len(times) == 15
    found = canopy_measures(np.repeat(entropies, times), np.repeat(lengths, times))
    assert found.canopy_entropy == pytest.approx(entropy(times), rel=1e-12)


def test_bias_bound_without_truncation_without_an_end_and_without_ranks():
    assert summary_of([row_of("a", ended=0, exposure=7), row_of("b")])["bias_bound"]["ci_high"] == 0
    none_ended = [row_of("a", truncation=0.5, ended=0), row_of("b", truncation=0.5, ended=0)]
    row = summary_of(none_ended)["bias_bound"]
    assert (row["est"], row["se"], row["ci_low"], row["ci_high"]) == (None, None, None, None)
    assert summary_of([row_of("a", truncation=0.5)], ranks=None)["bias_bound"]["est"] is None
    assert summary_of([row_of("a")], ranks=None)["bias_bound"]["est"] == 0
    assert summary_of([row_of("a", truncation=0.5)], ranks=1)["bias_bound"]["est"] == 0


def test_draws_without_a_bound_are_not_passed_over():
    # A quarter of the draws takes "a" twice, where nothing ended: no upper end can be given.
    row = summary_of([row_of("a", truncation=0.5, ended=0), row_of("b", truncation=0.5, ended=2)])["bias_bound"]
    assert row["est"] == pytest.approx(math.log(100) * 0.5 * 4 / 2)
    assert row["ci_low"] == pytest.approx(math.log(100) * 0.5)
    assert row["ci_high"] is None and row["se"] is None


def test_unknown_cap_leaves_the_tail_unknown():
    rollouts = drawn_rollouts(2, (3, 4)).with_columns(truncated=False)
    found = prompt_measures(rollouts, None)
    assert found["tail_ended"].to_list() == found["tail_exposure"].to_list() == [None, None]
    assert found.drop("tail_ended", "tail_exposure").equals(
        prompt_measures(rollouts, 12).drop("tail_ended", "tail_exposure")
    )
    assert summary_of(found.to_dicts())["bias_bound"]["est"] == 0
    cut = prompt_measures(rollouts.with_columns(truncated=True), None)
    assert summary_of(cut.to_dicts())["bias_bound"]["est"] is None


def test_unknown_truncation_is_no_rate_of_zero():
    rollouts = drawn_rollouts(2, (3, 4))
    unknown = rollouts.with_columns(truncated=pl.lit(None, pl.Boolean))
    for cap in (None, 12):
        found = prompt_measures(unknown, cap)
        assert found["truncation_rate"].null_count() == found["tail_ended"].null_count() == 2
        rows = summary_of(found.to_dicts())
        for name in ("truncation_rate", "bias_bound"):
            assert [rows[name][part] for part in ("est", "se", "ci_low", "ci_high")] == [None] * 4
        known = summary_of(prompt_measures(rollouts, cap).to_dicts())
        assert {name: row for name, row in rows.items() if name not in ("truncation_rate", "bias_bound")} == {
            name: row for name, row in known.items() if name not in ("truncation_rate", "bias_bound")
        }
    some = unknown.with_columns(truncated=pl.when(pl.col("sample") > 0).then(False))
    with pytest.raises(ValueError, match="truncated None for prompt 'p0-0'; say of every rollout"):
        prompt_measures(some, 12)


def test_one_prompt_and_none():
    one = summary_of([row_of("a")])
    assert {row["se"] for row in one.values()} == {None} and one["canopy_entropy"]["est"] == 2
    none = canopy_summary(prompt_measures(drawn_rollouts()[:0], 5), entropy_ranks=100)
    assert none["est"].null_count() == len(MEASURES) and none["n_prompts"].sum() == 0


@given(sizes, st.integers(0, 10**6))
def test_repeated_rollouts_change_no_mean(counts, number):
    rollouts = drawn_rollouts(number, counts)
    twice = pl.concat([rollouts, rollouts]).sort("prompt_id", maintain_order=True)
    columns = ["prompt_id", "canopy_entropy", "mean_length", "mean_entropy_rate", "truncation_rate"]
    once = prompt_measures(rollouts.sort("prompt_id", maintain_order=True), 12).select(columns)
    for found, expected in zip(prompt_measures(twice, 12).select(columns).rows(), once.rows(), strict=True):
        assert found[0] == expected[0] and found[1:] == pytest.approx(expected[1:])


@given(sizes, st.integers(0, 10**6))
def test_arrays_in_any_order_give_what_the_table_gives(counts, number):
    rollouts = drawn_rollouts(number, counts)
    order = np.random.default_rng(number).permutation(rollouts.height)
    mixed = rollouts[order]
    found = canopy_measures(*(mixed[name].to_numpy() for name in ("sequence_entropy", "length", "prompt_id")))
    row = summary_by_definition(prompt_measures(rollouts, 12).to_dicts(), 100)
    assert (found.n_prompts, found.n_rollouts) == (len(counts), sum(counts))
    values = (found.canopy_entropy, found.gen_ppl, found.branching_factor, found.mean_length, found.mean_entropy_rate)
    assert [*values, found.length_driven, found.covariance_part] == pytest.approx([*row[:5], *row[6:8]])
    assert found.summary["est"].to_list() == pytest.approx([*row[:5], *row[6:8]])


def test_arrays_keep_prompts_in_the_order_of_their_first_rollouts():
    # The draws depend on it: "b" is the first prompt, as in a table.
    entropy, prompts = np.array([1.0, 5.0, 3.0, 0.0]), np.array(["b", "a", "b", "c"])
    found = canopy_measures(entropy, np.full(4, 2), prompts, Bootstrap(n_boot=7)).summary["se"][0]
    indexes = np.random.default_rng(42).integers(0, 3, (7, 3))
    assert found == pytest.approx(np.array([2.0, 5.0, 0.0])[indexes].mean(axis=1).std(ddof=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 0}, "length 0 for prompt 'p0-0'; a length is 1 or more, and at most the cap 12"),
        ({"length": 13}, "length 13 for prompt"),
        ({"length": None}, "length None"),
        ({"sequence_entropy": math.nan}, "sequence_entropy nan"),
        ({"sequence_entropy": math.inf}, "sequence_entropy inf"),
        ({"sequence_entropy": -0.1}, "sequence_entropy -0.1"),
        ({"entropy_rate": None}, "entropy_rate None"),
    ],
)
def test_numbers_that_cannot_be_are_refused(change, message):
    rollouts = drawn_rollouts()
    (name, value), = change.items()
    with pytest.raises(ValueError, match=message):
        prompt_measures(rollouts.with_columns(pl.lit(value, rollouts.schema[name]).alias(name)), 12)


def test_rounding_below_zero_is_taken():
    rollouts = drawn_rollouts(sizes=(1,)).with_columns(sequence_entropy=-1e-12, entropy_rate=-1e-13)
    assert prompt_measures(rollouts, 12)["canopy_entropy"].item() == -1e-12


def test_wrong_settings_are_refused():
    measures = prompt_measures(drawn_rollouts(), 12)
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        prompt_measures(drawn_rollouts(), 0)
    with pytest.raises(ValueError, match="entropy_ranks is 0"):
        canopy_summary(measures, entropy_ranks=0)
    with pytest.raises(ValueError, match="max_new_tokens is 1 but prompt_measures holds the mean length"):
        canopy_summary(measures, entropy_ranks=100, max_new_tokens=1)
    with pytest.raises(ValueError, match=r"prompt_measures lacks the columns \['tail_ended'\]"):
        canopy_summary(measures.drop("tail_ended"), entropy_ranks=100)
    with pytest.raises(ValueError, match=r"length has shape \(2,\); give one entry for each of 3 rollouts"):
        canopy_measures(np.ones(3), np.ones(2, dtype=int))
    with pytest.raises(ValueError, match="some rollouts"):
        canopy_measures(np.ones(0), np.ones(0, dtype=int))
