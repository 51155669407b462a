"""The speakers beside each other on one question."""

import polars as pl

from calib_assets.metrics.answer_collapse import MEASURES
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run

SPEAKERS = {
    "speaker": pl.String,
    "family": pl.String,
    "size": pl.Float64,
    "variant": pl.String,
    "api": pl.Boolean,
}


def collapse_comparison(run: Run) -> Result:
    """Measures of all speakers that have answered, with what the study says of each."""
    rows = [{"speaker": row["name"], **row} for row in run.slice("speakers_spec")["speakers"]]
    known = pl.DataFrame([{name: row[name] for name in SPEAKERS} for row in rows], schema=SPEAKERS)
    measures = run.table("answer_collapse")
    if not measures.width:  # nobody has answered yet
        measures = pl.DataFrame(schema={"speaker": pl.String, **MEASURES})
    table = measures.join(known, on="speaker", how="left", maintain_order="left")
    return Result(tables={"collapse_comparison": table}, numbers={"speakers": table["speaker"].n_unique()})


NODE = Node(
    key="collapse_comparison",
    axes=("collapse",),
    deps=("answer_collapse", "speakers_spec"),
    body=collapse_comparison,
    group="cases",
    description="Measures of answer collapse of every speaker on one question.",
)
