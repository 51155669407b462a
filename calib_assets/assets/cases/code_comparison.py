"""Programs of all speakers side by side, paired by problem."""

import polars as pl

from calib_assets.metrics import calibration_differences
from calib_assets.metrics.code_calibration import SUMMARY_SCHEMA
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run


def code_comparison(run: Run) -> Result:
    """Summaries of every speaker, and the differences of each to the first one, over the problems that both have.

    A speaker whose programs could not be measured is left out.
    """
    speakers = run.slice("speakers_spec")["speakers"]
    shown = pl.DataFrame(
        [(row["name"], row["family"], row["size"], row["variant"]) for row in speakers],
        schema={"speaker": pl.String, "family": pl.String, "size": pl.Float64, "variant": pl.String},
        orient="row",
    )
    summary, rates = run.table("code_calibration", "code_summary"), run.table("code_calibration", "pass_summary")
    problems = run.table("code_calibration", "code_calibration")
    first, *others = summary["speaker"].unique(maintain_order=True)
    parts = [pl.DataFrame(schema={"speaker": pl.String, "reference": pl.String, **SUMMARY_SCHEMA})]
    for name in others:
        own, other = (problems.filter(pl.col("speaker") == one).drop("speaker") for one in (name, first))
        front = [pl.lit(name).alias("speaker"), pl.lit(first).alias("reference")]
        parts.append(calibration_differences(own, other).select(*front, *SUMMARY_SCHEMA))
    return Result(
        tables={
            "code_speakers": summary.join(shown, on="speaker", how="left", maintain_order="left"),
            "pass_speakers": rates.join(shown, on="speaker", how="left", maintain_order="left"),
            "code_differences": pl.concat(parts),
        },
        numbers={"speakers": 1 + len(others)},
    )


NODE = Node(
    key="code_comparison",
    axes=("coding",),
    deps=("speakers_spec", "code_calibration"),
    body=code_comparison,
    group="cases",
    description="Calibration over sampled programs and pass@k of all speakers, and differences paired by problem.",
)
