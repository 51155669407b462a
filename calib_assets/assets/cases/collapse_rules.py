"""What must hold of answers and their counts, as plain functions: asset checks run them, the report prints them."""

import polars as pl

from calib_assets.assets.rule import TOLERANCE, Reader, Rule, Verdict

STATUSES = ("ok", "empty", "truncated", "refused", "failed")
SUM_TOLERANCE = 1e-6
NOBODY = Verdict(True, "no speaker has answered")


def answers_are_all_there(read: Reader) -> Verdict:
    """Every answer that was asked for is there once, with a status; one that never came has no text."""
    samples, request = read("answer_samples", "answer_samples"), read("answer_samples", "answer_request")
    if not samples.width:
        return NOBODY
    key = [name for name in ("speaker", "setting", "conversation", "turn") if name in samples.columns]
    wanted = request.select((pl.col("samples") + pl.col("turns") * pl.col("conversations")).sum()).item()
    twice = samples.height - samples.select(key).n_unique()
    turns = int(request["turns"].max())
    gaps = samples.filter((pl.col("setting") == "history") & (pl.col("turn") >= turns)).height
    odd = samples.filter(
        ~pl.col("status").is_in(STATUSES) | ((pl.col("status") == "failed") & (pl.col("text") != ""))
    ).height
    return Verdict(
        samples.height == wanted and not twice and not gaps and not odd,
        f"answers {samples.height} of {wanted}; twice {twice}; beyond the last turn {gaps}; with a wrong status {odd}",
    )


def few_answers_are_missing(read: Reader) -> Verdict:
    """The share of answers that never came is within the row's limit."""
    samples, request = read("answer_samples", "answer_samples"), read("answer_samples", "answer_request")
    if not samples.width:
        return NOBODY
    limit = request["max_missing_share"].max()
    by = samples.group_by("speaker") if "speaker" in samples.columns else None
    failed = (pl.col("status") == "failed").mean()
    shares = (samples.select(failed) if by is None else by.agg(failed)).get_column("status")
    return Verdict(bool(shares.max() <= limit), f"largest share missing {shares.max():.4f}, limit {limit:g}")


def counts_add_up(read: Reader) -> Verdict:
    """Outcomes add up to the answers asked for, counts to the answers that came, shares to 1."""
    counts, outcomes = read("answer_collapse", "answer_counts"), read("answer_collapse", "answer_outcomes")
    if not outcomes.width:
        return NOBODY
    measures = read("answer_collapse", "answer_collapse").filter(pl.col("measure") == "n_answers")
    key = [name for name in ("speaker", "setting") if name in measures.columns]
    answered = outcomes.filter(pl.col("outcome") == "answered").select(*key, pl.col("count").alias("answered"))
    sums = counts.group_by(*key, "matching").agg(pl.col("count").sum(), pl.col("share").sum())
    rows = measures.join(answered, on=key, how="left").join(sums, on=[*key, "matching"], how="left")
    rows = rows.with_columns(pl.col("count").fill_null(0), pl.col("share").fill_null(1.0))
    wrong = rows.filter(
        (pl.col("count") != pl.col("answered"))
        | (pl.col("est") != pl.col("answered"))
        | ((pl.col("share") - 1).abs() > SUM_TOLERANCE)
    ).height
    total = outcomes["count"].sum()
    samples = read("answer_samples", "answer_samples").height
    return Verdict(
        not wrong and total == samples, f"settings that do not add up {wrong}; outcomes {total} of {samples} answers"
    )


def effective_numbers_are_bounded(read: Reader) -> Verdict:
    """1 ≤ exp(H) ≤ distinct answers for the plug-in; corrected estimates are no smaller; shares lie in [0, 1]."""
    table = read("answer_collapse", "answer_collapse")
    if not table.width:
        return NOBODY
    key = [name for name in ("speaker", "setting", "matching") if name in table.columns]
    wide = table.pivot("measure", index=key, values="est")
    if "effective_number" not in wide.columns:
        return Verdict(True, "no answer came")
    rows = wide.drop_nulls("effective_number")
    effective = pl.col("effective_number")
    outside = rows.filter(
        (effective < 1 - TOLERANCE)
        | (effective > pl.col("n_distinct") * (1 + TOLERANCE))
        | (pl.col("effective_number_miller_madow") < effective * (1 - TOLERANCE))
        | (pl.col("n_distinct") > pl.col("n_answers"))
    ).height
    shares = [name for name in ("top_share", "distinct_share", "valid_share", "coverage") if name in rows.columns]
    bad = rows.filter(pl.any_horizontal(~pl.col(shares).is_between(0, 1 + TOLERANCE))).height
    turned = table.filter(pl.col("ci_low") > pl.col("ci_high")).height
    return Verdict(
        not outside and not bad and not turned,
        f"of {rows.height} settings: outside their bounds {outside}, shares outside [0, 1] {bad}, intervals turned "
        f"round {turned}",
    )


COLLAPSE_RULES = (
    Rule("answer_samples", "answers_are_all_there", "Every answer asked for is there once.", answers_are_all_there),
    Rule("answer_samples", "few_answers_are_missing", "The missing share is small.", few_answers_are_missing),
    Rule("answer_collapse", "counts_add_up", "Counts add up to the answers.", counts_add_up, reads=("answer_samples",)),
    Rule(
        "answer_collapse",
        "effective_numbers_are_bounded",
        "Effective numbers lie between 1 and the distinct answers.",
        effective_numbers_are_bounded,
    ),
)
