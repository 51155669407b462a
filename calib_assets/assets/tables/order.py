"""Tables of the order study."""

from calib_assets.assets.tables.table import Table

LABEL = {"kind": "Kind of judge: llm, verifier or local.", "reason": "The judge's words before its scores."}
DEPTHS = {"depth": "Depth of the candidates: 1 is the children of the root."}
MEANS = {
    **DEPTHS,
    "auc": "Mean area under the nodes' frontiers, in [0, 1].",
    "recall_at_precision": "Mean of the nodes' largest recall at precision p0 or better.",
    "recall_ci_low": "Lower end of the 95 % bootstrap interval of recall_at_precision; null where undefined.",
    "recall_ci_high": "Upper end of the 95 % bootstrap interval of recall_at_precision; null where undefined.",
}
CONTINUATION = {"continuation": "greedy or sampled continuations behind the labels."}

TABLES = {
    "prefixes": Table(
        "One repetition: the prompt and the random prefix that the tree starts from.",
        {
            "completion": "How a base model is asked: the text that it completes.",
            "answer_prefix": "Text that every answer begins with.",
            "stop": "Text at which an answer is over.",
            "prefix": "Text of the prefix that the model sampled.",
            "n_prefix_tokens": "Tokens of the prefix.",
            "prefix_ids": "Token ids of the prefix.",
            "response": "The sampled response that it is cut from, as far as a prefix may reach.",
        },
    ),
    "sweep_tree": Table(
        "One swept candidate token.",
        {
            "text": "Text of the token.",
            "log_probability": "ln p(token | context), nats.",
            "path_log_probability": "Sum of log_probability from the root to here, nats.",
            "is_end": "Whether the answer is over after this token.",
        },
    ),
    "sweep_levels": Table(
        "One depth of a repetition's tree: what was kept and what was skipped.",
        {
            "parents": "Nodes that were swept.",
            "candidates": "Their candidates.",
            "kept": "Candidates in the tree.",
            "skipped": "Candidates that the limit of branches left out.",
            "skipped_nodes_below": "Leaves that the skipped ones would have had.",
        },
    ),
    "completions": Table(
        "The greedy completion of one leaf.",
        {
            "completion": "Text behind the leaf.",
            "log_probability": "Sum of ln p over the new tokens, nats.",
            "n_tokens": "Tokens behind the leaf.",
        },
    ),
    "sampled_completions": Table(
        "One sampled continuation of a leaf.",
        {"completion": "Text behind the leaf.", "log_probability": "Sum of ln p over the new tokens, nats."},
    ),
    "judge_labels": Table("What one judge says of one leaf's response.", LABEL),
    "sampled_labels": Table("What one judge says of one sampled continuation.", LABEL),
    "sample_labels": Table("What one judge says of one decoding sample.", LABEL),
    "verdicts": Table(
        "One judge's reply about one distinct response.",
        {
            "truncated": "Whether the response had been cut at its limit.",
            "detail": "Why the status is what it is, or how the reply was got.",
            "prompt_tokens": "Tokens of the question, as the server counts.",
            "completion_tokens": "Tokens of the reply, as the server counts.",
            "cost": "Of the reply, in the currency of the judge's price.",
        },
    ),
    "token_validity": Table(
        "One swept token by one judge: valid if a judged leaf at or below it is.",
        {
            "text": "Text of the token.",
            "log_probability": "ln p(token | context), nats.",
            "n_leaves": "Leaves at or below the token.",
            "n_valid": "Valid leaves at or below the token.",
            "is_uncertain": "Not valid, but a leaf below it lacks a judgment.",
        },
    ),
    "node_curves": Table(
        "One cutoff at one node.",
        {
            **DEPTHS,
            "node": "Parent of the candidates.",
            "k": "Cutoff: how many candidates are kept.",
            "rank": "Rank of the last one kept in the whole vocabulary.",
            "is_frontier": "Whether no other cutoff of the node is better in both.",
        },
    ),
    "node_summaries": Table(
        "One node.",
        {
            **DEPTHS,
            "node": "Parent of the candidates.",
            "n_candidates": "Swept candidates.",
            "n_unlabelled": "Candidates without a label.",
            "n_valid": "Valid candidates.",
        },
    ),
    "depth_frontiers": Table("One recall at one depth: precision over the nodes.", DEPTHS),
    "depth_summaries": Table("One depth.", MEANS),
    "greedy_robustness": Table(
        "One leaf by one judge: the greedy continuation beside the sampled ones.",
        {
            "n_greedy_valid": "1 if the greedy continuation is valid.",
            "n_sampled": "Sampled continuations.",
            "n_sampled_judged": "Of these, with a judgment.",
            "n_sampled_valid": "Of these, valid.",
            "greedy_valid": "Whether the greedy continuation is valid; null without a judgment.",
            "sampled_valid": "Whether any sampled one is valid; null if none is judged.",
        },
    ),
    "robustness_frontiers": Table("As depth_frontiers, from both kinds of continuations.", {**DEPTHS, **CONTINUATION}),
    "robustness_summaries": Table("As depth_summaries, from both kinds of continuations.", {**MEANS, **CONTINUATION}),
    "oracle_tokens": Table(
        "The tokens that the sweep found valid behind one path.",
        {"path": "Token ids from the root.", "tokens": "Ids of the valid next tokens."},
    ),
    "decoding_samples": Table(
        "One sampled answer of one decoding setting.",
        {"text": "What the setting added.", "log_probability": "Sum of ln p over the new tokens, nats."},
    ),
    "sample_embeddings": Table("One distinct sampled response."),
    "decoding_points": Table(
        "One decoding setting by one judge.",
        {
            "validity": "Share of valid among the judged samples; null if none is judged.",
            "n_contexts": "Contexts that the two diversities average over.",
        },
    ),
    "best_decoding": Table(
        "The best setting of a strategy at or above the validity floor, by one measure; nulls where none reaches it.",
        {"value": "Value of the measure.", "validity": "Share of valid among that setting's judged samples."},
    ),
    "judge_pairs": Table(
        "Two judges on the items that both have labelled; b counts as the truth.",
        {
            "judge_a": "Judge that is compared.",
            "judge_b": "Judge that counts as the truth, or the annotators' majority.",
            "n": "Items that both have labelled.",
            "n_valid_a": "Of these, valid by a.",
            "n_valid_b": "Of these, valid by b.",
            "n_resampled": "Repetitions that the items come from: what is resampled.",
            "accuracy": "Share of equal labels.",
            "precision": "Share of b's valid ones among a's.",
            "recall": "Share of a's valid ones among b's.",
            "f1": "Harmonic mean of precision and recall.",
            "kappa": "Cohen's κ.",
        },
    ),
    "annotator_agreement": Table(
        "Agreement of the human annotators on one score.",
        {
            "level": "Level of measurement: interval or nominal.",
            "n_items": "Items with at least two values.",
            "n_annotators": "Annotators that gave at least one.",
            "n_resampled": "Repetitions that the items come from (an item that no judge saw stands alone): what is "
            "resampled.",
            "alpha": "Krippendorff's α; null where undefined.",
        },
    ),
    "model_scaling": Table(
        "One model at one depth of a sweep; depth 0 is all depths together.",
        {
            **MEANS,
            "depth": "Depth of the candidates; 0 is all depths together.",
            "stage": "pre-trained or post-trained.",
        },
    ),
}

HELD = {
    "prefixes": ("prefixes",),
    "sweep_tree": ("sweep_tree", "sweep_levels"),
    "completions": ("completions",),
    "judge_labels": ("judge_labels", "verdicts"),
    "token_validity": ("token_validity",),
    "precision_recall_frontier": ("depth_frontiers", "depth_summaries", "node_curves", "node_summaries"),
    "sampled_completions": ("sampled_completions",),
    "sampled_labels": ("sampled_labels", "verdicts"),
    "greedy_robustness": ("greedy_robustness", "robustness_frontiers", "robustness_summaries"),
    "oracle_tokens": ("oracle_tokens",),
    "decoding_samples": ("decoding_samples",),
    "sample_labels": ("sample_labels", "verdicts"),
    "sample_embeddings": ("sample_embeddings",),
    "decoding_diversity": ("decoding_points", "best_decoding"),
    "judge_agreement": ("judge_pairs", "annotator_agreement"),
    "model_scaling": ("model_scaling",),
}
"""Asset -> its tables, the one it is about first."""
