"""Self-BLEU-4 of 1,000 texts against NLTK's sentence_bleu and the C++ package fast-bleu.

The texts are drawn from a vocabulary with Zipf's law. All three get the same whitespace tokens and smoothing
method1, run in one process, and are compared text by text. NLTK scores a random sample of the texts.
"""

import importlib.util
from collections.abc import Iterator

import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from benchmarks.machine import version
from benchmarks.rows import Check, NotHere, Row, Run
from benchmarks.turns import in_turns
from calib_assets.metrics import self_bleu_scores

THREADS = 1
SMALL = {"texts": 60, "tokens": 20, "sample": 20, "repeat": 2}
FULL = {"sample": None}
TARGET = 300.0
TOLERANCE = 1e-12


def drawn_texts(n_texts: int, n_tokens: int, n_words: int = 2000) -> list[str]:
    """Texts of about ``n_tokens`` words with frequencies 1, 1/2, 1/3, ..."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, n_words + 1)
    lengths = rng.integers(n_tokens - 5, n_tokens + 6, size=n_texts)
    words = rng.choice(n_words, size=lengths.sum(), p=frequency / frequency.sum())
    return [" ".join(f"w{word}" for word in text) for text in np.split(words, np.cumsum(lengths)[:-1])]


def nltk_scores(texts: list[str], chosen: np.ndarray) -> np.ndarray:
    """Scores of the chosen texts against all others."""
    smoothing = SmoothingFunction().method1
    tokens = [text.split() for text in texts]
    return np.array(
        [sentence_bleu(tokens[:i] + tokens[i + 1 :], tokens[i], smoothing_function=smoothing) for i in chosen]
    )


def fast_bleu_scores(texts: list[str]) -> np.ndarray:
    """Scores of fast-bleu's SelfBLEU."""
    from fast_bleu import SelfBLEU

    return np.array(SelfBLEU([text.split() for text in texts], {4: (0.25,) * 4}).get_score()[4])


def rows(run: Run, texts: int = 1000, tokens: int = 60, sample: int | None = 60, repeat: int = 5) -> Iterator[Row]:
    """Against NLTK on ``sample`` texts (None: all), then against fast-bleu; medians of ``repeat`` turns."""
    drawn, chosen = drawn_texts(texts, tokens), np.arange(texts)
    if sample is not None and sample < texts:
        chosen = np.random.default_rng(1).choice(texts, size=sample, replace=False)
    native = importlib.util.find_spec("fast_bleu") is not None
    self_bleu_scores(drawn)  # warm
    sides = in_turns(
        ours=[lambda: self_bleu_scores(drawn)] * repeat,
        nltk=[lambda part=part: nltk_scores(drawn, part) for part in np.array_split(chosen, repeat)],
        fast_bleu=[lambda: fast_bleu_scores(drawn)] * repeat * native,
    )
    ours, nltk = sides["ours"], sides["nltk"]
    scores = ours.values[0]
    what, size = "Self-BLEU-4", f"{texts:,} texts of about {tokens} tokens"
    same = Check(
        "largest difference of a score", float(np.abs(scores[chosen] - np.concatenate(nltk.values)).max()), TOLERANCE
    )
    how = "" if chosen.size == texts else f"NLTK from {chosen.size} random texts"
    slow = nltk.total * texts / chosen.size
    baseline = f"NLTK {version('nltk')}, sentence_bleu against all others"
    yield Row(what, size, baseline, ours.median, slow, (same,), target=TARGET, scaled=how)
    if not native:
        raise NotHere("fast-bleu is not installed: pip install fast-bleu==0.0.90 (needs a C++ compiler)")
    other = Check(
        "largest difference of a score", float(np.abs(scores - sides["fast_bleu"].values[0]).max()), TOLERANCE
    )
    baseline = f"fast-bleu {version('fast-bleu')} (C++)"
    yield Row(what, size, baseline, ours.median, sides["fast_bleu"].median, (other,), target=1.0)
