"""Sampled continuations of leaves, beside the greedy ones: is a token's label an accident of greedy decoding?"""

import numpy as np
import polars as pl

from calib_assets.assets.code_in_use import GENERATION_LIBRARIES
from calib_assets.assets.order.completions import SCHEMA, SHARD, complete, leaf_paths
from calib_assets.assets.order.judging import judged, judging_work, sweep_judges
from calib_assets.assets.order.speaking import rules_code
from calib_assets.decoding import RULES
from calib_assets.decoding.filtered import Filtered
from calib_assets.decoding.policy import Policy
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run

DRAW_STREAM = 3  # keeps the draw of leaves apart from the other draws of a repetition


def sampled_completions(run: Run) -> Result:
    """Several sampled continuations of the drawn leaves (METHODS §3.10); no rows where the sweep does not ask."""
    spec, limit = run.slice("robustness_spec")["robustness"], run.slice("completion_spec")["max_new_tokens"]
    empty = pl.DataFrame(schema={"seed": pl.Int64, **SCHEMA})
    if spec is None:
        return Result(tables={"sampled_completions": empty}, numbers={"asked for": "no"})
    policy, trees, parts = _policy(run, spec["sampling"]), run.table("sweep_tree"), []
    starts, each = run.table("prefixes"), max(1, SHARD // spec["samples"])
    say = Progress(f"{run.model} {run.sweep}: contexts sampled", run.log)
    for done, start in enumerate(starts.iter_rows(named=True), start=1):
        paths = leaf_paths(trees, start["seed"])
        drawn = _draw(sorted(paths), spec["leaves"], run.slice("tree_spec")["seed"], start["seed"])
        for first in range(0, len(drawn), each):
            shard = [(node, paths[node], s) for node in drawn[first : first + each] for s in range(spec["samples"])]
            part = run.part(
                f"samples-{start['seed']}-{first}",
                lambda start=start, shard=shard: {"rows": complete(run, start, shard, policy, limit)},
            )
            parts.append(part["rows"])
        say(done, starts.height)
    table = pl.concat([empty, *parts])
    return Result(
        tables={"sampled_completions": table},
        numbers={
            "continuations": table.height,
            "leaves": table.select("seed", "node").n_unique(),
            "sampling": str(policy.identity()),
        },
    )


def _draw(nodes: list[int], count: int | None, seed: int, repetition: int) -> list[int]:
    if count is None or count >= len(nodes):
        return nodes
    return sorted(np.random.default_rng([seed, repetition, DRAW_STREAM]).choice(nodes, count, replace=False).tolist())


def _policy(run: Run, sampling: str | dict) -> Policy:
    """The model's suggested sampling, or the one that the sweep writes."""
    if sampling == "suggested":
        with run.tools["language_models"].open(run.row("model"), run.context.store.root) as model:
            suggested = model.suggested_sampling()
        return Filtered.of(suggested.temperature, suggested.filters)
    rules = [(item["rule"], item["parameter"]) for item in sampling["filters"]]
    return Filtered.of(sampling["temperature"], rules)


def sampled_labels(run: Run) -> Result:
    """The judges' labels of the sampled continuations."""
    return judged(run, run.table("sampled_completions"), ["seed", "node", "sample"], "sampled_labels")


def sampling_code(study, cell: Cell) -> list[object]:
    """The model's class and every practical rule that a model may suggest or the sweep names."""
    suggested = [RULES[name] for name in ("min_p", "top_k", "top_p")]
    return [*dict.fromkeys([*rules_code(study, cell), *suggested])]


def sampling_work(context: Context, cell: Cell) -> Work:
    """Every sampled continuation, as long as one may get."""
    row = context.study.sweep(cell[1])
    return Work(row.seeds * row.sampled_leaves * (row.depth + row.max_new_tokens), 0)


def labelling_work(context: Context, cell: Cell) -> Work:
    """Every sampled continuation, by each judge."""
    row = context.study.sweep(cell[1])
    texts = row.seeds * row.sampled_leaves
    return judging_work(context, row, texts, row.prefix.max_tokens + row.depth + row.max_new_tokens)


SAMPLES = Node(
    key="sampled_completions",
    axes=("model", "sweep"),
    deps=("model_spec", "tree_spec", "completion_spec", "robustness_spec", "prefixes", "sweep_tree"),
    body=sampled_completions,
    group="order",
    description="Sampled continuations of leaves with the model's suggested sampling, beside the greedy ones "
    "(Paper A, App. A.3).",
    dispatches=sampling_code,
    libraries=GENERATION_LIBRARIES,
    work=sampling_work,
    pool="gpu",
)
LABELS = Node(
    key="sampled_labels",
    axes=("model", "sweep"),
    deps=("judge_spec", "sampled_completions"),
    body=sampled_labels,
    group="order",
    description="The judges' labels of the sampled continuations (Paper A, App. A.3).",
    dispatches=sweep_judges,
    libraries=GENERATION_LIBRARIES,
    work=labelling_work,
    pool="judge",
)
