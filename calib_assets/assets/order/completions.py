"""What the model says after each leaf of a sweep tree: its greedy completion."""

from collections.abc import Mapping, Sequence

import polars as pl

from calib_assets.assets.code_in_use import GENERATION_LIBRARIES, model_code
from calib_assets.assets.order.speaking import Speaker, speaking
from calib_assets.decoding.policy import Greedy, Policy
from calib_assets.decoding.sweep_tree import SweepTree
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from resources.judges import Item
from resources.language_models import Request

SHARD = 512  # completions of one part: what a killed run loses at the most
SCHEMA = {
    "node": pl.Int64,
    "sample": pl.Int64,
    "item": pl.String,
    "prompt_id": pl.String,
    "prompt": pl.String,
    "path_text": pl.String,
    "completion": pl.String,
    "response": pl.String,
    "answers": pl.List(pl.String),
    "pattern": pl.String,
    "lead": pl.String,
    "n_tokens": pl.Int64,
    "finish": pl.String,
    "log_probability": pl.Float64,
}


def completions(run: Run) -> Result:
    """Greedy completion of each leaf until the answer ends (METHODS §3.3); a truncated one is flagged by `finish`."""
    limit = run.slice("completion_spec")["max_new_tokens"]
    trees, starts = run.table("sweep_tree"), run.table("prefixes")
    say, done, parts = Progress(f"{run.model} {run.sweep}: completions", run.log), 0, []
    total = int(trees["is_leaf"].sum())
    for start in starts.iter_rows(named=True):
        leaves = list(leaf_paths(trees, start["seed"]).items())
        for first in range(0, len(leaves), SHARD):
            shard = [(node, path, 0) for node, path in leaves[first : first + SHARD]]
            part = run.part(
                f"completions-{start['seed']}-{first}",
                lambda start=start, shard=shard: {"rows": complete(run, start, shard, Greedy(), limit)},
            )
            parts.append(part["rows"])
            done += len(shard)
            say(done, total)
    table = pl.concat(parts).drop("sample")
    return Result(
        tables={"completions": table},
        numbers={
            "completions": table.height,
            "truncated": table.filter(pl.col("finish") == "length").height,
            "mean new tokens": table["n_tokens"].mean(),
        },
    )


def leaf_paths(trees: pl.DataFrame, seed: int) -> dict[int, tuple[int, ...]]:
    """Tokens from the root to each leaf of one repetition's tree, by node."""
    nodes = trees.filter(pl.col("seed") == seed).drop("seed").sort("node")
    return SweepTree(nodes, pl.DataFrame()).leaf_paths()


def complete(
    run: Run,
    start: Mapping[str, object],
    leaves: Sequence[tuple[int, tuple[int, ...], int]],
    policy: Policy,
    limit: int,
) -> pl.DataFrame:
    """Continue paths below one context until the answer ends.

    Args:
        start: Row of ``prefixes``.
        leaves: (node, path, sample) of each wanted continuation; the same leaf may be sampled many times.
        limit: New tokens of a continuation, at the most.

    Returns:
        One row for each, with the columns of :data:`SCHEMA` behind ``seed``.
    """
    with speaking(run, start) as speaker:
        rows = continued(speaker, start["seed"], leaves, policy, limit)
    seed = pl.lit(start["seed"], pl.Int64).alias("seed")
    return pl.DataFrame(rows, schema=SCHEMA).select(seed, pl.all())


def continued(
    speaker: Speaker, seed: int, leaves: Sequence[tuple[int, tuple[int, ...], int]], policy: Policy, limit: int
) -> list[dict]:
    """:func:`complete` as rows, for a model that stands at its context."""
    rows = [None] * len(leaves)
    ended = [bool(path) and (path[-1] in speaker.model.tokenization.end_ids or speaker.stopped(path))
             for _, path, _ in leaves]
    for place, (node, path, sample) in enumerate(leaves):
        if ended[place]:
            rows[place] = _row(speaker, node, path, sample, (), "end", 0.0)
    open_places = [place for place, is_ended in enumerate(ended) if not is_ended]
    requests = [Request(leaves[p][1], (seed, leaves[p][0], leaves[p][2])) for p in open_places]
    stop, decode = speaker.prompt.stop, speaker.model.tokenization.decode
    # What ends a continuation is asked of its new tokens alone, and these do not follow on the prefix: the leaf's path
    # lies between. A stop text that runs over that border is found in the whole response, when the row is made.
    found = speaker.model.continuations(
        speaker.context_ids, requests, policy, limit, stop=(lambda new: stop in decode(new)) if stop else None
    )
    for answer in found:
        place = open_places[answer.index]
        node, path, sample = leaves[place]
        rows[place] = _row(speaker, node, path, sample, answer.ids, answer.finish, answer.log_probability)
    return rows


def _row(speaker: Speaker, node, path, sample, ids, finish, log_probability) -> dict:
    response, tokenization = speaker.response((*path, *ids)), speaker.model.tokenization
    return {
        "node": node,
        "sample": sample,
        "item": Item(speaker.prompt.prompt, response).digest,
        "prompt_id": speaker.prompt.id,
        "prompt": speaker.prompt.prompt,
        "path_text": tokenization.decode(path),
        "completion": tokenization.decode(ids),
        "response": response,
        "answers": speaker.prompt.answers,
        "pattern": speaker.prompt.pattern,
        "lead": speaker.lead,
        "n_tokens": len(ids),
        "finish": "stop" if finish == "length" and speaker.stopped((*path, *ids)) else finish,
        "log_probability": log_probability,
    }


def expected_work(context: Context, cell: Cell) -> Work:
    """Every leaf, as long as a completion may get."""
    row = context.study.sweep(cell[1])
    return Work(row.seeds * row.leaves * (row.depth + row.max_new_tokens), 0)


NODE = Node(
    key="completions",
    axes=("model", "sweep"),
    deps=("model_spec", "completion_spec", "prefixes", "sweep_tree"),
    body=completions,
    group="order",
    description="Greedy completion of every leaf of a sweep tree, with the whole response that the judges read "
    "(Paper A §4.1).",
    dispatches=model_code,
    libraries=GENERATION_LIBRARIES,
    work=expected_work,
    pool="gpu",
)
