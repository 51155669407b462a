"""Samples of every decoding strategy from the same contexts, the oracle filter of the first steps among them."""

from collections.abc import Iterator
from functools import partial

import polars as pl

from calib_assets.assets.code_in_use import GENERATION_LIBRARIES
from calib_assets.assets.order.judging import judged, judging_work, sweep_judges
from calib_assets.assets.order.speaking import Speaker, rules_code, speaking
from calib_assets.decoding import Unrestricted
from calib_assets.decoding.filtered import Filtered
from calib_assets.decoding.panel import Panel
from calib_assets.decoding.policy import Policy, Restricted, Sampled
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from resources.judges import Item
from resources.language_models import Continuation, Request

ORACLE = "oracle_filter"
SAMPLE_STREAM = 4  # keeps these samples apart from the other draws of a repetition
SCHEMA = {
    "seed": pl.Int64,
    "strategy": pl.String,
    "parameter": pl.Float64,
    "temperature": pl.Float64,
    "sample": pl.Int64,
    "item": pl.String,
    "prompt": pl.String,
    "response": pl.String,
    "answers": pl.List(pl.String),
    "pattern": pl.String,
    "lead": pl.String,
    "text": pl.String,
    "ids": pl.List(pl.Int64),
    "finish": pl.String,
    "log_probability": pl.Float64,
}


def decoding_samples(run: Run) -> Result:
    """Samples of each strategy × parameter × temperature (METHODS §3.8); no rows where the sweep does not ask.

    A context below which the sweep found no valid token is left out for every strategy, and counted. Sample s uses the
    same random numbers in every setting, so settings differ by their rules alone.
    """
    spec, limit = run.slice("comparison_spec")["decoding"], run.slice("completion_spec")["max_new_tokens"]
    parts, without = [pl.DataFrame(schema=SCHEMA)], 0
    if spec is not None:
        starts = run.table("prefixes")
        starts = starts.head(spec["seeds"] or starts.height)
        say = Progress(f"{run.model} {run.sweep}: contexts sampled", run.log)
        for done, start in enumerate(starts.iter_rows(named=True), start=1):
            # Where the sweep found no valid token the oracle can say nothing: strategies are compared where it can.
            if allowed := _allowed(run, start["seed"]):
                sample = partial(_context, run, start, spec, limit, allowed)
                parts.append(run.part(f"context-{start['seed']}", sample)["rows"])
            without += not allowed
            say(done, starts.height)
    table = pl.concat(parts)
    return Result(
        tables={"decoding_samples": table},
        numbers={
            "samples": table.height,
            "settings": table.select("strategy", "parameter", "temperature").n_unique(),
            "contexts left out, no valid token was found": without,
        },
    )


def _allowed(run: Run, seed: int) -> dict[tuple[int, ...], list[int]]:
    """Path -> the valid tokens after it, for the first steps below one context."""
    oracle = run.table("oracle_tokens").filter(pl.col("seed") == seed)
    return {tuple(path): tokens for path, tokens in oracle.select("path", "tokens").iter_rows()}


def _context(run: Run, start: dict, spec: dict, limit: int, allowed: dict) -> dict[str, pl.DataFrame]:
    settings = list(_settings(spec, allowed))
    wanted = [(number, sample) for number in range(len(settings)) for sample in range(spec["samples"])]
    rows = {}
    with speaking(run, start) as speaker:
        found = speaker.model.continuations(
            speaker.context_ids,
            [Request((), (start["seed"], sample, SAMPLE_STREAM, number)) for number, sample in wanted],
            Panel(tuple(policy for *_, policy in settings)),
            limit,
            stop=speaker.stopped if speaker.prompt.stop else None,
        )
        for answer in found:
            number, sample = wanted[answer.index]
            strategy, parameter, temperature, _ = settings[number]
            setting = {"strategy": strategy, "parameter": parameter, "temperature": temperature, "sample": sample}
            rows[answer.index] = {"seed": start["seed"], **setting, **_row(speaker, answer)}
    return {"rows": pl.DataFrame([rows[index] for index in sorted(rows)], schema=SCHEMA)}


def _row(speaker: Speaker, answer: Continuation) -> dict:
    response = speaker.response(answer.ids)
    return {
        "item": Item(speaker.prompt.prompt, response).digest,
        "prompt": speaker.prompt.prompt,
        "response": response,
        "answers": speaker.prompt.answers,
        "pattern": speaker.prompt.pattern,
        "lead": speaker.lead,
        "text": speaker.model.tokenization.decode(answer.ids),
        "ids": answer.ids,
        "finish": answer.finish,
        "log_probability": answer.log_probability,
    }


def _settings(spec: dict, allowed: dict) -> Iterator[tuple[str, float | None, float, Policy]]:
    for name, parameter in spec["settings"]:
        for temperature in spec["temperatures"]:
            yield name, parameter, temperature, Filtered.of(temperature, [(name, parameter)])
    for temperature in spec["temperatures"]:
        yield ORACLE, None, temperature, Restricted(allowed, Sampled(Unrestricted(), temperature))


def sample_labels(run: Run) -> Result:
    """The judges' labels of the samples."""
    keys = ["seed", "strategy", "parameter", "temperature", "sample"]
    return judged(run, run.table("decoding_samples"), keys, "sample_labels")


def sampling_work(context: Context, cell: Cell) -> Work:
    """Every sample, as long as one may get."""
    row = context.study.sweep(cell[1])
    return Work(row.compared_samples * row.max_new_tokens, 0)


def labelling_work(context: Context, cell: Cell) -> Work:
    """Every sample, by each judge."""
    row = context.study.sweep(cell[1])
    return judging_work(context, row, row.compared_samples, row.prefix.max_tokens + row.max_new_tokens)


SAMPLES = Node(
    key="decoding_samples",
    axes=("model", "sweep"),
    deps=("model_spec", "completion_spec", "comparison_spec", "prefixes", "oracle_tokens"),
    body=decoding_samples,
    group="order",
    description="Samples of every rule, parameter and temperature from the sweep's contexts, and of the oracle filter "
    "that allows only valid tokens in the first steps (Paper A §4.3, Table 1).",
    dispatches=rules_code,
    libraries=GENERATION_LIBRARIES,
    work=sampling_work,
    pool="gpu",
)
LABELS = Node(
    key="sample_labels",
    axes=("model", "sweep"),
    deps=("judge_spec", "decoding_samples"),
    body=sample_labels,
    group="order",
    description="The judges' labels of the samples of every decoding strategy (Paper A §4.3, Table 1).",
    dispatches=sweep_judges,
    libraries=GENERATION_LIBRARIES,
    work=labelling_work,
    pool="judge",
)
