"""Tables of answer collapse as its assets publish them, of imaginary speakers, computed by the shortest route."""

import numpy as np
import polars as pl

from calib_assets.metrics import answer_counts, answer_measures, answer_outcomes, answers
from calib_assets.stats import Bootstrap

CITIES = (
    "Valparaíso",
    "Kyoto",
    "Nairobi",
    "Lisbon",
    "Oslo",
    "Lima",
    "Bern",
    "Quito",
    "Hanoi",
    "Cusco",
    "Porto",
    "Apia",
)
SHARES = {"collapsed": 0.8, "varied": 0.15}


def samples(speaker: str, n: int = 80, turns: int = 10, conversations: int = 3) -> pl.DataFrame:
    """Answers of one speaker, with one that was refused and one that never came."""
    rng = np.random.default_rng(len(speaker))
    rest = np.linspace(2, 1, len(CITIES) - 1)
    p = np.array([SHARES[speaker], *(1 - SHARES[speaker]) * rest / rest.sum()])
    rows = [("independent", None, i, "ok", str(rng.choice(CITIES, p=p))) for i in range(n)]
    rows += [
        ("history", c, t, "ok", CITIES[(t + c) % len(CITIES)]) for c in range(conversations) for t in range(turns)
    ]
    rows[3], rows[5] = ("independent", None, 3, "refused", ""), ("independent", None, 5, "failed", "")
    schema = {"setting": pl.String, "conversation": pl.Int64, "turn": pl.Int64, "status": pl.String, "text": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def all_tables(valid: tuple[str, ...] | None = CITIES[:8]) -> dict[str, pl.DataFrame]:
    """By name; those of the section have a column ``speaker``."""
    found: dict[str, list[pl.DataFrame]] = {"collapse_comparison": [], "answer_counts": [], "answer_outcomes": []}
    for speaker in SHARES:
        parsed, name = answers(samples(speaker), "text"), pl.lit(speaker).alias("speaker")
        measures = answer_measures(parsed, valid, Bootstrap(n_boot=100))
        found["collapse_comparison"].append(measures.select(name, pl.all()))
        found["answer_counts"].append(answer_counts(parsed, valid).select(name, pl.all()))
        found["answer_outcomes"].append(answer_outcomes(parsed).select(name, pl.all()))
    return {name: pl.concat(parts) for name, parts in found.items()}
