"""How far judges agree with each other, and with people (Paper A, App. A.2)."""

import polars as pl

from calib_assets.metrics import annotator_agreement, judge_pairs, majority
from calib_assets.metrics.agreement_tables import MAJORITY
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run
from calib_assets.study.annotations import SCORES, read_annotations

NO_ANNOTATIONS = pl.DataFrame(schema={"item": pl.String, "annotator": pl.String, **dict.fromkeys(SCORES, pl.Int64)})
LABEL_SOURCES = ("judge_labels", "sampled_labels", "sample_labels")


def judge_agreement(run: Run) -> Result:
    """Agreement of every two judges on all items that both judged, and of annotators (METHODS §3.9)."""
    labels = distinct_labels([run.table(asset) for asset in LABEL_SOURCES])
    spec, people, threshold = run.slice("annotations_spec"), NO_ANNOTATIONS, 99
    if spec["annotations"] is not None:
        people, threshold = read_annotations(run.context.study.annotations.file), spec["threshold"]
        people = people.join(labels.select("item", "cluster").unique(), on="item", how="left", maintain_order="left")
        consensus = majority(people, threshold).select(pl.lit(MAJORITY).alias("judge"), "item", "is_valid")
        labels = pl.concat([labels, consensus], how="diagonal")
    pairs = judge_pairs(labels)
    agreement = annotator_agreement(people, threshold)
    if people.is_empty():
        agreement = agreement.clear()  # nobody was asked, which is not an agreement of nobody
    return Result(
        tables={"judge_pairs": pairs, "annotator_agreement": agreement},
        numbers={
            "judges": labels["judge"].n_unique(),
            "pairs": pairs.height,
            "annotated items": people["item"].n_unique(),
            "annotated items that no judge saw": _unseen(labels),
        },
    )


def distinct_labels(tables: list[pl.DataFrame]) -> pl.DataFrame:
    """One row for each judge and item, with the repetition that the item comes from: what is resampled.

    A text may be judged twice, as cut at the limit and as ended by itself: the first label that is not missing counts.
    """
    schema = {"judge": pl.String, "item": pl.String, "is_valid": pl.Boolean, "sweep": pl.String, "seed": pl.Int64}
    labelled = [table.select(*schema) for table in tables if not table.is_empty()]
    found = pl.concat([pl.DataFrame(schema=schema), *labelled])
    known = found.group_by("judge", "item", maintain_order=True).agg(pl.col("is_valid").drop_nulls().first())
    first = found.unique("item", keep="first", maintain_order=True)
    return known.join(
        first.select("item", cluster=pl.format("{} {}", "sweep", "seed")), on="item", how="left", maintain_order="left"
    )


def _unseen(labels: pl.DataFrame) -> int:
    ours = labels.filter(pl.col("judge") == MAJORITY)
    return ours.join(labels.filter(pl.col("judge") != MAJORITY), on="item", how="anti").height


NODE = Node(
    key="judge_agreement",
    axes=(),
    deps=(*LABEL_SOURCES, "annotations_spec"),
    body=judge_agreement,
    group="order",
    description="Accuracy, precision, recall, F1 and Cohen's κ of every two judges and of judges against annotators, "
    "with bootstrap intervals; Krippendorff's α of the annotators (Paper A, App. A.2).",
)
