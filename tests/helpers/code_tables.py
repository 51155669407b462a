"""Synthetic tables of the coding study, as its assets publish them, from samples that are drawn here."""

import numpy as np
import polars as pl

from calib_assets.metrics import calibration_summary, code_calibration, pass_rates, pass_summary, ranked_sequences


def samples(problems: int = 5, n: int = 40, seed: int = 3) -> pl.DataFrame:
    """Programs of some problems: the first is never solved, the last always."""
    rng, rows = np.random.default_rng(seed), []
    for problem in range(problems):
        logp, tokens = rng.normal(-25, 12, 20).clip(max=-0.5), rng.integers(8, 60, 20)
        right = rng.uniform(size=20) < problem / (problems - 1)
        for sample in range(n):
            which = int(rng.integers(0, 20))
            cut = rng.uniform() < 0.05
            program = None if cut or which == 0 else f"def f(x):\n    return x + {which}"
            passed = bool(right[which]) and program is not None
            name = f"{which}{' cut' if cut else ''}"
            rows.append(
                (f"problem-{problem}", sample, name, program, passed, logp[which], int(tokens[which]), bool(cut))
            )
    columns = ("problem_id", "sample", "sequence", "program", "passed", "log_probability", "n_tokens", "truncated")
    return pl.DataFrame(rows, schema=list(columns), orient="row")


def cell(seed: int = 3) -> dict[str, pl.DataFrame]:
    """Tables of one speaker."""
    drawn = samples(seed=seed)
    problems = code_calibration(drawn)
    rates = pass_rates(problems, [1, 5, 20, 100])
    kinds = [("wrong_answer", 80), ("passed", 90), ("error", 20), ("no_code", 10)]
    return {
        "code_problems": pl.DataFrame(
            [(f"problem-{number}", f"Write f, number {number}.", "call", 60, None) for number in range(5)],
            schema={
                "problem_id": pl.String,
                "prompt": pl.String,
                "kind": pl.String,
                "n_context_tokens": pl.Int64,
                "left_out": pl.String,
            },
            orient="row",
        ),
        "code_calibration": problems,
        "code_summary": calibration_summary(problems),
        "pass_at_k": rates,
        "pass_summary": pass_summary(rates),
        "ranked_programs": ranked_sequences(drawn),
        "verdict_kinds": pl.DataFrame(kinds, schema=["kind", "n"], orient="row"),
    }


def all_tables() -> dict[str, pl.DataFrame]:
    """Those of one speaker, and those of two side by side."""
    own, other = cell(), cell(seed=4)
    stacked = {
        name: pl.concat(
            [table[name].with_columns(pl.lit(who).alias("speaker")) for who, table in (("one", own), ("two", other))]
        )
        for name in ("code_summary", "pass_summary")
    }
    return own | {"code_speakers": stacked["code_summary"], "pass_speakers": stacked["pass_summary"]}
