"""Answers to one question, sampled many times of one speaker: independently, and in conversations."""

from collections.abc import Iterator
from dataclasses import asdict

import polars as pl

from calib_assets.assets.cases.kept_speaker import KeptSpeaker
from calib_assets.assets.code_in_use import GENERATION_LIBRARIES, speaker_code
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from calib_assets.study.models import ModelRow
from calib_assets.study.speaking import ApiModelRow
from resources.speakers import Exchange, Question, Sample, Sampling, Speaker

COLLAPSE_STREAM = 8  # keeps these samples apart from the other draws of a study
SAMPLES = {
    "setting": pl.String,
    "conversation": pl.Int64,
    "turn": pl.Int64,
    "status": pl.String,
    "text": pl.String,
    "finish": pl.String,
    "log_probability": pl.Float64,
    "n_tokens": pl.Int64,
    "token_logprobs": pl.String,
    "detail": pl.String,
}
REQUEST = {
    "samples": pl.Int64,
    "turns": pl.Int64,
    "conversations": pl.Int64,
    "max_missing_share": pl.Float64,
}
UNASKED = Sample("failed", detail="an earlier turn of this conversation has no answer")


class TooManyMissing(RuntimeError):
    """More answers never came than the row allows; those that came are kept, and a rerun asks for the others."""


def answer_samples(run: Run) -> Result:
    """Every answer as it came (METHODS §3.11): what an API model says cannot be made again, so this is the artifact.

    Raises:
        TooManyMissing: If the share of answers that never came exceeds the row's `max_missing_share`.
    """
    spec, wanted = run.slice("collapse_spec"), run.slice("collapse_count_spec")
    row, history = run.row("speaker"), wanted["history"] or {"turns": 0, "conversations": 0}
    speaker = opened(run, row, spec["answer_prefix"])
    sampling = Sampling(spec["temperature"], spec["top_p"], None, spec["max_new_tokens"], line=True)
    rows = list(_independent(run, speaker, sampling, spec, wanted["samples"]))
    rows += _conversations(run, speaker, sampling, spec, **history)
    table = pl.DataFrame(rows, schema=SAMPLES)
    missing = table.filter(pl.col("status") == "failed")
    if missing.height > wanted["max_missing_share"] * table.height:
        raise TooManyMissing(
            f"{row.name!r}, collapse {run.coordinates['collapse']!r}: {missing.height:,} of {table.height:,} answers "
            f"never came, and max_missing_share is {wanted['max_missing_share']:g}; the first: "
            f"{missing['detail'][0]}; what came is kept: see to the server and refresh again, or allow a larger share"
        )
    request = pl.DataFrame([{**wanted, **history}], schema=REQUEST)
    counts = dict(table["status"].value_counts().iter_rows())
    return Result({"answer_samples": table, "answer_request": request}, numbers={"answers": table.height, **counts})


def opened(run: Run, row: ModelRow | ApiModelRow, answer_prefix: str) -> Speaker:
    """The speaker; one with weights here has its answers kept as pieces."""
    speaker = run.tools["speakers"].open(row, run.context.store.root, answer_prefix)
    return speaker if isinstance(row, ApiModelRow) else KeptSpeaker(speaker, run.pieces("collapse_count_spec"))


def _independent(run: Run, speaker: Speaker, sampling: Sampling, spec: dict, count: int) -> Iterator[dict]:
    streams = [(spec["seed"], COLLAPSE_STREAM, 0, sample) for sample in range(count)]
    questions = [Question(spec["prompt"], stream, spec["completion"]) for stream in streams]
    samples = speaker.answer(questions, sampling, Progress(f"{'|'.join(run.cell)}: answers", run.log))
    for turn, sample in enumerate(samples):
        yield _row("independent", None, turn, sample)


def _conversations(
    run: Run, speaker: Speaker, sampling: Sampling, spec: dict, turns: int, conversations: int
) -> list[dict]:
    """The same question turn by turn; a conversation whose answer never came cannot go on."""
    rows, histories = [], {number: () for number in range(conversations)}
    progress = Progress(f"{'|'.join(run.cell)}: turns of conversations", run.log)
    for turn in range(turns):
        questions = [
            Question(spec["prompt"], (spec["seed"], COLLAPSE_STREAM, 1, number, turn), spec["completion"], said)
            for number, said in histories.items()
        ]
        samples = dict(zip(histories, speaker.answer(questions, sampling), strict=True))
        rows += [_row("history", number, turn, samples.get(number, UNASKED)) for number in range(conversations)]
        histories = {
            number: (*said, Exchange(spec["prompt"], samples[number].text))
            for number, said in histories.items()
            if samples[number].status != "failed"
        }
        progress(turn + 1, turns)
    return rows


def _row(setting: str, conversation: int | None, turn: int, sample: Sample) -> dict:
    said = {name: value for name, value in asdict(sample).items() if name in SAMPLES}
    return {"setting": setting, "conversation": conversation, "turn": turn, **said}


def expected_work(context: Context, cell: Cell) -> Work:
    """Every answer as long as it may get; of an API model the number of requests."""
    collapse, speaker = cell
    row = context.study.collapse_row(collapse)
    if isinstance(context.study.speaker(speaker), ApiModelRow):
        return Work(0, 0, api_calls=row.calls)
    return Work(row.calls * row.max_new_tokens, 0)


NODE = Node(
    key="answer_samples",
    axes=("collapse", "speaker"),
    deps=("speaker_spec", "collapse_spec", "collapse_count_spec"),
    body=answer_samples,
    group="cases",
    description="One question asked many times, independently and in conversations: every answer as it came (Paper A, "
    "App. G).",
    dispatches=speaker_code,
    libraries=GENERATION_LIBRARIES,
    work=expected_work,
    pool="gpu",
)
