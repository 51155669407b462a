r"""Order and shape calibration over whole sequences: sampled programs, right and wrong (Paper A, App. H).

The unit of App. H is the sampled *sequence* with its log-probability. Two questions are asked of it: do passing
sequences have higher probability than failing ones (order), and is the mass of the passing ones spread (shape)?
Truncated sequences have no log-probability of their own (what was sampled is only how they begin): their verdict
counts in pass rates, and they are left out of everything that reads a log-probability, and counted.
"""

from collections.abc import Iterable
from math import exp

import numpy as np
import polars as pl
from scipy.special import logsumexp

from calib_assets.metrics._tables import check_columns, check_unique, mean_over_problems
from calib_assets.metrics.ranks import order_auroc
from calib_assets.stats import Bootstrap

SAMPLE_COLUMNS = ("problem_id", "sample", "sequence", "program", "passed", "log_probability", "n_tokens", "truncated")
ORDER = (
    "order_auroc_samples",
    "order_auroc_samples_per_token",
    "order_auroc_programs",
    "order_auroc_programs_per_token",
)
MEASURES = (
    "share_passed",
    *ORDER,
    "valid_mass_share",
    "sampled_mass",
    "effective_passing_programs",
    "effective_passing_programs_by_mass",
    "top_passing_share",
    "top_passing_mass_share",
)
COUNTS = ("n_samples", "n_tested", "n_passed", "n_truncated", "n_scored", "n_programs", "n_passing_programs")
PROBLEM_SCHEMA = {
    "problem_id": pl.String,
    **{name: pl.Int64 for name in COUNTS},
    **{name: pl.Float64 for name in MEASURES},
    "no_order": pl.String,
}
RANKED_SCHEMA = {
    "problem_id": pl.String,
    "rank": pl.Int64,
    "log_probability": pl.Float64,
    "n_tokens": pl.Int64,
    "passed": pl.Boolean,
    "n_drawn": pl.Int64,
    "share": pl.Float64,
    "program": pl.String,
}
# Share by which log-probabilities of one sequence may differ: a GPU's half precision depends on the batch (of a dozen
# open steps, by tenths of a nat), and a server's on what else it serves.
ROUNDING = 0.1
SUMMARY_SCHEMA = {
    "measure": pl.String,
    "est": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "n_problems": pl.Int64,
    "n_undefined": pl.Int64,
}


def code_calibration(samples: pl.DataFrame) -> pl.DataFrame:
    r"""Calibration of each problem's sampled programs.

    With s a complete sampled sequence, :math:`\ell(s)` its log-probability and "passing" the verdict of its program:

    - ``share_passed``: passing among the samples with a verdict, truncated ones too. From samples at temperature 1
      without truncation of the distribution it is the Monte-Carlo estimate of the model's valid mass.
    - ``order_auroc_samples``: probability that a random passing sample has a higher :math:`\ell` than a random failing
      one, ties one half; every sample counts, so a sequence that was drawn twice counts twice.
    - ``order_auroc_programs``: the same over distinct programs, each with
      :math:`\ln \sum_s \exp \ell(s)` over the distinct sampled sequences that hold it. A sequence without a program
      is a failing unit of its own.
    - ``…_per_token``: with :math:`\ell(s)` over the number of tokens; of a program, that of its most probable sequence.
    - ``valid_mass_share``: :math:`\sum \exp \ell(s)` over the distinct passing sequences, divided by that over all
      distinct sequences with a verdict; in log space. ``sampled_mass`` is the latter sum: how much of the distribution
      has been seen.
    - ``effective_passing_programs``: exp of the entropy of the distinct passing programs by their samples;
      ``…_by_mass`` by their probability; ``top_passing_share`` and ``top_passing_mass_share`` are the largest shares.

    Args:
        samples: Columns `SAMPLE_COLUMNS`: sequence (equal for equal token sequences), program (normal form; null: the
            answer has none), passed (null: no verdict), log_probability (nats, full model at temperature 1; null: not
            known), n_tokens, truncated.

    Returns:
        Columns of `PROBLEM_SCHEMA`, a row for each problem in the table's order. A measure that is undefined is null;
        ``no_order`` says why the order measures are.

    Raises:
        ValueError: If a column is missing, a sample stands twice, a log-probability is positive or NaN, equal sequences
            of equally many tokens differ in log-probability by more than rounding, or in verdict, or a log-probability
            comes with no tokens. Of equal sequences the first one's log-probability is taken.

    >>> samples = pl.DataFrame({"problem_id": ["a"] * 4, "sample": [0, 1, 2, 3], "sequence": ["s", "s", "t", "u"],
    ...     "program": ["x=1", "x=1", "x=2", "x=3"], "passed": [True, True, False, True], "n_tokens": [2] * 4,
    ...     "log_probability": np.log([0.5, 0.5, 0.3, 0.1]), "truncated": [False] * 4})
    >>> found = code_calibration(samples).row(0, named=True)
    >>> found["share_passed"], round(found["valid_mass_share"], 3)  # (0.5 + 0.1) / 0.9
    (0.75, 0.667)
    >>> round(found["order_auroc_samples"], 3), found["order_auroc_programs"]  # 2 of 3 pairs, 1 of 2
    (0.667, 0.5)
    """
    check_columns(samples, "samples", SAMPLE_COLUMNS, "pass one row for each sampled program")
    check_unique(samples, "samples", ["problem_id", "sample"], "pass each sample once")
    _check(samples)
    rows = [
        {"problem_id": own["problem_id"][0], **_problem(own)}
        for own in samples.partition_by("problem_id", maintain_order=True)
    ]
    return pl.DataFrame(rows, schema=PROBLEM_SCHEMA)


def ranked_sequences(samples: pl.DataFrame) -> pl.DataFrame:
    """The distinct complete sequences of each problem by falling log-probability, as Paper A's Figure 12 shows them.

    Args:
        samples: As for :func:`code_calibration`.

    Returns:
        Columns of `RANKED_SCHEMA`; ``share`` of the probability of all that stand in the table for the problem, and
        ``n_drawn`` how often each was sampled.

    >>> samples = pl.DataFrame({"problem_id": ["a"] * 4, "sample": [0, 1, 2, 3], "sequence": ["s", "s", "t", "u"],
    ...     "program": ["x=1", "x=1", "x=2", "x=3"], "passed": [True, True, False, True], "n_tokens": [2] * 4,
    ...     "log_probability": np.log([0.5, 0.5, 0.3, 0.1]), "truncated": [False] * 4})
    >>> ranked_sequences(samples).select("rank", "passed", "n_drawn", pl.col("share").round(3)).rows()
    [(1, True, 2, 0.556), (2, False, 1, 0.333), (3, True, 1, 0.111)]
    """
    check_columns(samples, "samples", SAMPLE_COLUMNS, "pass one row for each sampled program")
    parts = [pl.DataFrame(schema=RANKED_SCHEMA)]
    for own in samples.partition_by("problem_id", maintain_order=True):
        scored = own.filter(~pl.col("truncated")).drop_nulls(["passed", "log_probability"])
        distinct = scored.group_by("sequence", maintain_order=True).agg(
            *(pl.col(name).first() for name in ("problem_id", "log_probability", "n_tokens", "passed", "program")),
            n_drawn=pl.len().cast(pl.Int64),
        )
        ranked = distinct.sort("log_probability", descending=True, maintain_order=True)
        logs = ranked["log_probability"].to_numpy()
        share = np.exp(logs - logsumexp(logs)) if len(logs) else logs
        ranked = ranked.with_columns(rank=pl.int_range(1, pl.len() + 1), share=pl.Series(share, dtype=pl.Float64))
        parts.append(ranked.select(pl.col(name).cast(kind) for name, kind in RANKED_SCHEMA.items()))
    return pl.concat(parts)


def calibration_summary(problems: pl.DataFrame, bootstrap: Bootstrap = Bootstrap()) -> pl.DataFrame:
    """Mean of each measure over the problems in which it is defined, with intervals over resampled problems.

    Args:
        problems: The table of :func:`code_calibration`.
        bootstrap: How the intervals are made.

    Returns:
        Columns of `SUMMARY_SCHEMA`, a row for each of `MEASURES`; ``n_undefined`` problems have none. The interval is
        null where fewer than two problems have one, or all have the same: a width of 0 would claim certainty.

    Raises:
        ValueError: If a column is missing.

    >>> samples = pl.DataFrame({"problem_id": ["a"] * 4, "sample": [0, 1, 2, 3], "sequence": ["s", "s", "t", "u"],
    ...     "program": ["x=1", "x=1", "x=2", "x=3"], "passed": [True, True, False, True], "n_tokens": [2] * 4,
    ...     "log_probability": np.log([0.5, 0.5, 0.3, 0.1]), "truncated": [False] * 4})
    >>> problems = code_calibration(pl.concat([samples, samples.with_columns(problem_id=pl.lit("b"), passed=False)]))
    >>> summary = calibration_summary(problems)
    >>> summary.filter(measure="share_passed").select("est", "n_problems").row(0)  # (0.75 + 0) / 2
    (0.375, 2)
    >>> summary.filter(measure="order_auroc_programs").select("est", "n_problems", "n_undefined").row(0)
    (0.5, 1, 1)
    """
    check_columns(problems, "problems", ("problem_id", *MEASURES), "pass the table of code_calibration")
    rows = []
    for measure in MEASURES:
        known = problems.drop_nulls(measure)
        means = mean_over_problems(known, measure, bootstrap)
        rows.append((measure, *means, known.height, problems.height - known.height))
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA, orient="row")


def calibration_differences(
    own: pl.DataFrame, reference: pl.DataFrame, bootstrap: Bootstrap = Bootstrap()
) -> pl.DataFrame:
    """Mean difference of each measure to a reference, over the problems in which both have it, paired by problem.

    Args:
        own: The table of :func:`code_calibration`.
        reference: That of another speaker on problems of the same names.
        bootstrap: How the intervals are made.

    Returns:
        Columns of `SUMMARY_SCHEMA`; ``n_undefined`` counts the problems of either in which one has none.

    >>> samples = pl.DataFrame({"problem_id": ["a"] * 4, "sample": [0, 1, 2, 3], "sequence": ["s", "s", "t", "u"],
    ...     "program": ["x=1", "x=1", "x=2", "x=3"], "passed": [True, True, False, True], "n_tokens": [2] * 4,
    ...     "log_probability": np.log([0.5, 0.5, 0.3, 0.1]), "truncated": [False] * 4})
    >>> own, reference = code_calibration(samples), code_calibration(samples.with_columns(passed=False))
    >>> calibration_differences(own, reference).filter(measure="share_passed").select("est", "n_problems").row(0)
    (0.75, 1)
    """
    rows = []
    both = own.join(reference, on="problem_id", how="full", coalesce=True, suffix="_of_reference")
    for measure in MEASURES:
        known = both.drop_nulls([measure, f"{measure}_of_reference"])
        delta = known.with_columns(pl.col(measure) - pl.col(f"{measure}_of_reference"))
        means = mean_over_problems(delta, measure, bootstrap)
        rows.append((measure, *means, known.height, both.height - known.height))
    return pl.DataFrame(rows, schema=SUMMARY_SCHEMA, orient="row")


def _check(samples: pl.DataFrame) -> None:
    scored = samples.drop_nulls("log_probability")
    wrong = scored.filter(~(pl.col("log_probability") <= 0) | ~(pl.col("n_tokens") > 0).fill_null(False))
    if wrong.height:
        first = wrong.select("problem_id", "sample", "log_probability", "n_tokens").row(0, named=True)
        raise ValueError(f"{wrong.height} samples have no log-probability of a sequence, the first: {first}")
    complete, logs = samples.filter(~pl.col("truncated")), pl.col("log_probability")
    # An API model's sequence is known by its text, which can be cut into tokens in several ways.
    spread = complete.group_by("problem_id", "sequence", "n_tokens").agg(low=logs.min(), high=logs.max())
    far = spread.filter(pl.col("high") - pl.col("low") > ROUNDING * (1 + pl.col("high").abs()))
    verdicts = complete.group_by("problem_id", "sequence").agg(verdicts=pl.col("passed").drop_nulls().n_unique())
    for several, differing in (("log-probabilities", far), ("verdicts", verdicts.filter(pl.col("verdicts") > 1))):
        if differing.height:
            first = differing.row(0, named=True)
            raise ValueError(f"{differing.height} sequences have several {several}, the first: {first}")


def _problem(own: pl.DataFrame) -> dict:
    tested = own.drop_nulls("passed")
    scored = tested.filter(~pl.col("truncated")).drop_nulls("log_probability")
    programs = _programs(scored)
    passing = tested.filter("passed")
    by_count = passing.group_by(_unit()).len()["len"].to_numpy()
    by_mass = programs.filter("passed")["log_mass"].to_numpy()
    n_tested, n_passed = tested.height, passing.height
    sequences = scored.unique("sequence", keep="first", maintain_order=True)
    total = logsumexp(sequences["log_probability"].to_numpy()) if sequences.height else None
    valid = sequences.filter("passed")["log_probability"].to_numpy()
    return {
        "n_samples": own.height,
        "n_tested": n_tested,
        "n_passed": n_passed,
        "n_truncated": own["truncated"].sum(),
        "n_scored": scored.height,
        "n_programs": tested.select(_unit()).n_unique(),
        "n_passing_programs": len(by_count),
        "share_passed": n_passed / n_tested if n_tested else None,
        **_orders(scored, programs),
        "valid_mass_share": None if total is None else (exp(logsumexp(valid) - total) if len(valid) else 0.0),
        "sampled_mass": None if total is None else exp(total),
        "effective_passing_programs": _effective(np.log(by_count)) if len(by_count) else None,
        "effective_passing_programs_by_mass": _effective(by_mass) if len(by_mass) else None,
        "top_passing_share": by_count.max() / by_count.sum() if len(by_count) else None,
        "top_passing_mass_share": exp(by_mass.max() - logsumexp(by_mass)) if len(by_mass) else None,
        "no_order": _no_order(own, scored),
    }


def _unit() -> pl.Expr:
    """A program with its verdict, or the sequence that holds none."""
    # Two texts of one normal form can differ in a verdict only if one has trailing blanks inside of a string.
    verdict = pl.when("passed").then(pl.lit("passed: ")).otherwise(pl.lit("failed: "))
    return pl.coalesce(verdict + pl.col("program"), pl.lit("none: ") + pl.col("sequence")).alias("unit")


def _programs(scored: pl.DataFrame) -> pl.DataFrame:
    """Distinct programs: unit, passed, log_mass, per_token (of the most probable sequence)."""
    sequences = scored.unique("sequence", keep="first", maintain_order=True).with_columns(
        _unit(), per_token=pl.col("log_probability") / pl.col("n_tokens")
    )
    rows = []
    for held in sequences.partition_by("unit", maintain_order=True):
        best = held["log_probability"].arg_max()
        mass = logsumexp(held["log_probability"].to_numpy())
        rows.append((held["unit"][0], held["passed"][0], float(mass), held["per_token"][best]))
    schema = {"unit": pl.String, "passed": pl.Boolean, "log_mass": pl.Float64, "per_token": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _orders(scored: pl.DataFrame, programs: pl.DataFrame) -> dict:
    scores = (
        (scored, scored["log_probability"]),
        (scored, scored["log_probability"] / scored["n_tokens"]),
        (programs, programs["log_mass"]),
        (programs, programs["per_token"]),
    )
    return {name: _auroc(values, table["passed"]) for name, (table, values) in zip(ORDER, scores, strict=True)}


def _auroc(scores: pl.Series, passed: pl.Series) -> float | None:
    return order_auroc(scores.to_numpy(), passed.to_numpy()) if passed.any() else None


def _no_order(own: pl.DataFrame, scored: pl.DataFrame) -> str | None:
    if not scored.height:
        return "no complete sample with log-probability and verdict"
    if not scored["passed"].any():
        return "none passes"
    return "all pass" if scored["passed"].all() else None


def _effective(log_weights: Iterable[float]) -> float:
    """exp of the entropy of the normalised weights."""
    logs = np.asarray(log_weights, dtype=np.float64)
    logs = logs - logsumexp(logs)
    return exp(-float(np.sum(np.exp(logs) * logs)))
