"""Tables of answer collapse."""

from calib_assets.assets.tables.table import Table

SETTING = "independent (asked anew each time) or history (asked again in a conversation)."
MATCHING = "Which answers are one: strict (equal but for outer white space), lenient (also but for case and full stop)."
MEASURE = {
    "setting": SETTING,
    "matching": MATCHING,
    "ci_low": "Lower end of the 95 % interval (exact binomial for shares of independent answers; else of the "
    "bootstrap: percentiles for shares, estimate ± z·se for collisions); null where there is none: of entropies and "
    "effective numbers, since what was never seen may be anything.",
    "ci_high": "Upper end of the 95 % interval (exact binomial for shares of independent answers; else of the "
    "bootstrap: percentiles for shares, estimate ± z·se for collisions); null where there is none: of entropies and "
    "effective numbers, since what was never seen may be anything.",
}

TABLES = {
    "answer_samples": Table(
        "One answer, as it came.",
        {
            "setting": SETTING,
            "conversation": "Number of the conversation, from 0; null for an independent answer.",
            "turn": "Number of the answer, from 0, in its conversation or among the independent ones.",
            "status": "ok, empty, truncated (cut at the limit), refused, or failed (no answer came: it is missing).",
            "finish": "Why the answer ended, in the words of the model or the server.",
            "log_probability": "Sum of ln p over its tokens, nats: under the model at temperature 1 for a local "
            "model, as the server says for an API model; null where that is unknown.",
            "n_tokens": "Tokens of the answer; null where that is unknown.",
            "token_logprobs": "JSON list of the server's ln p of each token, nats; empty where there are none.",
            "detail": "Why the status is what it is.",
        },
    ),
    "answer_request": Table(
        "What was asked for.",
        {
            "samples": "Independent answers.",
            "turns": "Answers of one conversation.",
            "conversations": "Conversations.",
            "max_missing_share": "Largest share of answers that may be missing.",
        },
    ),
    "answer_collapse": Table("One measure of one setting.", MEASURE),
    "answer_counts": Table(
        "One answer with its count.",
        {
            "setting": SETTING,
            "matching": MATCHING,
            "answer": "The answer as it was written most often.",
            "count": "How often it came.",
            "share": "Its share of all answers of the setting.",
            "listed": "Whether it is on the list of valid answers; null without a list.",
        },
    ),
    "answer_outcomes": Table(
        "What so many samples of a setting came to.",
        {
            "setting": SETTING,
            "outcome": "answered, empty, truncated, refused, or failed (it never came).",
            "count": "Samples.",
            "share": "Their share of the setting's samples.",
        },
    ),
    "collapse_comparison": Table(
        "One measure of one speaker and setting.",
        {
            **MEASURE,
            "speaker": "Model or API model, as the study names it.",
            "api": "Whether it is a model behind a server.",
        },
    ),
}
HELD = {
    "answer_samples": ("answer_samples", "answer_request"),
    "answer_collapse": ("answer_collapse", "answer_counts", "answer_outcomes"),
    "collapse_comparison": ("collapse_comparison",),
}
"""Asset -> its tables, the one it is about first."""
