"""Tables of the shape study."""

from calib_assets.assets.tables.table import Table

STEPS = Table("One decoding setting and step of the answer: the factors of Theorem E.1.")

TABLES = {
    "answers": Table("One answer of the task.", {"text": "The answer as it is spelled."}),
    "vocabulary": Table("One row of the logits.", {"text": "Text of the token; empty for rows that pad the logits."}),
    "conditional_calibration": Table(
        "One context of the valid set, at temperature 1.",
        {
            "n_valid": "Valid next tokens.",
            "order_auroc": "Probability that a valid token is ranked above an invalid one; null where all are valid.",
            "average_precision": "Mean precision at the ranks of the valid tokens.",
            "precision_at_n_valid": "Precision of the top n_valid tokens.",
            "last_valid_rank": "Rank of the least likely valid token.",
            "is_order_calibrated": "Whether no invalid token is more likely than a valid one.",
            "shape_divergence": "KL divergence of the valid tokens' distribution from the one that makes all answers "
            "equally likely, nats; null where continuations are not all known.",
            "effective_support": "exp(entropy over the valid tokens) / their number: 1 if all are equally likely.",
            "valid_mass": "Probability of the valid tokens together.",
            "entropy": "Entropy of the whole conditional, nats.",
            "vocab": "Tokens of the conditional.",
        },
    ),
    "conditional_ranks": Table(
        "One token of a shown context: the first ranks and every valid one.",
        {"n_continuations": "Valid sequences behind the token; 0 for an invalid one.", "is_valid": "Valid or not."},
    ),
    "mass_by_temperature": Table(
        "One kind of token of a shown context at one temperature.",
        {"group": "frequent valid, rare valid or invalid tokens.", "mass": "Their probability together."},
    ),
    "decoding_sweep": Table(
        "One decoding setting, exactly.",
        {
            "validity_upper": "Val plus the mass of contexts that were not explored.",
            "retained_mean": "Mean number of retained tokens over contexts.",
        },
    ),
    "steps": STEPS,
    "validity_diversity_frontier": Table("One Pareto-optimal setting of a rule."),
    "best_diversity": Table(
        "The most diverse setting of a rule at or above a validity floor; nulls where none reaches it."
    ),
    "calibration_gap": Table(
        "One validity floor: how much of the lost diversity is order, how much is shape.",
        {
            "oracle_diversity": "Best Div of the cutoff oracle.",
            "oracle_temperature": "Temperature of that setting.",
            "best_rule": "The most diverse practical rule.",
            "best_rule_diversity": "Its Div.",
            "best_rule_parameter": "Its parameter.",
            "best_rule_temperature": "Its temperature.",
            "order_gap": "1 − Div of the cutoff oracle.",
            "shape_gap": "Div of the cutoff oracle − Div of the best practical rule.",
        },
    ),
    "sequence_probabilities": Table(
        "One answer at one temperature, and one row (answer -1) for all invalid outputs together.",
        {
            "rank": "Rank of the answer; null for the invalid outputs.",
            "text": "The answer, or (invalid).",
            "probability": "Probability of the answer at this temperature, without truncation.",
            "log_probability": "Natural log of it, nats; null where nothing is left to the invalid outputs.",
        },
    ),
    "leaked_mass": Table(
        "One temperature without truncation.",
        {
            "valid": "Probability that reaches a valid answer.",
            "open": "Probability that stays on contexts which were not explored.",
            "leaked": "Probability that leaves the valid set.",
        },
    ),
    "sequence_precision_recall": Table("One setting of a rule; temperatures that change nothing are listed once."),
    "theory_e3": Table(
        "Theorem E.3 for one η and δ.",
        {
            "eta": "Precision loss η of a hard step, nats.",
            "rho": "Certified recall loss ρ of these steps, nats; infinite where no strategy meets η there.",
            "hard_steps": "Steps that are (η, ρ)-hard.",
            "delta": "Sequence precision is at least 1 − δ.",
            "bound": "Upper bound on sequence recall (Theorem E.3).",
            "measured_best_recall": "Best recall of a measured rule at that precision; null where none reaches it.",
            "recall_ceiling": "Certified upper bound on the recall of every cutoff strategy.",
        },
    ),
    "theory_f4": Table(
        "One temperature without truncation: Theorem F.4 beside the measurement.",
        {
            "epsilon": "1 − Val, rounded up.",
            "bound_f4": "Bound on Div of Theorem F.4.",
            "bound_f5": "Bound on Div of Corollary F.5.",
            "bound_finite_vocabulary": "Theorem F.4 corrected for a finite vocabulary (docs/papers.md).",
            "branching_length": "m: steps with more than one valid token, end tokens counted once (Assumption 5.1).",
            "assumption_holds": "Whether Assumption 5.1 holds for this task.",
        },
    ),
    "logit_fits": Table(
        "The piecewise fit of one conditional's sorted logits: m k + b up to rank c, A + B ln(k + C) behind it.",
        {
            "m": "Slope of the head, nats per rank.",
            "b": "Intercept of the head, nats.",
            "c": "Last rank of the head.",
            "A": "Level of the tail, nats.",
            "B": "Slope of the tail, nats.",
            "C": "Shift of the tail, ranks.",
            "mse": "Mean squared residual over all ranks, nats².",
            "r2": "R² over all ranks.",
            "head_r2": "R² within the head.",
            "tail_r2": "R² within the tail.",
            "geometric_rate": "λ of the head, −m.",
            "zipf_exponent": "Exponent of the tail, −B.",
        },
    ),
    "logit_fit_curves": Table("One rank of a fitted conditional (thinned).", {"fitted": "Fitted logit, nats."}),
}

HELD = {
    "exact_logit_cache": ("vocabulary", "answers"),
    "conditional_calibration": ("conditional_calibration", "conditional_ranks", "mass_by_temperature"),
    "decoding_sweep": ("decoding_sweep", "steps"),
    "validity_diversity_frontier": ("validity_diversity_frontier", "best_diversity"),
    "calibration_gap": ("calibration_gap",),
    "sequence_probabilities": ("sequence_probabilities", "leaked_mass"),
    "sequence_precision_recall": ("sequence_precision_recall", "steps"),
    "theory_bounds": ("theory_f4", "theory_e3"),
    "logit_fits": ("logit_fits", "logit_fit_curves"),
}
"""Asset -> its tables, the one it is about first."""
