"""Size of the generation space: canopy entropy, generation perplexity, branching factor, and how sure they are."""

import polars as pl

from calib_assets.metrics import canopy_summary, cheapest_design, prompt_measures, variance_split
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run
from calib_assets.stats import Bootstrap


def canopy_entropy(run: Run) -> Result:
    """CE, GenPPL, BF, lengths, truncation and its bias, with intervals; what more sampling would buy (METHODS §4)."""
    spec, bootstrap = run.slice("rollout_spec"), Bootstrap()
    measures = prompt_measures(run.scan("rollouts"), spec["max_new_tokens"])
    summary = canopy_summary(
        measures, entropy_ranks=spec["entropy_ranks"], max_new_tokens=spec["max_new_tokens"], bootstrap=bootstrap
    )
    split = variance_split(measures)
    used = run.table("rollouts", "rollout_prompts").filter(pl.col("left_out").is_null())
    design = cheapest_design(
        split,
        summary,
        context_tokens=used["n_context_tokens"].mean(),
        mean_length=measures["mean_length"].mean(),
        relative_se=tuple(run.slice("design_spec")["relative_se"]),
    )
    found = dict(summary.select("measure", "est").iter_rows())
    return Result(
        tables={
            "prompt_measures": measures,
            "canopy_entropy": summary,
            "variance_split": split,
            "design": design,
        },
        numbers={name: found[name] for name in ("canopy_entropy", "gen_ppl", "branching_factor", "truncation_rate")},
    )


NODE = Node(
    key="canopy_entropy",
    axes=("model", "rollout"),
    deps=("rollout_spec", "design_spec", "rollouts"),
    body=canopy_entropy,
    group="canopy",
    description="Canopy entropy, generation perplexity, branching factor, lengths and truncation with prompt-cluster "
    "intervals; the split of the variance and the cheapest design (Paper B §3, §4, Tables 1 and 5).",
)
