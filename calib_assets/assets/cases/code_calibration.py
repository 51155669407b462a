"""Order and shape calibration over sampled programs, and pass@k, of one speaker."""

import polars as pl

from calib_assets.assets.rule import Reader
from calib_assets.figures import ranked_programs
from calib_assets.figures.encode import thumbnail
from calib_assets.metrics import (
    calibration_summary,
    pass_rates,
    pass_summary,
    ranked_sequences,
)
from calib_assets.metrics import (
    code_calibration as calibration_of,
)
from calib_assets.metrics.program_text import normal_form
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run


def code_calibration(run: Run) -> Result:
    """Order AUROC over sequences, mass of the valid ones, pass@k (METHODS §3.11); by problem and over problems."""
    samples = tested_samples(run.table("code_samples"), run.table("code_verdicts"))
    problems = calibration_of(samples)
    rates = pass_rates(problems, run.slice("coding_scoring_spec")["ks"])
    summary = calibration_summary(problems)
    kinds = run.table("code_verdicts")["kind"].fill_null("missing").value_counts(sort=True)
    found = dict(summary.select("measure", "est").iter_rows())
    return Result(
        tables={
            "code_calibration": problems,
            "code_summary": summary,
            "pass_at_k": rates,
            "pass_summary": pass_summary(rates),
            "ranked_programs": ranked_sequences(samples),
            "verdict_kinds": kinds.select("kind", pl.col("count").cast(pl.Int64).alias("n")).sort("n", descending=True),
        },
        numbers={
            "share passed": found["share_passed"],
            "order AUROC over samples": found["order_auroc_samples"],
            "valid mass share": found["valid_mass_share"],
            "problems": problems.height,
        },
    )


def tested_samples(samples: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Samples with their verdicts, as the metrics read them; programs in their normal form."""
    joined = samples.join(
        verdicts.select("problem_id", "sample", "passed"),
        on=["problem_id", "sample"],
        how="left",
        maintain_order="left",
    )
    forms = [None if text is None else normal_form(text) for text in joined["program"]]
    return joined.with_columns(pl.Series("program", forms, dtype=pl.String))


def samples_of(read: Reader) -> pl.DataFrame:
    """The same, for checks."""
    return tested_samples(read("code_samples", "code_samples"), read("code_verdicts", "code_verdicts"))


NODE = Node(
    key="code_calibration",
    axes=("coding", "speaker"),
    deps=("coding_scoring_spec", "code_samples", "code_verdicts"),
    body=code_calibration,
    group="cases",
    description="Order AUROC over sampled programs, valid share of the mass, effective number of right programs, "
    "unbiased pass@k, with intervals over problems (Paper A, App. H).",
    preview=lambda result: thumbnail(ranked_programs(result.tables["ranked_programs"])),
)
