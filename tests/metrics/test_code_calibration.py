"""Calibration over whole sequences: against all pairs and plain sums, and on a distribution that is known."""

from math import exp, log

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics import calibration_differences, calibration_summary, code_calibration, ranked_sequences
from calib_assets.metrics.code_calibration import MEASURES, ORDER

SCHEMA = {
    "problem_id": pl.String,
    "sample": pl.Int64,
    "sequence": pl.String,
    "program": pl.String,
    "passed": pl.Boolean,
    "log_probability": pl.Float64,
    "n_tokens": pl.Int64,
    "truncated": pl.Boolean,
}


def table(*rows, problem: str = "p") -> pl.DataFrame:
    """Rows (sequence, program, passed, log_probability, n_tokens[, truncated])."""
    full = [(problem, index, *row, *([False] if len(row) == 5 else [])) for index, row in enumerate(rows)]
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


def pairs(right, wrong):
    """AUROC from its definition."""
    if not right or not wrong:
        return None
    return sum((a > b) + 0.5 * (a == b) for a in right for b in wrong) / (len(right) * len(wrong))


def slow(rows) -> dict:
    """All measures of one problem from their definitions, with dicts and plain sums."""
    tested = [row for row in rows if row["passed"] is not None]
    scored = [row for row in tested if not row["truncated"] and row["log_probability"] is not None]
    distinct = {row["sequence"]: row for row in scored}
    programs: dict = {}
    for row in distinct.values():
        programs.setdefault(row["program"] if row["program"] is not None else ("none", row["sequence"]), []).append(row)
    mass = {key: sum(exp(row["log_probability"]) for row in held) for key, held in programs.items()}
    best = {key: max(held, key=lambda row: row["log_probability"]) for key, held in programs.items()}

    def split(values):
        return [v for v, ok in values if ok], [v for v, ok in values if not ok]

    def effective(weights):
        total = sum(weights)
        return exp(-sum(w / total * log(w / total) for w in weights)) if weights else None

    passing = [row["program"] for row in tested if row["passed"]]
    counts = [passing.count(program) for program in dict.fromkeys(passing)]
    masses = [mass[key] for key, held in programs.items() if held[0]["passed"]]
    total = sum(mass.values())
    per_token = [(row["log_probability"] / row["n_tokens"], row["passed"]) for row in scored]
    return {
        "share_passed": len(passing) / len(tested) if tested else None,
        "order_auroc_samples": pairs(*split([(row["log_probability"], row["passed"]) for row in scored])),
        "order_auroc_samples_per_token": pairs(*split(per_token)),
        "order_auroc_programs": pairs(*split([(log(mass[key]), held[0]["passed"]) for key, held in programs.items()])),
        "order_auroc_programs_per_token": pairs(
            *split([(best[key]["log_probability"] / best[key]["n_tokens"], best[key]["passed"]) for key in programs])
        ),
        "valid_mass_share": sum(masses) / total if scored else None,
        "sampled_mass": total if scored else None,
        "effective_passing_programs": effective(counts),
        "effective_passing_programs_by_mass": effective(masses),
        "top_passing_share": max(counts) / sum(counts) if counts else None,
        "top_passing_mass_share": max(masses) / sum(masses) if masses else None,
    }


@st.composite
def sampled(draw):
    """A few sequences, each with a program, a probability that is no accident of rounding, and a verdict by program."""
    verdicts = {name: draw(st.booleans()) for name in "ABC"}
    known = {}
    for name in "stuvwx":
        program = draw(st.sampled_from(["A", "B", "C", None]))
        known[name] = (program, verdicts.get(program, False), -draw(st.integers(1, 24)) / 4, draw(st.integers(1, 9)))
    rows = []
    for name in draw(st.lists(st.sampled_from(list(known)), min_size=1, max_size=12)):
        program, passed, logp, tokens = known[name]
        missing, cut = draw(st.integers(0, 9)) == 0, draw(st.integers(0, 9)) == 0
        passed = None if missing else passed
        rows.append((name + ("cut" if cut else ""), program, passed, logp, tokens, cut))
    return table(*rows)


@given(sampled())
def test_it_agrees_with_the_definitions(samples):
    found, wanted = code_calibration(samples).row(0, named=True), slow(samples.to_dicts())
    for measure in MEASURES:
        expected = wanted[measure]
        assert found[measure] == (None if expected is None else pytest.approx(expected, abs=1e-12)), measure


def test_hand_worked():
    # Sequence s is drawn twice: program A passes with .5 (s) + .1 (t), B fails with .2 (u), no program with .05 (v).
    rows = [("s", "A", True, log(0.5), 2), ("s", "A", True, log(0.5), 2), ("t", "A", True, log(0.1), 8)]
    rows += [("u", "B", False, log(0.2), 1), ("v", None, False, log(0.05), 4)]
    found = code_calibration(table(*rows)).row(0, named=True)
    # samples: s, s, t against u, v: s wins 4 of 4, t wins 1 of 2.
    assert found["order_auroc_samples"] == pytest.approx(5 / 6)
    assert found["order_auroc_programs"] == 1.0  # .6 against .2 and .05
    # per token: s -.347, t -.288, u -1.609, v -.749
    assert found["order_auroc_samples_per_token"] == 1.0
    assert found["valid_mass_share"] == pytest.approx(0.6 / 0.85) and found["sampled_mass"] == pytest.approx(0.85)
    assert found["share_passed"] == pytest.approx(0.6)
    assert (found["n_programs"], found["n_passing_programs"]) == (3, 1)
    assert found["effective_passing_programs"] == found["top_passing_share"] == 1.0


def test_masses_far_below_what_a_float_holds():
    samples = table(("s", "A", True, -2000.0, 9), ("t", "B", False, -2000.0 + log(3), 9))
    found = code_calibration(samples).row(0, named=True)
    assert found["valid_mass_share"] == pytest.approx(0.25) and found["sampled_mass"] == 0.0
    assert found["order_auroc_samples"] == 0.0


def test_where_measures_are_undefined_they_are_null_and_say_why():
    none = code_calibration(table(("s", "A", False, -1.0, 2))).row(0, named=True)
    assert none["order_auroc_samples"] is None and none["no_order"] == "none passes" and none["valid_mass_share"] == 0.0
    assert none["effective_passing_programs"] is None
    every = code_calibration(table(("s", "A", True, -1.0, 2))).row(0, named=True)
    assert every["order_auroc_programs"] is None and every["no_order"] == "all pass"
    blind = code_calibration(table(("s", "A", True, None, None), ("t", "B", False, None, None))).row(0, named=True)
    assert blind["share_passed"] == 0.5 and blind["valid_mass_share"] is None
    assert all(blind[name] is None for name in ORDER) and "no complete sample" in blind["no_order"]


def test_a_truncated_sample_counts_in_the_rate_and_nowhere_else():
    rows = [("s", "A", True, -1.0, 2, False), ("t", "B", False, -2.0, 2, False)]
    whole = code_calibration(table(*rows)).row(0, named=True)
    cut = code_calibration(table(*rows, ("u", None, False, -0.1, 2, True))).row(0, named=True)
    assert cut["share_passed"] == pytest.approx(1 / 3) and cut["n_truncated"] == 1
    for name in (*ORDER, "valid_mass_share", "sampled_mass"):
        assert cut[name] == whole[name]


def test_a_sequence_whose_log_probability_is_rounded_in_two_ways_is_one():
    # As in half precision, where the batch decides; and a text that a server cut into tokens in two ways.
    rows = [("s", "A", True, -3.0, 9), ("s", "A", True, -3.3, 9), ("t", "B", False, -4.0, 9)]
    once, twice = (code_calibration(table(*rows[start:])).row(0, named=True) for start in (1, 0))
    first = table(rows[0], rows[2])
    assert twice["sampled_mass"] == code_calibration(first)["sampled_mass"][0] > once["sampled_mass"]
    assert twice["order_auroc_samples"] == 1.0 and twice["n_scored"] == 3
    cut = code_calibration(table(*rows[::2], ("s", "A", True, -8.0, 11))).row(0, named=True)
    assert cut["sampled_mass"] == twice["sampled_mass"] and cut["order_auroc_samples"] == 0.5


def test_samples_of_a_known_distribution_recover_it():
    """Eight sequences with known probabilities: the masses come out exactly once all are seen, and the share about."""
    rng = np.random.default_rng(7)
    p = rng.dirichlet(np.ones(8))
    right = np.array([True, False, False, True, False, True, False, False])
    drawn = rng.choice(8, size=20_000, p=p)
    samples = table(*((str(s), f"program {s}", bool(right[s]), float(np.log(p[s])), 3) for s in drawn))
    found = code_calibration(samples).row(0, named=True)
    assert found["sampled_mass"] == pytest.approx(1.0, abs=1e-12)
    assert found["valid_mass_share"] == pytest.approx(p[right].sum(), abs=1e-12)
    assert found["share_passed"] == pytest.approx(p[right].sum(), abs=4 * 0.5 / np.sqrt(20_000))
    q = p[right] / p[right].sum()
    assert found["effective_passing_programs_by_mass"] == pytest.approx(np.exp(-(q * np.log(q)).sum()), abs=1e-9)
    assert found["effective_passing_programs"] == pytest.approx(np.exp(-(q * np.log(q)).sum()), abs=0.05)


def test_ranks_are_those_of_the_probabilities():
    samples = table(("s", "A", True, -1.0, 2), ("t", "B", False, -0.5, 2), ("s", "A", True, -1.0, 2))
    ranked = ranked_sequences(samples)
    assert ranked.select("rank", "passed", "n_drawn").rows() == [(1, False, 1), (2, True, 2)]
    assert ranked["share"].sum() == pytest.approx(1.0)
    assert ranked["share"][1] == pytest.approx(exp(-1) / (exp(-1) + exp(-0.5)))
    assert ranked_sequences(table(("s", "A", True, None, None))).height == 0


def test_summaries_and_differences_are_over_problems():
    one = code_calibration(table(("s", "A", True, -1.0, 2), ("t", "B", False, -2.0, 2), problem="p"))
    two = code_calibration(table(("s", "A", False, -1.0, 2), ("t", "B", False, -2.0, 2), problem="q"))
    summary = {row["measure"]: row for row in calibration_summary(pl.concat([one, two])).to_dicts()}
    assert summary["share_passed"]["est"] == 0.25 and summary["share_passed"]["n_problems"] == 2
    assert summary["order_auroc_samples"]["est"] == 1.0 and summary["order_auroc_samples"]["n_undefined"] == 1
    assert summary["order_auroc_samples"]["ci_low"] is None  # one problem: nothing to resample
    assert 0 == summary["share_passed"]["ci_low"] < summary["share_passed"]["ci_high"] == 0.5
    failing = code_calibration(pl.concat([table(("s", "A", False, -1.0, 2), problem=name) for name in "abc"]))
    none = {row["measure"]: row for row in calibration_summary(failing).to_dicts()}["share_passed"]
    assert (none["est"], none["ci_low"], none["ci_high"]) == (0.0, None, None)  # not [0, 0]: three problems are few
    same = {row["measure"]: row for row in calibration_differences(failing, failing).to_dicts()}["share_passed"]
    assert (same["est"], same["ci_low"], same["n_problems"]) == (0.0, None, 3)
    apart = {row["measure"]: row for row in calibration_differences(pl.concat([one, two]), one).to_dicts()}
    assert apart["share_passed"]["est"] == 0.0 and apart["share_passed"]["n_problems"] == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("s", "A", True, 0.5, 2)], "no log-probability of a sequence"),
        ([("s", "A", True, float("nan"), 2)], "no log-probability of a sequence"),
        ([("s", "A", True, -1.0, 0)], "no log-probability of a sequence"),
        ([("s", "A", True, -1.0, 2), ("s", "A", True, -1.5, 2)], "several log-probabilities"),
        ([("s", "A", True, -1.0, 2), ("s", "A", False, -1.0, 2)], "several verdicts"),
        ([("s", "A", True, -1.0, 2), ("s", "A", False, -1.5, 3)], "several verdicts"),
    ],
)
def test_samples_that_contradict_themselves_are_refused(rows, said):
    with pytest.raises(ValueError, match=said):
        code_calibration(table(*rows))
