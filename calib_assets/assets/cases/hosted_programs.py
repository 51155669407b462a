"""Programs of an API model: asked once in the life of a store, with the log-probabilities that its server gives."""

import hashlib
from collections.abc import Mapping

import polars as pl

from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Run
from resources.speakers import Question, Sample, Sampling

FAILED = "failed"  # no answer came: missing, which is not an answer without a program


def hosted_answers(
    run: Run, prompts: Mapping[int, str], stream: int, count: int, spec: dict
) -> dict[int, pl.DataFrame]:
    """Answers of the speaker of this cell, ``count`` of each prompt.

    Args:
        prompts: Key of a problem -> what is asked.
        stream: Of the kind of samples.
        count: Of each.
        spec: How they are sampled; servers take no top-k.

    Returns:
        Key -> rows as ``code_samples`` keeps them in pieces. The log-probability is that of the whole answer, as the
        server tells it, and null where it does not.
    """
    speaker = run.tools["speakers"].open(run.row("speaker"), run.context.store.root)
    questions = [
        Question(text, (spec["seed"], key, sample, stream)) for key, text in prompts.items() for sample in range(count)
    ]
    sampling = Sampling(spec["temperature"], spec["top_p"], spec["top_k"], spec["max_new_tokens"])
    say = Progress(f"{run.row('speaker').name} {run.coordinates['coding']}: programs", run.log)
    answers = iter(speaker.answer(questions, sampling, progress=say))
    return {key: pl.DataFrame([_row(sample, next(answers)) for sample in range(count)]) for key in prompts}


def _row(sample: int, found: Sample) -> dict:
    finish = {"truncated": "length", FAILED: FAILED}.get(found.status, "end")
    return {
        "sample": sample,
        "text": None if found.status == FAILED else found.text,
        "ids": None,
        "n_tokens": found.n_tokens,
        "finish": finish,
        # A server's sum can be a hair above 0 where every token was certain.
        "log_probability": None
        if found.log_probability is None or not found.n_tokens
        else min(found.log_probability, 0.0),
        "sequence": hashlib.sha256(found.text.encode()).hexdigest()[:16],
    }
