"""What must hold of the canopy study's results, as plain functions: asset checks run them, the report prints them."""

import polars as pl

from calib_assets.assets.rule import TOLERANCE, Reader, Rule, Verdict

# Sums of a few thousand float64 numbers in another order.
SUM_TOLERANCE = 1e-6


def rollouts_are_whole(read: Reader) -> Verdict:
    """Every sampled prompt has rollouts 0, 1, …; each has one token and one entropy a step, and their sum as S."""
    rows = read.scan("rollouts", "rollouts")
    steps = pl.col("step_entropy").list
    wrong = rows.filter(
        (pl.col("length") != pl.col("ids").list.len())
        | (pl.col("length") != steps.len())
        | ((pl.col("sequence_entropy") - steps.sum()).abs() > SUM_TOLERANCE)
        | ((pl.col("entropy_rate") * pl.col("length") - pl.col("sequence_entropy")).abs() > SUM_TOLERANCE)
        | (steps.min() < -TOLERANCE)
        | (pl.col("truncated") != (pl.col("finish") == "length"))
    )
    per = rows.group_by("prompt_id", maintain_order=True).agg(
        n=pl.len(), distinct=pl.col("sample").n_unique(), last=pl.col("sample").max()
    )
    counts = per.collect()
    asked = read("rollouts", "rollout_prompts").filter(pl.col("left_out").is_null())["prompt_id"].to_list()
    gaps = counts.filter((pl.col("n") != pl.col("distinct")) | (pl.col("n") != pl.col("last") + 1)).height
    n_wrong = wrong.select(pl.len()).collect().item()
    same = counts["prompt_id"].to_list() == asked and counts["n"].n_unique() == 1
    return Verdict(
        not n_wrong and not gaps and same,
        f"of {counts['n'].sum()} rollouts of {counts.height} prompts: contradict themselves {n_wrong}; prompts with a "
        f"gap {gaps}; prompts asked {len(asked)}",
    )


def entropies_are_bounded(read: Reader) -> Verdict:
    """Canopy entropy is the sum of its two parts; BF and GenPPL are at least 1."""
    found = dict(read("canopy_entropy", "canopy_entropy").select("measure", "est").iter_rows())
    total, parts = found["canopy_entropy"], found["length_driven"] + found["covariance_part"]
    least = min(found["gen_ppl"], found["branching_factor"])
    return Verdict(
        abs(total - parts) <= SUM_TOLERANCE * max(1.0, total) and least >= 1 - TOLERANCE,
        f"canopy entropy {total:.6f}, its parts {parts:.6f}; smaller of GenPPL and BF {least:.6f}",
    )


def trajectories_hold_all_entropy(read: Reader) -> Verdict:
    """Mean entropy × active rollouts sums over positions to the entropy of all rollouts; no rollout comes back."""
    table = read("entropy_trajectories", "entropy_trajectory").sort("position")
    measures = read("canopy_entropy", "prompt_measures")
    along = (table["mean"] * table["active"]).sum()
    total = (measures["canopy_entropy"] * measures["n_rollouts"]).sum()
    rising = (table["active"].diff().drop_nulls() > 0).sum()
    lengths = read("entropy_trajectories", "length_distribution")["n"].sum()
    counted = lengths == measures["n_rollouts"].sum()
    return Verdict(
        abs(along - total) <= SUM_TOLERANCE * max(1.0, total) and not rising and counted,
        f"entropy along positions {along:.6f}, of rollouts {total:.6f}; positions where rollouts come back {rising}; "
        f"lengths counted {lengths}",
    )


def correlations_are_correlations(read: Reader) -> Verdict:
    """Within [−1, 1]; a prompt without a correlation says why."""
    table = read("length_entropy_correlation", "prompt_correlations")
    values = pl.col("pearson", "spearman", "kendall")
    outside = table.filter(pl.any_horizontal(values.abs() > 1 + TOLERANCE)).height
    silent = table.filter(pl.any_horizontal(values.is_null()) & pl.col("reason").is_null()).height
    return Verdict(
        not outside and not silent, f"outside [-1, 1]: {outside}; null without a reason: {silent}; of {table.height}"
    )


def diversity_is_a_distance(read: Reader) -> Verdict:
    """A mean cosine distance lies in [0, 2] and a Vendi score in [1, rollouts]; a prompt without them says why."""
    table = read("semantic_diversity", "prompt_diversity")
    outside = table.filter(
        ~pl.col("embedding_diversity").is_between(0, 2 + TOLERANCE)
        | (pl.col("vendi_score") < 1 - SUM_TOLERANCE)
        | (pl.col("vendi_score") > pl.col("n_embedded") + SUM_TOLERANCE)
    ).height
    silent = table.filter(pl.col("embedding_diversity").is_null() & pl.col("reason").is_null()).height
    return Verdict(
        not outside and not silent, f"outside: {outside}; null without a reason: {silent}; of {table.height}"
    )


def changes_are_differences(read: Reader) -> Verdict:
    """Absolute change = instruct − base, percent change is of |base|, and no interval is turned round."""
    table = read("canopy_comparison", "canopy_comparison")
    if table.is_empty():
        return Verdict(True, "no pair of models")
    known = table.drop_nulls("change")
    apart = known.filter(
        (pl.col("change") - (pl.col("instruct_est") - pl.col("base_est"))).abs()
        > TOLERANCE * (1 + pl.col("base_est").abs() + pl.col("instruct_est").abs())
    ).height
    turned = known.filter(pl.col("change_ci_low") > pl.col("change_ci_high")).height
    return Verdict(
        not apart and not turned, f"of {known.height} changes wrong {apart}, intervals turned round {turned}"
    )


def regression_is_fitted(read: Reader) -> Verdict:
    """A panel with rows has a converged fit; where it has none, a note says why."""
    notes, summary = read("beta_regression", "fit_notes"), read("beta_regression", "fit_summary")
    failed = notes.filter(pl.col("kind") == "not fitted")["text"].to_list() if notes.width else []
    if failed:
        return Verdict(False, failed[0])
    if summary.is_empty():
        return Verdict(True, "the study has no panel")
    return Verdict(bool(summary["converged"].all()), f"log-likelihood {summary['log_likelihood'][0]:.6f}")


CANOPY_RULES = (
    Rule("rollouts", "rollouts_are_whole", "Rollouts are complete and agree with themselves.", rollouts_are_whole),
    Rule("canopy_entropy", "entropies_are_bounded", "CE is the sum of its parts (§3).", entropies_are_bounded),
    Rule(
        "entropy_trajectories",
        "trajectories_hold_all_entropy",
        "Trajectories hold the whole entropy (Figure 2).",
        trajectories_hold_all_entropy,
        reads=("canopy_entropy",),
    ),
    Rule(
        "length_entropy_correlation",
        "correlations_are_correlations",
        "Correlations lie in [-1, 1] (Definition 4).",
        correlations_are_correlations,
    ),
    Rule(
        "semantic_diversity",
        "diversity_is_a_distance",
        "Diversity and Vendi score lie in their ranges.",
        diversity_is_a_distance,
    ),
)
"""Checks on the tables of one model and rollouts row."""
COMPARISON_RULES = (
    Rule("canopy_comparison", "changes_are_differences", "Changes are differences (Table 1).", changes_are_differences),
    Rule("beta_regression", "regression_is_fitted", "The regression has converged.", regression_is_fitted),
)
"""Checks on the tables of the whole study."""
