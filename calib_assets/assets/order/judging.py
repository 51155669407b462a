"""Texts to the sweep's judges and back to labels, for every asset that holds judged texts."""

import polars as pl

from calib_assets.assets.code_in_use import judge_code
from calib_assets.staleness.graph import Cell, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from calib_assets.study import Study
from calib_assets.study.sweeps import SweepRow
from resources.judges import Item, Judge, Verdict, count_suspicions, is_valid

TOKENS_AROUND_AN_ITEM = 400  # for the plan: the rubric is shared between items, the delimiters are not
LABELS = {
    "status": pl.String,
    "grammar": pl.Int64,
    "semantic": pl.Int64,
    "overall": pl.Int64,
    "is_valid": pl.Boolean,
    "reason": pl.String,
}
SEEN = ["item", "truncated"]  # what a judge may see of a text
AUDIT = {
    "judge": pl.String,
    "raw": pl.String,
    "detail": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "cost": pl.Float64,
}


def judged(run: Run, texts: pl.DataFrame, keys: list[str], name: str) -> Result:
    """Labels of texts by every judge of the sweep (METHODS §3.4); the same text is judged once.

    Args:
        texts: Columns item, prompt, response, answers, finish and the keys.
        keys: Columns that say which text a row of the labels belongs to.
        name: Of the resulting table.

    Returns:
        The labels, and a table ``verdicts`` with each judge's raw reply for each item.

    Raises:
        TooManyMissing: If a larger share of a judge's verdicts is missing than its row allows.
        BudgetReached: If a judge's limit of tokens or cost is reached; what is judged is kept.
    """
    study = run.context.study
    texts = texts.with_columns(truncated=pl.col("finish") == "length")
    items = texts.unique(SEEN, keep="first", maintain_order=True)
    asked = [_item(text) for text in items.iter_rows(named=True)]
    labels, verdicts, numbers = [], [], {"texts that address a judge": count_suspicions(asked)["any"]}
    for row in (study.judge(judge) for judge in study.sweep(run.sweep).judges):
        judge: Judge = run.tools["judges"].open(row, study, run.context.store.root)
        found = judge.judge(
            asked,
            progress=Progress(f"{run.model} {run.sweep}: judged by {row.name}", run.log),
        )
        rows = [
            {**seen, **_label(verdict, judge), **_audit(row.name, verdict)}
            for seen, verdict in zip(items.select(SEEN).iter_rows(named=True), found, strict=True)
        ]
        by_item = pl.DataFrame(rows, schema={"item": pl.String, "truncated": pl.Boolean, **LABELS, **AUDIT})
        front = [pl.lit(row.name).alias("judge"), pl.lit(row.kind).alias("kind"), *keys, "item"]
        placed = texts.select(*keys, *SEEN, "finish").join(by_item, on=SEEN, how="left", maintain_order="left")
        labels.append(placed.select(*front, *LABELS, "finish"))
        verdicts.append(by_item.select("judge", *SEEN, *(name for name in AUDIT if name != "judge")))
        numbers[f"missing by {row.name}"] = by_item["is_valid"].null_count()
        numbers[f"share valid by {row.name}"] = by_item["is_valid"].mean()
    return Result(tables={name: pl.concat(labels), "verdicts": pl.concat(verdicts)}, numbers=numbers)


def _item(text: dict) -> Item:
    answers = None if text["answers"] is None else tuple(text["answers"])
    return Item(text["prompt"], text["response"], text["truncated"], answers, text["pattern"], text["lead"])


def _label(verdict: Verdict, judge: Judge) -> dict:
    return {
        "status": verdict.status,
        "grammar": verdict.grammar,
        "semantic": verdict.semantic,
        "overall": verdict.overall,
        "is_valid": is_valid(verdict, judge.threshold),
        "reason": verdict.reason,
    }


def _audit(judge: str, verdict: Verdict) -> dict:
    return {"judge": judge, **{name: getattr(verdict, name) for name in AUDIT if name != "judge"}}


def sweep_judges(study: Study, cell: Cell) -> list[object]:
    """The classes of the sweep's judges."""
    return judge_code({study.judge(name).kind for name in study.sweep(cell[1]).judges})


def judging_work(context: Context, row: SweepRow, texts: int, tokens: int) -> Work:
    """Calls of servers, and tokens of local judges, for so many texts of so many tokens at the most."""
    judges = [context.study.judge(name) for name in row.judges]
    each = sum(tokens + TOKENS_AROUND_AN_ITEM + judge.max_tokens for judge in judges if judge.kind == "local")
    return Work(texts * each, 0, texts * sum(judge.kind == "llm" for judge in judges))
