"""How many different things a model says: rollouts that a judge finds alike are one meaning."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl

from calib_assets.assets.code_in_use import GENERATION_LIBRARIES, judge_code
from calib_assets.metrics import semantic_entropy_summary, semantic_entropy_table
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from calib_assets.stats import Bootstrap
from calib_assets.study import Study
from calib_assets.study.prompts import prompt_count
from resources.judges import Pair, is_similar

DRAWN = {"prompt_id": pl.String, "sample": pl.Int64}
LABELS = {
    "prompt_id": pl.String,
    "first": pl.Int64,
    "second": pl.Int64,
    "status": pl.String,
    "score": pl.Int64,
    "is_similar": pl.Boolean,
    "reason": pl.String,
    "raw": pl.String,
}


def similarity_labels(run: Run) -> Result:
    """Which drawn rollouts of a prompt mean the same, asked in both orders; no rows where the study does not ask.

    The reverse order is asked only of pairs that are similar in the first: reciprocity can fail only there.
    """
    spec = run.slice("similarity_spec")["semantic_entropy"]
    if spec is None:
        empty = {"similarity_labels": pl.DataFrame(schema=LABELS), "drawn_rollouts": pl.DataFrame(schema=DRAWN)}
        return Result(tables=empty, numbers={"asked for": "no"})
    drawn, pairs = [], []
    for number, (name, prompt, rows) in enumerate(_prompts(run, spec)):
        chosen = rows if len(rows) <= spec["rollouts"] else _draw(rows, spec["rollouts"], spec["seed"], number)
        drawn += [(name, sample) for sample, _ in chosen]
        pairs += [(name, a, b, Pair(prompt, one, other)) for (a, one), (b, other) in combinations(chosen, 2)]
    study = run.context.study
    judge = run.tools["judges"].open(study.judge(spec["judge"]), study, run.context.store.root)
    say = Progress(f"{run.model} {run.rollout}: pairs compared by {spec['judge']}", run.log)
    forward = judge.judge_pairs([pair for *_, pair in pairs], progress=say)
    alike = [row for row, verdict in zip(pairs, forward, strict=True) if is_similar(verdict, judge.threshold)]
    turned = [(name, b, a, Pair(pair.prompt, pair.second, pair.first)) for name, a, b, pair in alike]
    back = judge.judge_pairs([pair for *_, pair in turned], progress=say)
    rows = [
        (*row[:3], v.status, v.similar, is_similar(v, judge.threshold), v.reason, v.raw)
        for row, v in zip([*pairs, *turned], [*forward, *back], strict=True)
    ]
    table = pl.DataFrame(rows, schema=LABELS, orient="row")
    return Result(
        tables={"similarity_labels": table, "drawn_rollouts": pl.DataFrame(drawn, schema=DRAWN, orient="row")},
        numbers={
            "pairs": len(pairs),
            "asked in both orders": len(turned),
            "missing": table["is_similar"].null_count(),
            "share similar": table.head(len(pairs))["is_similar"].mean(),
        },
    )


def _prompts(run: Run, spec: dict):
    """(id, text, (sample, rollout's text) rows) of the prompts that are compared."""
    used = run.table("rollouts", "rollout_prompts").filter(pl.col("left_out").is_null())
    kept = used.head(spec["prompts"] or used.height).select("prompt_id", "prompt").rows()
    chosen = pl.col("prompt_id").is_in([name for name, _ in kept])
    texts = run.scan("rollouts").filter(chosen).select("prompt_id", "sample", "text").collect()
    for name, prompt in kept:
        yield name, prompt, texts.filter(pl.col("prompt_id") == name).select("sample", "text").rows()


def _draw(rows: Sequence[tuple], count: int, seed: int, number: int) -> list[tuple]:
    chosen = np.random.default_rng([seed, number]).choice(len(rows), count, replace=False)
    return [rows[place] for place in sorted(chosen.tolist())]


def semantic_entropy(run: Run) -> Result:
    """Entropy over groups of rollouts that mean the same, of each prompt, and its mean (METHODS §4)."""
    labels, drawn = run.table("similarity_labels"), run.table("similarity_labels", "drawn_rollouts")
    prompts = semantic_entropy_table(labels, drawn)
    summary = semantic_entropy_summary(prompts, Bootstrap())
    return Result(tables={"prompt_semantic_entropy": prompts, "semantic_entropy": summary})


def labelling_code(study: Study, cell: Cell) -> list[object]:
    """The judge's class, and that of the model that a local one runs on."""
    row = study.rollout(cell[1]).semantic_entropy
    return [] if row is None else judge_code({study.judge(row.judge).kind})


def labelling_work(context: Context, cell: Cell) -> Work:
    """Every pair in both orders, at the most."""
    row = context.study.rollout(cell[1])
    if row.semantic_entropy is None:
        return Work(0, 0)
    judge = context.study.judge(row.semantic_entropy.judge)
    known = prompt_count(context.study.prompt_set(row.prompts), row.max_prompts)
    prompts = min(row.semantic_entropy.prompts or known, known)
    each = min(row.semantic_entropy.rollouts, row.rollouts)
    pairs = prompts * each * (each - 1)
    tokens = 2 * row.max_new_tokens + 400 + judge.max_tokens
    return Work(pairs * tokens if judge.kind == "local" else 0, 0, pairs if judge.kind == "llm" else 0)


JUDGED = Node(
    key="similarity_labels",
    axes=("model", "rollout"),
    deps=("similarity_spec", "rollouts"),
    body=similarity_labels,
    group="canopy",
    description="Which rollouts of a prompt a judge finds alike in meaning, in both orders.",
    dispatches=labelling_code,
    libraries=GENERATION_LIBRARIES,
    work=labelling_work,
    pool="judge",
)
NODE = Node(
    key="semantic_entropy",
    axes=("model", "rollout"),
    deps=("similarity_labels",),
    body=semantic_entropy,
    group="canopy",
    description="Relaxed semantic entropy: the entropy over groups of rollouts with one meaning.",
)
