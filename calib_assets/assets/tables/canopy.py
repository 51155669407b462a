"""Tables of the canopy study."""

from calib_assets.assets.tables.table import Table

TABLES = {
    "rollouts": Table(
        "One sampled answer.",
        {
            "step_entropy": "Entropy of each step over the most likely tokens, nats.",
            "log_probability": "Sum of ln p over the tokens under the model at temperature 1, nats.",
        },
    ),
    "rollout_prompts": Table(
        "One prompt.",
        {
            "n_context_tokens": "Tokens of the context that the model continues.",
            "left_out": "Why the prompt is not sampled; null if it is.",
        },
    ),
    "canopy_entropy": Table("One measure of the cell, over prompts."),
    "prompt_measures": Table(
        "One prompt: means and variances over its rollouts.",
        {
            "mean_length": "Mean length, tokens.",
            "mean_entropy_rate": "Mean entropy rate, nats per token.",
            "var_sequence_entropy": "Variance of the sequence entropy, nats²; null with one rollout.",
            "var_length": "Variance of the length, tokens²; null with one rollout.",
            "var_entropy_rate": "Variance of the entropy rate, (nats per token)²; null with one rollout.",
            "truncation_rate": "Share of rollouts that were cut at the limit; null where that is not known.",
            "tail_ended": "Rollouts that ended by themselves in the last quarter before the limit.",
            "tail_exposure": "Steps that rollouts made there.",
        },
    ),
    "variance_split": Table(
        "One measure: variance between prompts and within them.",
        {
            "n_rollouts": "Harmonic mean of the rollouts of a prompt.",
            "between": "Variance between prompts, the measure's unit squared.",
            "within": "Variance within prompts, the measure's unit squared.",
            "floored": "Whether the variance between prompts was set to 0 because its estimate was negative.",
        },
    ),
    "design": Table(
        "The cheapest design that reaches a wanted standard error.",
        {
            "relative_se": "Wanted standard error as a share of the estimate.",
            "wanted_se": "Wanted standard error, in the measure's unit.",
            "prompts": "Prompts to ask.",
            "rollouts": "Rollouts of each.",
            "forward_tokens": "Tokens that pass through the model in that design.",
            "reason": "Why there is none, or why it is too hopeful; null if neither.",
        },
    ),
    "entropy_trajectory": Table(
        "One position of the answers.",
        {
            "mean": "Mean step entropy over the rollouts that reach the position, nats.",
            "active": "Rollouts that reach it.",
            "active_share": "Their share.",
        },
    ),
    "length_distribution": Table(
        "One length.",
        {"n": "Rollouts of this length.", "n_truncated": "Of these, cut at the limit; null where that is not known."},
    ),
    "length_entropy_correlation": Table("One measure of the cell, over prompts."),
    "prompt_correlations": Table("One prompt."),
    "rollout_embeddings": Table("One rollout.", {"embedding": "Embedding of its text, length 1; null with a reason."}),
    "semantic_diversity": Table("One measure of the cell, over prompts."),
    "prompt_diversity": Table("One prompt.", {"n_embedded": "Rollouts that have an embedding and enter."}),
    "similarity_labels": Table(
        "One pair of a prompt's rollouts, in one order.",
        {
            "first": "Number of the first rollout.",
            "second": "Number of the second rollout.",
            "score": "How surely the two mean the same, 0 to 100.",
            "reason": "The judge's words before its score.",
        },
    ),
    "drawn_rollouts": Table("One rollout that was drawn for comparison."),
    "semantic_entropy": Table("One measure of the cell, over prompts."),
    "prompt_semantic_entropy": Table(
        "One prompt: entropy over groups of rollouts with one meaning.",
        {
            "n_rollouts": "Rollouts that were compared.",
            "n_pairs": "Pairs of them.",
            "n_missing": "Pairs without a judgment.",
            "n_clusters": "Groups of one meaning; null where missing pairs leave it open.",
            "semantic_entropy": "Relaxed semantic entropy, nats; null where missing pairs leave it open.",
            "semantic_entropy_low": "Its lower end, whatever the missing pairs are, nats.",
            "semantic_entropy_high": "Its upper end, whatever the missing pairs are, nats.",
            "normalised": "Semantic entropy / ln of the number of rollouts.",
        },
    ),
    "canopy_comparison": Table(
        "One measure of a base model and its instruct model, paired by prompt.",
        {
            "base": "The base model.",
            "instruct": "The instruct model.",
            "base_est": "Estimate for base; entropies in nats.",
            "instruct_est": "Estimate for instruct; entropies in nats.",
            "change": "instruct − base.",
            "percent_change": "Change in percent of |base|; null where base is 0.",
            "n_prompts": "Prompts with a value in both.",
            "n_left_out": "Prompts with a value in one only, or undefined in one.",
        },
    ),
    "canopy_models": Table("One measure of one model and kind of prompts."),
    "beta_panel": Table(
        "One prompt and model: what the regression is fitted to.",
        {
            "D": "Semantic diversity: mean pairwise cosine distance of the rollouts, at most 1.",
            "R_bar": "Mean entropy rate, nats per token.",
            "N_bar": "Mean length, tokens.",
            "M": "Rollouts behind R_bar and N_bar; D is of those with an embedding.",
            "R_sc": "z-score of R_bar.",
            "invN_sc": "z-score of 1 / N_bar.",
            "D_beta": "D moved off 0 and 1, where the beta density is not finite.",
            "is_clipped": "Whether D was moved.",
        },
    ),
    "panel": Table(
        "As beta_panel, for panels that were made elsewhere.",
        {
            "D": "Semantic diversity: mean pairwise cosine distance of the rollouts, at most 1.",
            "R_bar": "Mean entropy rate, nats per token.",
            "N_bar": "Mean length, tokens.",
            "M": "Rollouts behind the row.",
        },
    ),
    "panel_left_out": Table("Rows that are not in the panel, by reason.", {"n": "Rows."}),
    "coefficients": Table(
        "One coefficient of the regression.",
        {
            "part": "mean (logit link) or precision (log link).",
            "term": "Term of the formula.",
            "estimate": "Estimate on the scale of the link; null for a term that was left out, see note.",
            "se": "Standard error.",
            "z": "Estimate / standard error.",
        },
    ),
    "random_effects": Table(
        "One grouping factor.",
        {
            "group": "The factor.",
            "n_levels": "Its levels.",
            "variance": "Variance of the random intercepts, on the scale of the link.",
            "sd": "Its root.",
            "log_sd": "Natural log of sd.",
            "log_sd_se": "Standard error of log_sd.",
            "is_singular": "Whether the variance is at its limit, 0.",
        },
    ),
    "random_modes": Table(
        "One level of a grouping factor.",
        {"group": "The factor.", "level": "The level.", "mode": "Mode of its random intercept, on the link's scale."},
    ),
    "fit_summary": Table(
        "The fit.",
        {
            "n_rows": "Rows that were fitted.",
            "n_dropped_rows": "Rows left out because a column is null.",
            "n_parameters": "Estimated parameters.",
            "log_likelihood": "Log-likelihood (Laplace), nats.",
            "aic": "Akaike's criterion.",
            "bic": "Bayesian criterion.",
            "converged": "Whether the search ended at a maximum.",
            "iterations": "Steps of the search.",
            "max_gradient": "Largest entry of the gradient at the end.",
            "condition": "Condition number of the Hessian.",
        },
    ),
    "fit_notes": Table("What there is to know about the fit.", {"kind": "What it is about.", "text": "In words."}),
    "predictions": Table(
        "One row of the panel.",
        {
            "mu": "Predicted mean with the random intercepts.",
            "mu_population": "Predicted mean at random intercepts of 0.",
            "phi": "Predicted precision φ.",
        },
    ),
    "residual_tests": Table(
        "One test of the scaled residuals.",
        {
            "kind": "unconditional, conditional or closed_form (docs/regression.md).",
            "test": "uniformity, dispersion or outliers.",
            "statistic": "Statistic of the test.",
            "n": "Rows.",
            "n_simulations": "Simulations; null for the closed form.",
            "detail": "In words.",
        },
    ),
    "scaled_residuals": Table(
        "One row of the panel.",
        {
            "kind": "unconditional, conditional or closed_form (docs/regression.md).",
            "row": "Row of the panel.",
            "fitted": "Predicted population mean.",
            "residual": "Scaled residual, uniform on [0, 1] if the model is right.",
        },
    ),
}

MEASURED = (
    "canopy_entropy",
    "prompt_measures",
    "entropy_trajectory",
    "length_distribution",
    "length_entropy_correlation",
    "prompt_correlations",
    "semantic_diversity",
    "prompt_diversity",
)
HELD = {
    "rollouts": ("rollouts", "rollout_prompts"),
    "canopy_entropy": ("canopy_entropy", "prompt_measures", "variance_split", "design"),
    "entropy_trajectories": ("entropy_trajectory", "length_distribution"),
    "length_entropy_correlation": ("length_entropy_correlation", "prompt_correlations"),
    "rollout_embeddings": ("rollout_embeddings",),
    "semantic_diversity": ("semantic_diversity", "prompt_diversity"),
    "similarity_labels": ("similarity_labels", "drawn_rollouts"),
    "semantic_entropy": ("semantic_entropy", "prompt_semantic_entropy"),
    "external_data": (*MEASURED, "panel"),
    "canopy_comparison": ("canopy_comparison", "canopy_models"),
    "beta_panel": ("beta_panel", "panel_left_out"),
    "beta_regression": ("coefficients", "random_effects", "random_modes", "fit_summary", "fit_notes", "predictions"),
    "residual_diagnostics": ("residual_tests", "scaled_residuals"),
}
"""Asset -> its tables, the one it is about first."""
