"""How few answers one speaker has to one question."""

import polars as pl

from calib_assets.metrics import answer_counts, answer_measures, answer_outcomes, answers
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run
from calib_assets.stats import Bootstrap

HEADLINES = ("top_share", "effective_number", "effective_number_chao_shen")


def answer_collapse(run: Run) -> Result:
    """Counts, outcomes and measures of the answers, with and without history (METHODS §3.11)."""
    spec = run.slice("collapse_answers_spec")
    parsed = answers(run.table("answer_samples"), spec["answer"])
    measures = answer_measures(parsed, spec["answers"], Bootstrap())
    shown = measures.filter((pl.col("matching") == spec["matching"]) & pl.col("measure").is_in(HEADLINES))
    return Result(
        tables={
            "answer_collapse": measures,
            "answer_counts": answer_counts(parsed, spec["answers"]),
            "answer_outcomes": answer_outcomes(parsed),
        },
        numbers={f"{setting}: {name}": est for setting, _, name, est, *_ in shown.iter_rows()},
    )


NODE = Node(
    key="answer_collapse",
    axes=("collapse", "speaker"),
    deps=("answer_samples", "collapse_answers_spec"),
    body=answer_collapse,
    group="cases",
    description="Share of the top answer, effective number of answers, coverage of a list, repeats; with and without "
    "history (Paper A, App. G, Figure 11).",
)
