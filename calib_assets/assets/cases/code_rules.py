"""What must hold of the coding study's results, as plain functions: asset checks run them, the report prints them."""

import polars as pl

from calib_assets.assets.cases.code_calibration import samples_of
from calib_assets.assets.rule import TOLERANCE, Reader, Rule, Verdict
from resources.sandbox.programs import KINDS


def samples_are_whole(read: Reader) -> Verdict:
    """Every problem that was asked has programs 0, 1, …, as many as the others; rows agree with themselves."""
    rows, problems = read("code_samples", "code_samples"), read("code_samples", "code_problems")
    per = rows.group_by("problem_id", maintain_order=True).agg(n=pl.len(), last=pl.col("sample").max())
    gaps = per.filter(pl.col("n") != pl.col("last") + 1).height
    asked = problems.filter(pl.col("left_out").is_null())["problem_id"].to_list()
    wrong = rows.filter(
        (pl.col("log_probability") > 0)
        | (pl.col("truncated") != (pl.col("finish") == "length"))
        | (pl.col("ids").list.len() != pl.col("n_tokens"))
    ).height
    same = per["problem_id"].to_list() == asked and per["n"].n_unique() == 1
    return Verdict(
        not gaps and not wrong and same,
        f"of {rows.height} programs of {per.height} problems: contradict themselves {wrong}; problems with a gap {gaps}"
        f"; problems asked {len(asked)}",
    )


def verdicts_are_verdicts(read: Reader) -> Verdict:
    """A verdict for each program, of a known kind; a passing one passed every test, a failing one did not."""
    rows = read("code_verdicts", "code_verdicts")
    samples = read("code_samples", "code_samples").select("problem_id", "sample", "program")
    both = samples.join(rows, on=["problem_id", "sample"], how="full", coalesce=True)
    without = both.filter(pl.col("tests").is_null()).height + (both.height - samples.height)
    unknown = rows.filter(~pl.col("kind").is_in(KINDS)).height
    odd = rows.filter(
        (pl.col("passed") != (pl.col("kind") == "passed"))
        | (pl.col("passed") != (pl.col("tests_passed") == pl.col("tests")))
    ).height
    no_code = both.filter(pl.col("program").is_null() != (pl.col("kind") == "no_code")).height
    return Verdict(
        not without and not unknown and not odd and not no_code,
        f"of {rows.height}: programs without a row {without}; unknown kinds {unknown}; verdicts that contradict their "
        f"tests {odd}, or the absence of a program {no_code}; missing {rows['kind'].null_count()}",
    )


def one_program_has_one_verdict(read: Reader) -> Verdict:
    """The same program of a problem has the same verdict, however often it was sampled."""
    samples = read("code_samples", "code_samples").select("problem_id", "sample", "program").drop_nulls("program")
    rows = samples.join(read("code_verdicts", "code_verdicts"), on=["problem_id", "sample"])
    per = rows.group_by("problem_id", "program").agg(n=pl.col("kind").drop_nulls().n_unique())
    several = per.filter(pl.col("n") > 1).height
    return Verdict(not several, f"{several} of {per.height} distinct programs have several verdicts")


def shares_are_shares(read: Reader) -> Verdict:
    """Orders and shares lie in [0, 1]; effective programs are at most the distinct ones; pass@1 is the share passed."""
    table = read("code_calibration", "code_calibration")
    shares = [name for name in table.columns if name.endswith("share") or name.startswith(("order", "share"))]
    outside = sum(table.filter(~pl.col(name).is_between(0, 1 + TOLERANCE)).height for name in shares)
    effective = ("effective_passing_programs", "effective_passing_programs_by_mass")
    over = sum(table.filter(pl.col(name) > pl.col("n_passing_programs") + TOLERANCE).height for name in effective)
    rates = read("code_calibration", "pass_at_k")
    first = rates.filter(pl.col("k") == 1).join(table, on="problem_id")
    apart = first.filter((pl.col("pass_at_k") - pl.col("share_passed")).abs() > TOLERANCE).height
    falling = rates.sort("problem_id", "k").filter(
        (pl.col("pass_at_k").diff().over("problem_id") < -TOLERANCE).fill_null(False)
    )
    return Verdict(
        not outside and not over and not apart and not falling.height,
        f"outside [0, 1]: {outside}; more effective than distinct programs: {over}; pass@1 differs from the share: "
        f"{apart}; pass@k falls with k: {falling.height}; of {table.height} problems",
    )


def orders_are_of_pairs(read: Reader) -> Verdict:
    """The order AUROC over samples, again from every pair of a passing and a failing one."""
    samples, table = samples_of(read), read("code_calibration", "code_calibration")
    wrong = 0
    for name, order in table.select("problem_id", "order_auroc_samples").iter_rows():
        own = samples.filter((pl.col("problem_id") == name) & ~pl.col("truncated"))
        own = own.drop_nulls(["passed", "log_probability"]).select("passed", score="log_probability")
        pairs = own.filter("passed").join(own.filter(~pl.col("passed")), how="cross", suffix="_other")
        won = (pairs["score"] > pairs["score_other"]).sum() + 0.5 * (pairs["score"] == pairs["score_other"]).sum()
        again = won / pairs.height if pairs.height else None
        wrong += (order is None) != (again is None) or (again is not None and abs(order - again) > TOLERANCE)
    return Verdict(not wrong, f"{wrong} of {table.height} problems differ")


CODING_RULES = (
    Rule("code_samples", "samples_are_whole", "Every problem has all its programs.", samples_are_whole),
    Rule(
        "code_verdicts",
        "verdicts_are_verdicts",
        "Every program has a verdict that agrees with its tests, or is marked missing.",
        verdicts_are_verdicts,
        reads=("code_samples",),
    ),
    Rule(
        "code_verdicts",
        "one_program_has_one_verdict",
        "The same program has the same verdict.",
        one_program_has_one_verdict,
        reads=("code_samples",),
    ),
    Rule("code_calibration", "shares_are_shares", "Shares and pass@k are probabilities.", shares_are_shares),
    Rule(
        "code_calibration",
        "orders_are_of_pairs",
        "Order AUROC equals the share of pairs in the right order (Definition D.1).",
        orders_are_of_pairs,
        reads=("code_samples", "code_verdicts"),
    ),
)
