"""Whole answers, sampled many times: the one asset of the canopy study that asks the model."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from calib_assets.assets.code_in_use import GENERATION_LIBRARIES, model_code
from calib_assets.assets.sample_blocks import SampleBlock, blocks, missing
from calib_assets.assets.streamed import scan_parts, streamed
from calib_assets.decoding import RULES
from calib_assets.decoding.filtered import Filtered
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.pieces import Pieces
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from calib_assets.study import Study
from calib_assets.study.prompts import Prompt, prompt_count
from resources.language_models import LanguageModel, MarkovModel, ModelError, Rollout, RolloutRequest

ROLLOUT_STREAM = 5  # keeps these samples apart from the other draws of a study
PIECE = {
    "sample": pl.Int64,
    "text": pl.String,
    "ids": pl.List(pl.Int32),
    "step_entropy": pl.List(pl.Float64),
    "length": pl.Int64,
    "sequence_entropy": pl.Float64,
    "entropy_rate": pl.Float64,
    "truncated": pl.Boolean,
    "finish": pl.String,
    "log_probability": pl.Float64,
}
SCHEMA = {"prompt_id": pl.String, **PIECE}
PROMPTS = {
    "prompt_id": pl.String,
    "prompt": pl.String,
    "n_context_tokens": pl.Int64,
    "left_out": pl.String,
}


@dataclass(frozen=True)
class Asked:
    """One prompt as this model is asked it.

    Attributes:
        prompt: The prompt.
        key: Of what it says (not of its id), in 64 bits: names its random streams and its pieces.
        context_ids: Tokens of the context.
        left_out: Why it is not sampled; empty if it is.
    """

    prompt: Prompt
    key: int
    context_ids: tuple[int, ...]
    left_out: str = ""


def rollouts(run: Run) -> Result:
    """Rollouts of every prompt with their step entropies (METHODS §4); only those that no earlier result had.

    Rollout s of a prompt depends on the model, the prompt, the sampling and (seed, s): not on how many there are, on
    other prompts or on the batch. A prompt that leaves no room for T_max tokens is left out, with the reason.

    Raises:
        ModelError: If no prompt is left, or the model gives NaN.
    """
    spec, wanted = run.slice("rollout_spec"), run.slice("rollout_count_spec")
    row, study = run.row("model"), run.context.study
    prompts = run.tools["prompt_sets"].read(study, study.rollout(run.rollout).prompts)[: wanted["max_prompts"]]
    pieces = run.pieces("rollout_count_spec")
    asked = list(_asked(run, row, prompts, spec))
    used = [item for item in asked if not item.left_out]
    if not used:
        raise ModelError(
            f"model {run.model!r}, rollouts {run.rollout!r}",
            f"every prompt is left out; the first: {asked[0].left_out}",
            "shorten the prompts, lower max_new_tokens, or take a model with a longer context",
        )
    lacking = [block for item in used for block in missing(item.key, wanted["rollouts"], pieces)]
    if lacking:
        with run.tools["language_models"].open(row, run.context.store.root) as model:
            _sample(run, model, {item.key: item.context_ids for item in used}, lacking, spec, pieces)
    result = _assembled(run, used, wanted["rollouts"], pieces)
    held = scan_parts(run.folder, "rollouts")
    shares = held.select(pl.col("truncated").mean(), pl.col("length").mean(), pl.col("length").sum().alias("tokens"))
    truncated, length, tokens = shares.collect().row(0)
    pieces.prune()
    ids = {item.prompt.id: len(item.context_ids) for item in asked}
    result.tables["rollout_prompts"] = pl.DataFrame(
        [(item.prompt.id, item.prompt.prompt, ids[item.prompt.id], item.left_out or None) for item in asked],
        schema=PROMPTS,
        orient="row",
    )
    result.numbers |= {
        "rollouts": len(used) * wanted["rollouts"],
        "sampled now": sum(block.count for block in lacking),
        "tokens": tokens,
        "mean length": length,
        "share truncated": truncated,
        "prompts left out": len(asked) - len(used),
    }
    return result


def _asked(run: Run, row, prompts: Sequence[Prompt], spec: dict) -> Iterator[Asked]:
    said = Counter()
    for prompt in prompts:
        with run.tools["language_models"].open(row, run.context.store.root, prompt.answer_prefix) as model:
            context = model.tokenization.context(prompt.prompt, prompt.completion)
            words = [prompt.prompt, prompt.completion, prompt.answer_prefix]
            text = json.dumps([*words, said[tuple(words)]])  # the same prompt twice is two prompts
            said[tuple(words)] += 1
            key = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
            yield Asked(prompt, key, context.ids, _reason(model, context.ids, spec["max_new_tokens"]))


def _reason(model: LanguageModel, context_ids: Sequence[int], max_new_tokens: int) -> str:
    """Why a context cannot be rolled out; empty if it can."""
    if not context_ids and not isinstance(model, MarkovModel):
        return "its context is empty"
    limit, needed = model.max_positions, len(context_ids) + max_new_tokens
    if limit is not None and needed > limit:
        return f"{len(context_ids)} tokens and {max_new_tokens} new ones exceed the model's {limit} positions"
    return ""


def _sample(
    run: Run,
    model: LanguageModel,
    contexts: Mapping[int, tuple[int, ...]],
    lacking: Sequence[SampleBlock],
    spec: dict,
    pieces: Pieces,
) -> None:
    """Sample the blocks, by the contexts of their keys; each is kept from the moment its last rollout is finished."""
    owners = [(block, sample) for block in lacking for sample in block.samples]
    requests = [
        RolloutRequest(contexts[block.key], (spec["seed"], block.key, sample, ROLLOUT_STREAM))
        for block, sample in owners
    ]
    policy = Filtered.of(spec["temperature"], [tuple(item) for item in spec["filters"]])
    found = model.rollouts(
        requests,
        policy,
        spec["max_new_tokens"],
        entropy_ranks=spec["entropy_ranks"],
        batch_rows=run.tools["language_models"].batch_rows,
        progress=Progress(f"{run.model} {run.rollout}: rollouts", run.log),
    )
    begun: dict[SampleBlock, list[dict]] = {}
    for rollout in found:
        block, sample = owners[rollout.index]
        rows = begun.setdefault(block, [])
        rows.append(_row(model, sample, rollout))
        if len(rows) == block.count:
            pieces.write(block.name, pl.DataFrame(begun.pop(block), schema=PIECE).sort("sample"))


def _row(model: LanguageModel, sample: int, rollout: Rollout) -> dict:
    total = float(rollout.step_entropy.sum())
    ends = set(model.tokenization.end_ids)
    return {
        "sample": sample,
        "text": model.tokenization.decode([token for token in rollout.ids if token not in ends]),
        "ids": rollout.ids,
        "step_entropy": rollout.step_entropy,
        "length": len(rollout.ids),
        "sequence_entropy": total,
        "entropy_rate": total / len(rollout.ids),
        "truncated": rollout.finish == "length",
        "finish": rollout.finish,
        "log_probability": rollout.log_probability,
    }


def _assembled(run: Run, used: Sequence[Asked], count: int, pieces: Pieces) -> Result:
    """The table of all rollouts, a prompt's rows at a time."""

    def frames() -> Iterator[pl.LazyFrame]:
        for item in used:
            paths = [pieces.path(block.name) for block in blocks(item.key, pieces)]
            rows = pl.scan_parquet(paths).filter(pl.col("sample") < count)
            yield rows.with_columns(pl.lit(item.prompt.id).alias("prompt_id"))

    return streamed(run, "rollouts", frames(), SCHEMA)


def rollout_code(study: Study, cell: Cell) -> list[object]:
    """The model's class, and the rule classes that the row samples with."""
    names = sorted({name for name, _ in study.rollout(cell[1]).filters()})
    return [*model_code(study, cell), *(RULES[name] for name in names)]


def expected_work(context: Context, cell: Cell) -> Work:
    """Every rollout as long as it may get."""
    row = context.study.rollout(cell[1])
    prompts = prompt_count(context.study.prompt_set(row.prompts), row.max_prompts)
    return Work(prompts * row.rollouts * row.max_new_tokens, 0)


NODE = Node(
    key="rollouts",
    axes=("model", "rollout"),
    deps=("model_spec", "rollout_spec", "rollout_count_spec"),
    body=rollouts,
    group="canopy",
    description="Sampled answers of every prompt, with the entropy of each step, lengths and texts (Paper B §4, §5).",
    dispatches=rollout_code,
    libraries=GENERATION_LIBRARIES,
    work=expected_work,
    pool="gpu",
)
