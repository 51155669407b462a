"""Where each repetition of a sweep starts: a random prompt, and a random prefix of a sampled response."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from calib_assets.assets.code_in_use import GENERATION_LIBRARIES, model_code
from calib_assets.assets.order.speaking import (
    PROMPT_COLUMNS,
    Speaker,
    prompt_columns,
    speaking,
)
from calib_assets.decoding import Unrestricted
from calib_assets.decoding.policy import Sampled
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.run import Result, Run
from calib_assets.study.prompts import Prompt
from resources.language_models import Request

PROMPT_STREAM, CUT_STREAM = 1, 2  # keep the two draws of a repetition apart


def prefixes(run: Run) -> Result:
    """One context for each repetition (METHODS §3.1): uniform over the prompts; the cut is uniform over its range."""
    spec, study = run.slice("prefix_spec"), run.context.study
    prompts = run.tools["prompt_sets"].read(study, study.sweep(run.sweep).prompts)
    rows = [_prefix(run, spec, seed, prompts) for seed in range(spec["seeds"])]
    table = pl.DataFrame(rows, schema_overrides={**PROMPT_COLUMNS, "prefix_ids": pl.List(pl.Int64)})
    return Result(
        tables={"prefixes": table},
        numbers={
            "repetitions": table.height,
            "distinct prompts": table["prompt_id"].n_unique(),
            "mean prefix tokens": table["n_prefix_tokens"].mean(),
        },
    )


def _prefix(run: Run, spec: dict, seed: int, prompts: Sequence[Prompt]) -> dict:
    draw = np.random.default_rng([spec["seed"], seed, PROMPT_STREAM])
    prompt, cut = prompts[draw.integers(len(prompts))], spec["prefix"]
    columns = prompt_columns(prompt)
    with speaking(run, {**columns, "prefix_ids": ()}) as speaker:
        ids = _response(speaker, cut, (spec["seed"], seed)) if cut["max_tokens"] else []
        # A prefix leaves at least one token of the response unsaid.
        most = min(cut["max_tokens"], max(len(ids) - 1, 0))
        least = min(cut["min_tokens"], most)
        length = int(np.random.default_rng([spec["seed"], seed, CUT_STREAM]).integers(least, most + 1))
        return {
            "seed": seed,
            **columns,
            "prefix": speaker.model.tokenization.decode(ids[:length]),
            "n_prefix_tokens": length,
            "prefix_ids": ids[:length],
            "response": speaker.model.tokenization.decode(ids),
        }


def _response(speaker: Speaker, cut: dict, stream: tuple[int, ...]) -> list[int]:
    """Tokens of a sampled response as far as a prefix can reach, before its end or stop text."""
    policy = Sampled(Unrestricted(), cut["temperature"])
    (answer,) = speaker.model.continuations(
        speaker.context_ids, [Request((), stream)], policy, cut["max_tokens"] + 1, stop=speaker.stopped
    )
    ids = list(answer.ids)
    if answer.finish == "end":
        ids = ids[:-1]
    while ids and speaker.stopped(ids):
        ids.pop()
    return ids


def expected_work(context: Context, cell: Cell) -> Work:
    """One response for each repetition, as far as a prefix can reach."""
    row = context.study.sweep(cell[1])
    return Work(row.seeds * row.prefix.max_tokens, 0)


NODE = Node(
    key="prefixes",
    axes=("model", "sweep"),
    deps=("model_spec", "prefix_spec"),
    body=prefixes,
    group="order",
    description="A random prompt and a random prefix of a sampled response for each repetition of a sweep "
    "(Paper A §4.1).",
    dispatches=model_code,
    libraries=GENERATION_LIBRARIES,
    work=expected_work,
    pool="gpu",
)
