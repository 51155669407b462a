"""All that the page holds of one model and sweep: each repetition's tree, what judges say of it, the completions."""

import numpy as np
import polars as pl

from calib_assets.explorer.packing import packed

LONGEST_TEXT = 600
"""Characters of a completion that the page holds; the cut is marked."""
LONGEST_REASON = 200
UNKNOWN, INVALID, VALID, UNCERTAIN = 0, 1, 2, 3
"""Labels of a token: not judged, invalid, valid, and invalid as far as it is judged."""


def sweep_data(
    tree: pl.DataFrame,
    completions: pl.DataFrame,
    labels: pl.DataFrame,
    validity: pl.DataFrame,
    prefixes: pl.DataFrame,
) -> dict:
    """One sweep as plain data, for the page.

    Args:
        tree: Table ``sweep_tree``.
        completions: Table ``completions``.
        labels: Table ``judge_labels``.
        validity: Table ``token_validity``.
        prefixes: Table ``prefixes``.

    Raises:
        ValueError: If the nodes of a repetition are not numbered from its root on.
    """
    judges = validity["judge"].unique().sort().to_list()
    repetitions = []
    for start in prefixes.sort("seed").iter_rows(named=True):
        mine = pl.col("seed") == start["seed"]
        nodes = tree.filter(mine).sort("node")
        if nodes["node"].to_list() != list(range(nodes.height)):
            raise ValueError(
                f"nodes of repetition {start['seed']} are not numbered 0 .. {nodes.height - 1} in sweep_tree"
            )
        leaves = completions.filter(mine).sort("node")
        repetitions.append(
            {
                "seed": start["seed"],
                "prompt": start["prompt"],
                "prefix": start["prefix"],
                "parent": packed(nodes["parent"].to_numpy(), "i4"),
                "rank": packed(nodes["rank"].to_numpy(), "u4"),
                "log_probability": packed(nodes["log_probability"].to_numpy(), "f4"),
                "is_end": packed(nodes["is_end"].to_numpy(), "u1"),
                "text": nodes["text"].to_list(),
                "judges": {
                    judge: _judged(
                        validity.filter(mine & (pl.col("judge") == judge)),
                        labels.filter(mine & (pl.col("judge") == judge)),
                        nodes.height,
                    )
                    for judge in judges
                },
                "completion": {
                    str(row["node"]): [_cut(row["completion"], LONGEST_TEXT), row["finish"]]
                    for row in leaves.iter_rows(named=True)
                },
            }
        )
    return {"judges": judges, "repetitions": repetitions}


def _judged(validity: pl.DataFrame, labels: pl.DataFrame, n_nodes: int) -> dict:
    """Label and leaf counts of every node by one judge, and its words on each leaf."""
    label, counts = np.full(n_nodes, UNKNOWN), np.zeros((3, n_nodes), np.int64)
    nodes = validity["node"].to_numpy()
    valid = validity["is_valid"].fill_null(False).to_numpy()
    label[nodes] = np.where(valid, VALID, INVALID)
    label[nodes[validity["is_uncertain"].fill_null(False).to_numpy()]] = UNCERTAIN
    label[nodes[validity["is_valid"].is_null().to_numpy()]] = UNKNOWN
    for row, name in enumerate(("n_leaves", "n_judged", "n_valid")):
        counts[row, nodes] = validity[name].to_numpy()
    said = {
        str(row["node"]): [row["status"], _cut(row["reason"] or "", LONGEST_REASON)]
        for row in labels.iter_rows(named=True)
    }
    return {
        "label": packed(label, "u1"),
        **{name: packed(counts[row], "u4") for row, name in enumerate(("n_leaves", "n_judged", "n_valid"))},
        "said": said,
    }


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"
