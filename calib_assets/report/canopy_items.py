"""Catalogue of the canopy study's report: figures and tables of a model and rollout task, in the order of the paper.

To add one, write its figure function or its table function and name it here. An item of a ``part`` is left out where
the rollouts cannot have it, or the study does not ask for it.
"""

from calib_assets import figures
from calib_assets.figures.canopy_parts import CORRELATIONS, SEMANTIC, SIZE
from calib_assets.report import canopy_tables
from calib_assets.report.item import Item

PARTS = {
    "steps": "These rollouts have no step entropies, so there is no trajectory by position.",
    "meaning": "These rollouts have no texts, so there is no semantic diversity.",
    "prompts": "",  # the list of prompts says more only where some were left out
    "judged": "No judge was asked which rollouts mean the same, so there is no semantic entropy.",
}
"""Parts that a model and task may lack, and what the section says without them."""

OPTIONAL = ("prompts", "judged")
"""Parts whose tables need not be listed at all; the others are missing then."""

ASSETS = {
    "rollout_prompts": "rollouts",
    **dict.fromkeys(("prompt_measures", "canopy_entropy", "variance_split", "design"), "canopy_entropy"),
    **dict.fromkeys(("entropy_trajectory", "length_distribution"), "entropy_trajectories"),
    **dict.fromkeys(("prompt_correlations", "length_entropy_correlation"), "length_entropy_correlation"),
    **dict.fromkeys(("prompt_diversity", "semantic_diversity"), "semantic_diversity"),
    **dict.fromkeys(("prompt_semantic_entropy", "semantic_entropy"), "semantic_entropy"),
    **dict.fromkeys(("canopy_models", "canopy_comparison"), "canopy_comparison"),
    **dict.fromkeys(("beta_panel", "panel_left_out"), "beta_panel"),
    **dict.fromkeys(
        ("coefficients", "random_effects", "random_modes", "fit_summary", "fit_notes", "predictions"), "beta_regression"
    ),
    **dict.fromkeys(("residual_tests", "scaled_residuals"), "residual_diagnostics"),
}
"""Table -> the asset that holds it."""


def canopy_items() -> list[Item]:
    """Items in reading order."""
    return [*_size(), *_shape(), *_correlation(), *_meaning(), *_planning()]


def table_names() -> tuple[str, ...]:
    """Names of the tables that a complete section is made of, in order of first use."""
    return tuple(dict.fromkeys(name for entry in canopy_items() for name in entry.needs))


def _size() -> list[Item]:
    parts = ("mean_length", "mean_entropy_rate", "length_driven", "covariance_part")
    shown = (*SIZE, *parts, "truncation_rate", "bias_bound")
    return [
        Item(
            "counts",
            "The rollouts in numbers",
            ("prompt_measures", "length_distribution"),
            canopy_tables.counts,
            "",
            "§5",
        ),
        Item(
            "prompts-left-out",
            "Prompts that were not sampled",
            ("rollout_prompts",),
            lambda table: canopy_tables.reasons(table, "rollout_prompts", "left_out"),
            "They enter no measure.",
            "§5",
            part="prompts",
        ),
        Item(
            "measures",
            "Size of the generation space",
            ("canopy_entropy",),
            lambda table: canopy_tables.summaries(table, "canopy_entropy", shown),
            "Means over rollouts within a prompt, then over prompts; intervals resample prompts. The bound on the "
            "truncation bias says by how much canopy entropy is too small at most.",
            "Counterpart of Tables 1 and 5",
        ),
    ]


def _shape() -> list[Item]:
    return [
        Item(
            "trajectory",
            "Entropy by position",
            ("entropy_trajectory",),
            figures.entropy_trajectories,
            "Mean step entropy over the rollouts that are still active.",
            "Counterpart of Figure 2",
            "Mean step entropy against position with its interval, and the share of active rollouts.",
            "steps",
        ),
        Item(
            "lengths",
            "Lengths",
            ("length_distribution",),
            figures.length_distributions,
            "The end token counts.",
            "Counterpart of Figure 3",
            "Histogram of the lengths of rollouts.",
        ),
        Item(
            "prompts",
            "Variation between and within prompts",
            ("prompt_measures",),
            figures.prompt_variability,
            "Mean of each prompt with one standard deviation of its rollouts.",
            "Counterpart of Figures 4 and 5",
            "Length, entropy rate and entropy of rollouts, prompt by prompt in rising order.",
        ),
    ]


def _correlation() -> list[Item]:
    return [
        Item(
            "correlations",
            "Length and entropy rate",
            ("length_entropy_correlation",),
            lambda table: canopy_tables.summaries(
                table, "length_entropy_correlation", (*CORRELATIONS, "covariance")
            ),
            "Within prompts, then aggregated. Above 0, longer rollouts carry more entropy a token.",
            "Counterpart of Tables 2 and 6",
        ),
        Item(
            "correlations-left-out",
            "Prompts without a correlation",
            ("prompt_correlations",),
            lambda table: canopy_tables.reasons(table, "prompt_correlations"),
            "They enter no aggregate.",
            "Definition 4",
        ),
    ]


def _meaning() -> list[Item]:
    return [
        Item(
            "diversity",
            "Semantic diversity",
            ("semantic_diversity",),
            lambda table: canopy_tables.summaries(table, "semantic_diversity", SEMANTIC),
            "Among the rollouts of a prompt, then the mean over prompts.",
            "§5.2",
            part="meaning",
        ),
        Item(
            "diversity-left-out",
            "Prompts without a semantic diversity",
            ("prompt_diversity",),
            lambda table: canopy_tables.reasons(table, "prompt_diversity"),
            "",
            "§5.2",
            part="meaning",
        ),
        Item(
            "semantic-entropy",
            "Semantic entropy",
            ("semantic_entropy", "prompt_semantic_entropy"),
            canopy_tables.semantic_entropy,
            "Over groups of rollouts that a judge finds alike in both orders. A prompt whose missing verdicts could "
            "change its groups has no value, only bounds.",
            "",
            part="judged",
        ),
    ]


def _planning() -> list[Item]:
    return [
        Item(
            "split",
            "Where the variance comes from",
            ("variance_split",),
            canopy_tables.split,
            "More rollouts of a prompt lessen only the part within prompts.",
            "Theorem 2",
        ),
        Item(
            "design",
            "Prompts and rollouts for a wanted standard error",
            ("design",),
            canopy_tables.design,
            "The cheapest numbers that reach it, given the split above.",
            "Theorem 2",
        ),
    ]
