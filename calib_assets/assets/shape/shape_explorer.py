"""The explorer's part of one model and task: made once, kept, and put into the page when it changes."""

from calib_assets.assets.shape.reading import CACHE, answer_texts, open_cache, token_texts
from calib_assets.explorer import script_json, task_data
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run


def shape_explorer(run: Run) -> Result:
    """Trie, conditionals and stored sweep of one model and task, as the page reads them."""
    cache, manifest = open_cache(run), run.context.store.require(CACHE, run.upstream_cells(CACHE)[0])
    part = task_data(
        cache.trie,
        cache,
        token_texts(run),
        answer_texts(run),
        run.table("conditional_calibration"),
        run.table("decoding_sweep"),
        run.table("sequence_probabilities"),
        prompt=str(manifest.numbers.get("context", "")),
    )
    text = script_json(part)
    return Result(
        files={"task.json": text.encode()},
        numbers={"contexts": part["contexts"], "all contexts in the page": part["whole"], "bytes": len(text)},
    )


NODE = Node(
    key="shape_explorer",
    axes=("model", "task"),
    deps=("exact_logit_cache", "conditional_calibration", "decoding_sweep", "sequence_probabilities"),
    body=shape_explorer,
    group="report",
    description="One model and task for the explorer: its trie, the highest logits of every conditional, and tails "
    "from which their mass follows at any temperature (Paper A, §3, §5).",
)
