"""Exact tasks for the explorer, with every table that its data are made from, computed by the library."""

import base64
import zlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from calib_assets.decoding import RULES, DecodingGrid, PrefixTrie, answer_log_probabilities, sweep
from calib_assets.explorer import script_json, task_data
from calib_assets.metrics import conditional_calibration, sequence_probabilities

TEMPERATURES = (0.3, 1.0, 2.25)
# The rules that the page cuts by itself; one that somebody adds is shown from stored values.
PLAIN = ("unrestricted", "oracle_cutoff", "validity_oracle")
PARAMETERS = {
    "top_k": (1, 7, 60), "top_k_exact": (1, 7, 300), "top_p": (0.35, 0.9, 0.99, 1.0), "top_p_canopy": (0.35, 0.9, 1.0),
    "min_p": (0.003, 0.2), "typical_p": (0.2, 0.7, 0.95, 1.0), "epsilon": (3e-5, 2e-3, 0.3), "eta": (3e-5, 2e-3, 0.1),
    "top_n_sigma": (0.5, 2.0), "top_h": (0.1, 0.4, 0.9), "top_h_authors": (0.1, 0.4, 0.9),
}  # fmt: skip

WIDTH = {"f64": "<f8", "f32": "<f4", "u32": "<u4", "i32": "<i4", "u8": "u1"}


def unpacked(entry: dict) -> np.ndarray:
    """A packed array, read as the page reads it."""
    dtype = np.dtype(WIDTH[entry["type"]])
    raw = np.frombuffer(zlib.decompress(base64.b64decode(entry["data"])), np.uint8)
    return raw.reshape(dtype.itemsize, entry["size"]).T.copy().view(dtype).ravel()


@dataclass
class Explored:
    """One exact task.

    Attributes:
        trie, logits: What the explorer's data are made from.
        points: The stored sweep.
        text: The page's data.
    """

    trie: PrefixTrie
    logits: np.ndarray
    points: pl.DataFrame
    text: str


def explored(trie: PrefixTrie, logits: np.ndarray, texts=None, answers=None, **options) -> Explored:
    """A task with every registered rule at several parameters and temperatures."""
    texts = texts or [f"t{token}" for token in range(logits.shape[1])]
    answers = answers or [f"answer {i}" for i in range(trie.n_answers)]
    grid = DecodingGrid(TEMPERATURES, {**dict.fromkeys(PLAIN, (None,)), **PARAMETERS})
    points = sweep(trie, logits, grid, threads=1).points
    calibration = conditional_calibration(trie, logits, lambda ids: "".join(texts[i] for i in ids))
    logs = answer_log_probabilities(trie, logits, (1.0, 2.0), threads=1)
    probabilities = sequence_probabilities(logs, (1.0, 2.0), answers)
    data = task_data(trie, logits, texts, answers, calibration, points, probabilities, "Say: ", **options)
    return Explored(trie, logits, points, script_json(data))


def float_task(vocab: int, budget: int, seed: int = 5, **options) -> Explored:
    """Two steps of 4 valid tokens each, float32 logits of one peak and a long tail; one valid token is deep in it."""
    rng = np.random.default_rng(seed)
    first, second = [3, 9, 11, vocab - 2], [1, 4, 9, 30]
    trie = PrefixTrie.from_sequences([[a, b] for a in first for b in second])
    logits = rng.normal(0, 2.0, size=(trie.internal.size, vocab)).astype(np.float32)
    for row, node in enumerate(trie.internal):
        valid = trie.valid_tokens(node)
        logits[row, valid] = rng.normal(8.5, 1.5, size=valid.size).astype(np.float32)
        logits[row, valid[-1]] = 0.4 if row % 2 else 7.0
        logits[row, 5] = 9.0
    return explored(trie, logits, budget=budget, **options)


def coarse_task() -> Explored:
    """Logits with many ties and some at -inf, as a 16-bit model with a mask has them; two spellings of an answer."""
    rng = np.random.default_rng(8)
    trie = PrefixTrie.from_sequences([[0, 1], [0, 2], [7], [8, 2], [8, 5]], [0, 1, 2, 1, 3])
    logits = (np.round(rng.normal(0, 2.5, size=(trie.internal.size, 400)) * 4) / 4).astype(np.float32)
    logits[:, 350:] = -np.inf
    logits[1, 1] = -np.inf
    return explored(trie, logits, budget=100_000)


def open_task() -> Explored:
    """A partly explored trie: node 3 was not expanded."""
    trie = PrefixTrie.from_nodes(
        [-1, 0, 0, 0, 1], [-1, 2, 5, 6, 3], [-1, -1, 0, -1, 1], [False, False, False, True, False]
    )
    return explored(
        trie, np.random.default_rng(2).normal(0, 1.5, size=(trie.internal.size, 150)).astype(np.float32), budget=10_000
    )


def off_grid() -> list[tuple[str, float | None, float]]:
    """(rule, parameter, temperature) beside the grid, a few for every rule."""
    rng, found = np.random.default_rng(0), []
    for name, parameters in {**dict.fromkeys(PLAIN, (None,)), **PARAMETERS}.items():
        for parameter in parameters:
            own = parameter if parameter is None or RULES[name].parameter == "k" else parameter * 0.93
            found.append((name, own, float(rng.uniform(0.25, 3.5))))
    return found
