"""Programs that a speaker writes for problems: the one asset of the coding study that asks it."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from calib_assets.assets.cases.hosted_programs import hosted_answers
from calib_assets.assets.code_in_use import GENERATION_LIBRARIES, model_code, speaker_code
from calib_assets.assets.sample_blocks import SampleBlock, held, missing
from calib_assets.decoding import RULES
from calib_assets.decoding.filtered import Filtered
from calib_assets.metrics.program_text import continued, extracted, has_program, is_over
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.pieces import Pieces
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from calib_assets.study import Study
from calib_assets.study.models import ModelRow
from calib_assets.study.problem_sets import problem_count
from calib_assets.study.problems import Problem, start_of
from calib_assets.study.speaking import ApiModelRow
from resources.language_models import Continuation, LanguageModel, ModelError, Request

CODE_STREAM = 7  # keeps these samples apart from the other draws of a study
PIECE = {
    "sample": pl.Int64,
    "text": pl.String,
    "ids": pl.List(pl.Int32),
    "n_tokens": pl.Int64,
    "finish": pl.String,
    "log_probability": pl.Float64,
    "sequence": pl.String,
}
SCHEMA = {"problem_id": pl.String, **PIECE, "truncated": pl.Boolean, "program": pl.String}
PROBLEMS = {
    "problem_id": pl.String,
    "prompt": pl.String,
    "kind": pl.String,
    "n_context_tokens": pl.Int64,
    "left_out": pl.String,
}


@dataclass(frozen=True)
class Asked:
    """One problem as this speaker is asked it.

    Attributes:
        problem: The problem.
        key: Of what it says (not of its id or tests), in 64 bits: names its random streams and its pieces.
        context_ids: Tokens of the context; empty for an API model.
        left_out: Why no program is sampled for it; empty if one is.
    """

    problem: Problem
    key: int
    context_ids: tuple[int, ...] = ()
    left_out: str = ""


def code_samples(run: Run) -> Result:
    """Sampled programs of every problem (METHODS §3.11); only those that no earlier result had.

    Sample s of a problem depends on the speaker, the question, the sampling and (seed, s). Its log-probability is that
    of the sampled tokens under the model at temperature 1 without truncation, whatever they were sampled with.

    Raises:
        ModelError: If no problem is left, or the model gives NaN.
    """
    spec, wanted = run.slice("coding_spec"), run.slice("coding_count_spec")
    run.slice("coding_questions_spec")  # the questions that the tools read
    row, study = run.row("speaker"), run.context.study
    problems = run.tools["problem_sets"].read(study, run.coordinates["coding"], wanted["max_problems"])
    pieces = run.pieces("coding_questions_spec", "coding_count_spec")
    asked = list(_asked(run, row, problems, spec))
    used = [item for item in asked if not item.left_out]
    if not used:
        raise ModelError(
            f"speaker {row.name!r}, coding {run.coordinates['coding']!r}",
            f"every problem is left out; the first: {asked[0].left_out}",
            "lower max_new_tokens, or take a model with a longer context",
        )
    if isinstance(row, ApiModelRow):
        now, found = None, hosted_answers(run, _prompts(used), CODE_STREAM, wanted["samples"], spec)
    else:
        lacking = [block for item in used for block in missing(item.key, wanted["samples"], pieces)]
        _sample(run, row, {item.key: item for item in used}, lacking, spec, pieces)
        now, found = sum(block.count for block in lacking), _held(used, wanted["samples"], pieces)
    table = pl.concat([pl.DataFrame(schema=SCHEMA), *(_rows(row, item, found[item.key], spec) for item in used)])
    return Result(
        tables={"code_samples": table, "code_problems": _problem_rows(asked)},
        numbers={
            "programs": table.height,
            "sampled now": now,
            "share without a program": table["program"].null_count() / table.height,
            "share truncated": table["truncated"].mean(),
            "problems left out": len(asked) - len(used),
        },
    )


def _prompts(asked: Sequence[Asked]) -> dict[int, str]:
    return {item.key: item.problem.prompt for item in asked}


def _held(asked: Sequence[Asked], count: int, pieces: Pieces) -> dict[int, pl.DataFrame]:
    found = {item.key: held(item.key, count, pieces) for item in asked}
    pieces.prune()
    return found


def _asked(run: Run, row: ModelRow | ApiModelRow, problems: Sequence[Problem], spec: dict) -> Iterator[Asked]:
    before: Counter[str] = Counter()
    for problem in problems:
        said = json.dumps({**problem.question(), "id": None}, sort_keys=True)
        key = int.from_bytes(hashlib.sha256(f"{said} {before[said]}".encode()).digest()[:8], "big")
        before[said] += 1  # the same question twice is two problems
        if isinstance(row, ApiModelRow):
            yield Asked(problem, key)
            continue
        with run.tools["language_models"].open(row, run.context.store.root, problem.answer_prefix) as model:
            context = model.tokenization.context(problem.prompt, start_of(problem)).ids
            yield Asked(problem, key, context, _reason(model, context, spec["max_new_tokens"]))


def _reason(model: LanguageModel, context: Sequence[int], new: int) -> str:
    limit = model.max_positions
    if limit is not None and len(context) + new > limit:
        return f"{len(context)} tokens and {new} new ones exceed the model's {limit} positions"
    return ""


def _sample(
    run: Run, row: ModelRow, asked: dict[int, Asked], blocks: Sequence[SampleBlock], spec: dict, pieces: Pieces
) -> None:
    """Sample the blocks; each is kept from the moment it is finished."""
    say = Progress(f"{row.name} {run.coordinates['coding']}: programs", run.log)
    policy = Filtered.of(spec["temperature"], filters_of(spec))
    for number, block in enumerate(blocks, start=1):
        item = asked[block.key]
        with run.tools["language_models"].open(row, run.context.store.root, item.problem.answer_prefix) as model:
            requests = [Request((), (spec["seed"], item.key, sample, CODE_STREAM)) for sample in block.samples]
            found = model.continuations(
                item.context_ids,
                requests,
                policy,
                spec["max_new_tokens"],
                stop=_stop(model, row, item.problem, spec),
                batch_rows=run.tools["language_models"].batch_rows,
            )
            rows = [_row(model, block.first + answer.index, answer) for answer in found]
        pieces.write(block.name, pl.DataFrame(rows, schema=PIECE).sort("sample"))
        say(number, len(blocks))


def filters_of(spec: dict) -> list[tuple[str, float]]:
    """The row's truncation, top-k before top-p, as transformers applies them."""
    return [(rule, spec[rule]) for rule in ("top_k", "top_p") if spec[rule] is not None]


def _stop(model: LanguageModel, row: ModelRow, problem: Problem, spec: dict) -> Callable | None:
    """Whether the tokens so far hold a whole program, so that what follows cannot change it."""
    if spec["ends_with"] == "answer" or (row.variant != "base" and spec["extraction"] == "whole"):
        return None
    calls, lead = problem.entry_point is not None, _lead(row, problem)

    def stopped(ids: tuple[int, ...]) -> bool:
        text = _text(model, ids)
        return is_over(text, calls, problem.stop) if row.variant == "base" else has_program(lead + text)

    return stopped


def _lead(row: ModelRow, problem: Problem) -> str:
    """The beginning of a chat model's answer that was given to it."""
    return row.answer_prefix + problem.answer_prefix


def _text(model: LanguageModel, ids: Sequence[int]) -> str:
    ends = set(model.tokenization.end_ids)
    return model.tokenization.decode([token for token in ids if token not in ends])


def _row(model: LanguageModel, sample: int, answer: Continuation) -> dict:
    return {
        "sample": sample,
        "text": _text(model, answer.ids),
        "ids": answer.ids,
        "n_tokens": len(answer.ids),
        "finish": answer.finish,
        "log_probability": answer.log_probability,
        "sequence": hashlib.sha256(json.dumps(list(answer.ids)).encode()).hexdigest()[:16],
    }


def _rows(row: ModelRow | ApiModelRow, item: Asked, rows: pl.DataFrame, spec: dict) -> pl.DataFrame:
    """A problem's samples with the program that each holds."""
    programs = [_program(row, item.problem, text, spec["extraction"]) for text in rows["text"]]
    rows = rows.with_columns(
        pl.lit(item.problem.id).alias("problem_id"),
        (pl.col("finish") == "length").alias("truncated"),
        pl.Series("program", programs, dtype=pl.String),
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())


def _program(row: ModelRow | ApiModelRow, problem: Problem, text: str | None, extraction: str) -> str | None:
    if text is None:
        return None
    if isinstance(row, ApiModelRow):
        return extracted(text, extraction)
    if row.variant == "base":
        return continued(start_of(problem), text, problem.entry_point is not None, problem.stop)
    return extracted(_lead(row, problem) + text, extraction)


def _problem_rows(asked: Sequence[Asked]) -> pl.DataFrame:
    rows = [
        (
            item.problem.id,
            item.problem.prompt,
            "stdin" if item.problem.entry_point is None else "call",
            len(item.context_ids),
            item.left_out or None,
        )
        for item in asked
    ]
    return pl.DataFrame(rows, schema=PROBLEMS, orient="row")


def sampling_code(study: Study, cell: Cell) -> list[object]:
    """The class of the model or of what asks the server, and the rule classes that the row samples with."""
    if isinstance(study.speaker(cell[1]), ApiModelRow):
        return speaker_code(study, cell)
    return [*model_code(study, cell[1:]), *(RULES[name] for name, _ in study.coding_row(cell[0]).filters())]


def expected_work(context: Context, cell: Cell) -> Work:
    """Every answer as long as it may get."""
    row = context.study.coding_row(cell[0])
    if isinstance(context.study.speaker(cell[1]), ApiModelRow):
        return Work(0, 0, problem_count(row) * row.samples)
    return Work(problem_count(row) * row.samples * row.max_new_tokens, 0)


NODE = Node(
    key="code_samples",
    axes=("coding", "speaker"),
    deps=("speaker_spec", "coding_spec", "coding_questions_spec", "coding_count_spec"),
    body=code_samples,
    group="cases",
    description="Sampled programs of every problem with their log-probabilities under the whole model at temperature 1 "
    "(Paper A, App. H).",
    dispatches=sampling_code,
    libraries=GENERATION_LIBRARIES,
    work=expected_work,
    pool="gpu",
)
