"""Whether longer rollouts carry more or less entropy a token."""

from calib_assets.metrics import correlation_summary, prompt_correlations
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run
from calib_assets.stats import Bootstrap


def length_entropy_correlation(run: Run) -> Result:
    """Pearson, Spearman, Kendall and covariance of length and entropy rate within prompts, aggregated (METHODS §4)."""
    prompts = prompt_correlations(run.scan("rollouts"))
    summary = correlation_summary(prompts, Bootstrap())
    return Result(
        tables={"prompt_correlations": prompts, "length_entropy_correlation": summary},
        numbers=dict(summary.select("measure", "est").iter_rows()),
    )


NODE = Node(
    key="length_entropy_correlation",
    axes=("model", "rollout"),
    deps=("rollouts",),
    body=length_entropy_correlation,
    group="canopy",
    description="Correlation of a rollout's length with its entropy rate, within prompts (Paper B, Definition 4, "
    "Tables 2 and 6).",
)
