"""Tables of the coding study."""

from calib_assets.assets.tables.table import Table

PROBLEM = "Problem, as its set names it."
_MEASURES = {
    "share_passed": "Share of passing programs among those with a verdict, truncated ones too.",
    "order_auroc_samples": "Probability that a random passing sample has a higher log-probability than a failing one; "
    "null where no_order says why.",
    "order_auroc_samples_per_token": "The same with log-probabilities over the number of tokens.",
    "order_auroc_programs": "The same over distinct programs, each with the mass of its sampled sequences.",
    "order_auroc_programs_per_token": "The same over distinct programs, by each one's most probable sequence.",
    "valid_mass_share": "Probability of the distinct passing sequences over that of all complete ones with a verdict.",
    "sampled_mass": "Probability of all distinct complete sequences with a verdict: how much of the model was seen.",
    "effective_passing_programs": "exp(entropy of the distinct passing programs by samples); null if none passes.",
    "effective_passing_programs_by_mass": "exp(entropy of the distinct passing programs by their probability).",
    "top_passing_share": "Share of the most frequent passing program among the passing samples.",
    "top_passing_mass_share": "Share of the most probable passing program in the mass of the passing ones.",
}
_PROBLEMS = {"n_problems": "Problems that enter.", "n_undefined": "Problems in which it is undefined: left out."}
_K = {"k": "Programs tried."}
_SPEAKER = {"speaker": "Model or API model, as the study names it."}
TABLES = {
    "code_samples": Table(
        "One sampled answer to a problem.",
        {
            "problem_id": PROBLEM,
            "text": "The answer as it came, less control tokens.",
            "ids": "Token ids; null for an API model.",
            "n_tokens": "New tokens; null where a server does not say.",
            "log_probability": "Natural log of the probability of the sampled tokens under the whole model at "
            "temperature 1, nats; of an API model as its server says, null where it does not.",
            "sequence": "Digest of the tokens: equal for equal sequences.",
            "program": "The program in it; null if there is none.",
        },
    ),
    "code_problems": Table(
        "One problem as this speaker is asked it.",
        {
            "problem_id": PROBLEM,
            "kind": "call (tests call a function) or stdin (tests read what it prints).",
            "n_context_tokens": "Tokens of the context; 0 for an API model.",
            "left_out": "Why no program is sampled; null if one is.",
        },
    ),
    "code_verdicts": Table(
        "One sampled program against its tests.",
        {
            "problem_id": PROBLEM,
            "kind": "passed, wrong_answer, error, timeout, memory or no_code; null: there is no verdict.",
            "passed": "Whether every test passed; null without a verdict.",
            "tests": "Tests of the problem.",
            "tests_passed": "Tests before the first that failed.",
            "detail": "What went wrong.",
        },
    ),
    "code_calibration": Table(
        "One problem.",
        {
            "problem_id": PROBLEM,
            "n_samples": "Sampled programs.",
            "n_tested": "Of these, with a verdict.",
            "n_passed": "Of these, passing.",
            "n_truncated": "Samples that were cut at the limit: no log-probability of theirs enters.",
            "n_scored": "Complete samples with verdict and log-probability.",
            "n_programs": "Distinct programs, a sequence without one counting for itself.",
            "n_passing_programs": "Distinct passing programs.",
            **_MEASURES,
            "no_order": "Why the order measures are null.",
        },
    ),
    "code_summary": Table("One measure, over problems.", _PROBLEMS),
    "pass_at_k": Table(
        "One problem and k.",
        {
            "problem_id": PROBLEM,
            "k": "Programs tried.",
            "pass_at_k": "Unbiased pass@k; null where k exceeds the samples.",
        },
    ),
    "pass_summary": Table("Mean pass@k over problems.", _K | _PROBLEMS),
    "ranked_programs": Table(
        "One distinct complete sequence of a problem, most probable first.",
        {
            "problem_id": PROBLEM,
            "passed": "Whether its program passes every test.",
            "n_drawn": "How often it was sampled.",
            "share": "Its share in the probability of the problem's distinct sequences.",
            "program": "The program in it, in normal form; null if there is none.",
        },
    ),
    "verdict_kinds": Table("One kind of verdict.", {"kind": "Kind; missing: none.", "n": "Sampled programs."}),
    "code_speakers": Table("One speaker and measure, over problems.", _SPEAKER | _PROBLEMS),
    "pass_speakers": Table("One speaker and k, over problems.", _SPEAKER | _K | _PROBLEMS),
    "code_differences": Table(
        "One speaker and measure: difference to the reference, paired by problem.",
        _SPEAKER | {"reference": "Speaker that is subtracted."} | _PROBLEMS,
    ),
}

HELD = {
    "code_samples": ("code_samples", "code_problems"),
    "code_verdicts": ("code_verdicts",),
    "code_calibration": (
        *("code_calibration", "code_summary", "pass_at_k", "pass_summary"),
        *("ranked_programs", "verdict_kinds"),
    ),
    "code_comparison": ("code_speakers", "pass_speakers", "code_differences"),
}
"""Asset -> its tables, the one it is about first."""
