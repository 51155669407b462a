"""A small judged order study, computed by the shortest route there is, in the tables that its assets publish.

Each seed is a tree of depth 3 whose tokens have a quality that falls with rank; a judge finds a leaf valid when the
worst token on its way is good enough. Labels, curves, frontiers and intervals follow the definitions row by row.
"""

import hashlib
import math

import numpy as np
import polars as pl

THRESHOLDS = {"strict": 99, "lenient": 80}
GRID = [i / 20 for i in range(21)]
FAN = (9, 5, 4)  # children kept at each depth
CANDIDATES = 12  # ranks 1, 6, 11, … before the draw
P0, FLOOR = 0.8, 0.8
COUNTS = {"n_nodes": pl.Int64, "n_without_valid": pl.Int64}


def grow(seed: int, quality: float) -> list[dict]:
    """Nodes of one seed's tree, root first, level by level; ``worst`` is the quality of the worst token so far."""
    rng = np.random.default_rng((7, seed))
    nodes = [dict(seed=seed, node=0, parent=-1, depth=0, token=-1, text="", rank=0, log_probability=0.0)]
    nodes[0] |= dict(path_log_probability=0.0, is_end=False, is_leaf=False, worst=1.0, path="")
    level = nodes[:]
    for depth, fan in enumerate(FAN, start=1):
        below = []
        for parent in level:
            for place in sorted(rng.choice(CANDIDATES, fan, replace=False)):
                rank = int(1 + 5 * place)
                ends = depth < 3 and rng.random() < 0.04
                good = quality + rng.normal(0.42, 0.45) - 0.012 * rank - 0.02 * depth
                log_p = float(-0.7 - 1.1 * math.log(rank))
                text = "<end>" if ends else f" {'abcdefghijkl'[place]}{rng.integers(10, 99)}"
                below.append(
                    dict(seed=seed, node=len(nodes) + len(below), parent=parent["node"], depth=depth, rank=rank)
                    | dict(token=int(rng.integers(9000)), text=text, log_probability=log_p, is_end=bool(ends))
                    | dict(path_log_probability=parent["path_log_probability"] + log_p, path=parent["path"] + text)
                    | dict(is_leaf=bool(ends or depth == 3), worst=min(parent["worst"], good))
                )
        nodes += below
        level = [node for node in below if not node["is_leaf"]]
    return nodes


def verdict(judge: str, leaf: dict, rng: np.random.Generator) -> dict:
    """Scores of one leaf by one judge; one in thirty has no verdict."""
    status = "ok"
    if rng.random() < 1 / 30:
        status = ("unparsable", "refused", "truncated", "failed")[int(rng.integers(4))]
    score = int(np.clip(round(100 + 70 * (leaf["worst"] + rng.normal(0, 0.06))), 0, 100))
    ok = status == "ok"
    return {
        "judge": judge,
        "kind": "llm",
        "seed": leaf["seed"],
        "node": leaf["node"],
        "item": leaf["item"],
        "status": status,
        "grammar": max(score, 60) if ok else None,
        "semantic": score if ok else None,
        "overall": score if ok else None,
        "is_valid": score >= THRESHOLDS[judge] if ok else None,
        "reason": "reads well" if ok else "",
        "finish": leaf["finish"],
    }


def validity_rows(judge: str, nodes: list[dict], labels: dict) -> list[dict]:
    """Token validity straight from the definition: the labels of the leaves below each node."""
    children: dict[int, list[dict]] = {}
    for node in nodes:
        children.setdefault(node["parent"], []).append(node)

    def leaves(node: dict) -> list[bool | None]:
        if node["is_leaf"]:
            return [labels[judge, node["seed"], node["node"]]["is_valid"]]
        return [label for child in children.get(node["node"], []) for label in leaves(child)]

    rows = []
    for node in nodes:
        below = leaves(node)
        known = [label for label in below if label is not None]
        keys = ("seed", "node", "parent", "depth", "rank", "token", "text", "log_probability", "is_leaf")
        valid = any(known) if known else None
        rows.append(
            {"judge": judge, **{key: node[key] for key in keys}}
            | dict(n_leaves=len(below), n_judged=len(known), n_valid=sum(known), is_valid=valid)
            | dict(is_uncertain=valid is False and len(known) < len(below))
        )
    return rows


def curves_of(validity: list[dict]) -> tuple[list[dict], list[dict]]:
    """Precision and recall at every cutoff of every node, and what becomes of a node as a whole."""
    curves, summaries = [], []
    groups: dict[tuple, list[dict]] = {}
    for row in validity:
        if row["parent"] >= 0:
            groups.setdefault((row["judge"], row["seed"], row["parent"], row["depth"]), []).append(row)
    for (judge, seed, node, depth), group in groups.items():
        known = sorted((row for row in group if row["is_valid"] is not None), key=lambda row: row["rank"])
        for weighting in ("token", "continuation"):
            key = dict(judge=judge, weighting=weighting, seed=seed, node=node, depth=depth)
            weight = [row["is_valid"] * (1 if weighting == "token" else row["n_valid"]) for row in known]
            points = [
                (sum(row["is_valid"] for row in known[:k]) / k, sum(weight[:k]) / sum(weight))
                for k in range(1, len(known) + 1)
                if sum(weight)
            ]
            for k, (precision, recall) in enumerate(points, start=1):
                beaten = any(p >= precision and r >= recall and (p, r) != (precision, recall) for p, r in points)
                curves.append(
                    {**key, "k": k, "rank": known[k - 1]["rank"], "precision": precision, "recall": recall}
                    | {"is_frontier": not beaten}
                )
            steps = sorted({r for _, r in points})
            heights = [max(p for p, r in points if r >= step) for step in steps]
            widths = np.diff([0.0, *steps])
            summaries.append(
                {**key, "n_candidates": len(group), "n_unlabelled": len(group) - len(known)}
                | {"n_valid": sum(row["is_valid"] for row in known)}
                | {"auc": float(np.dot(widths, heights)) if points else None}
                | {"recall_at_precision": max([r for p, r in points if p >= P0], default=0.0) if points else None}
                | {"p0": P0}
            )
    return curves, summaries


def by_depth(curves: list[dict], summaries: list[dict], draws: int = 200) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Mean, extreme frontiers and mean values of each depth, with intervals from resampled seeds."""
    frontiers, values = [], []
    rng = np.random.default_rng(42)
    for judge, weighting, depth in sorted({(s["judge"], s["weighting"], s["depth"]) for s in summaries}):
        group = [s for s in summaries if (s["judge"], s["weighting"], s["depth"]) == (judge, weighting, depth)]
        seeds = sorted({s["seed"] for s in group})
        alive = [s for s in group if s["auc"] is not None]
        key = dict(judge=judge, weighting=weighting, depth=depth)
        heights = []
        for s in alive:
            own = [
                c
                for c in curves
                if (c["judge"], c["weighting"], c["seed"], c["node"]) == (judge, weighting, s["seed"], s["node"])
            ]
            heights.append([max([c["precision"] for c in own if c["recall"] >= r - 1e-12]) for r in GRID])
        heights = np.array(heights).reshape(len(alive), len(GRID))
        numbers = np.array([[s["auc"], s["recall_at_precision"]] for s in alive]).reshape(len(alive), 2)
        owner = np.array([seeds.index(s["seed"]) for s in alive], dtype=int)
        everything = np.hstack([heights, numbers])
        means = []
        for _ in range(draws):
            chosen = np.concatenate([np.flatnonzero(owner == i) for i in rng.integers(len(seeds), size=len(seeds))])
            if len(chosen):
                means.append(everything[chosen].mean(axis=0))
        interval = len(seeds) > 1 and bool(means)
        low, high = np.quantile(means, [0.025, 0.975], axis=0) if interval else (None, None)
        for place, recall in enumerate(GRID if alive else []):
            column = heights[:, place]
            frontiers.append(
                {**key, "recall": recall, "mean": column.mean(), "min": column.min(), "max": column.max()}
                | {"n_nodes": len(alive), "ci_low": low[place] if interval else None}
                | {"ci_high": high[place] if interval else None}
            )
        summary = {**key, "n_nodes": len(alive), "n_without_valid": len(group) - len(alive)}
        for place, (name, short) in enumerate((("auc", "auc"), ("recall_at_precision", "recall"))):
            summary[name] = float(numbers[:, place].mean()) if alive else None
            summary[f"{short}_ci_low"] = float(low[len(GRID) + place]) if interval else None
            summary[f"{short}_ci_high"] = float(high[len(GRID) + place]) if interval else None
        values.append({**summary, "p0": P0, "n_seeds": len(seeds)})
    floats = dict.fromkeys(("mean", "min", "max", "ci_low", "ci_high"), pl.Float64)
    names = ("auc", "recall_at_precision", "auc_ci_low", "auc_ci_high", "recall_ci_low", "recall_ci_high")
    return (
        pl.DataFrame(frontiers, schema_overrides=floats | COUNTS),
        pl.DataFrame(values, schema_overrides=dict.fromkeys(names, pl.Float64) | COUNTS),
    )


def decoding_tables(judges: tuple[str, ...], seeds: int, shift: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Validity and diversities of every setting of three strategies and the oracle filter; the best at the floor."""
    points = []
    rng = np.random.default_rng(3)
    for judge in judges:
        for strategy, parameters in (
            ("unrestricted", (None,)),
            ("top_p", (0.5, 0.8, 0.95)),
            ("min_p", (0.02, 0.1, 0.3)),
            ("oracle_filter", (None,)),
        ):
            for parameter in parameters:
                for temperature in (0.5, 0.8, 1.0, 1.3, 1.7):
                    keep = {"unrestricted": 1.0, "top_p": parameter, "oracle_filter": 0.4}.get(strategy)
                    loose = temperature * (1 - (parameter or 0) if keep is None else keep)
                    drawn = rng.random(40 * seeds) < 1 / (1 + math.exp(4.5 * (loose - 1.05 - shift)))
                    spread = 0.45 * loose / (0.5 + loose) + (0.1 if strategy == "oracle_filter" else 0.0)
                    share = float(drawn.mean())
                    half = 1.96 * math.sqrt(share * (1 - share) / len(drawn))
                    for over in ("valid", "all"):
                        value = spread * (0.9 if over == "valid" else 1.0) + 0.06 * rng.random()
                        words = 1 - 1.6 * spread - 0.15 * rng.random()  # ranks settings in another order
                        defined = over == "all" or drawn.sum() >= 2
                        row = dict(judge=judge, strategy=strategy, parameter=parameter, temperature=temperature)
                        row |= dict(n_samples=len(drawn), n_judged=len(drawn), validity=share, over=over)
                        row |= dict(validity_ci_low=max(share - half, 0), validity_ci_high=min(share + half, 1))
                        for name, number in (("embedding_diversity", value), ("self_bleu", words)):
                            row[name] = number if defined else None
                            row[f"{name}_ci_low"] = number - 0.03 if defined and seeds > 1 else None
                            row[f"{name}_ci_high"] = number + 0.03 if defined and seeds > 1 else None
                        points.append({**row, "n_contexts": seeds})
    kinds = {"parameter": pl.Float64}
    for name in ("embedding_diversity", "self_bleu"):
        kinds |= dict.fromkeys((name, f"{name}_ci_low", f"{name}_ci_high"), pl.Float64)
    table = pl.DataFrame(points, schema_overrides=kinds)
    best = []
    for judge, strategy, over in table.select("judge", "strategy", "over").unique(maintain_order=True).rows():
        own = [r for r in points if (r["judge"], r["strategy"], r["over"]) == (judge, strategy, over)]
        for measure, sign in (("embedding_diversity", 1), ("self_bleu", -1)):
            able = [r for r in own if r["validity"] >= FLOOR and r[measure] is not None]
            top = max(able, key=lambda r: sign * r[measure], default={})
            best.append(
                dict(judge=judge, strategy=strategy, over=over, floor=FLOOR, measure=measure, value=top.get(measure))
                | dict(ci_low=top.get(f"{measure}_ci_low"), ci_high=top.get(f"{measure}_ci_high"))
                | {key: top.get(key) for key in ("validity", "parameter", "temperature")}
            )
    floats = ("value", "ci_low", "ci_high", "validity", "parameter", "temperature")
    return table, pl.DataFrame(best, schema_overrides=dict.fromkeys(floats, pl.Float64))


def agreement_tables(labels: dict, seeds: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judge against judge by counting; annotators' alphas as a study with an annotations file would have them."""
    both = [
        (labels["lenient", *key]["is_valid"], row["is_valid"])
        for (judge, *key), row in labels.items()
        if judge == "strict" and row["is_valid"] is not None and labels["lenient", *key]["is_valid"] is not None
    ]
    a, b = np.array(both, dtype=bool).T
    hit = (a & b).sum()
    accuracy = float((a == b).mean())
    chance = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    numbers = {"accuracy": accuracy, "precision": hit / a.sum(), "recall": hit / b.sum()}
    numbers |= {"f1": 2 * hit / (a.sum() + b.sum()), "kappa": (accuracy - chance) / (1 - chance)}
    row = dict(judge_a="lenient", judge_b="strict", n=len(a), n_valid_a=int(a.sum()), n_valid_b=int(b.sum()))
    row["n_resampled"] = seeds
    for name, value in numbers.items():
        row |= {name: float(value), f"{name}_ci_low": float(value) - 0.04, f"{name}_ci_high": float(value) + 0.03}
    rng = np.random.default_rng(5)
    truth = rng.integers(40, 101, size=(40, 1))
    alphas = []
    for measure, noise in (("overall", 9), ("semantic", 14), ("grammar", 20), ("valid", 9)):
        scores = truth + rng.normal(0, noise, size=(40, 3))
        scores = (scores >= 80).astype(float) if measure == "valid" else scores
        draws = [krippendorff(scores[rng.integers(40, size=40)]) for _ in range(60)]
        low, high = np.quantile(draws, [0.025, 0.975])
        level = "nominal" if measure == "valid" else "interval"
        alphas.append(
            dict(measure=measure, level=level, n_items=40, n_annotators=3, n_resampled=40, alpha=krippendorff(scores))
            | dict(ci_low=float(low), ci_high=float(high))
        )
    return pl.DataFrame([row]), pl.DataFrame(alphas)


def krippendorff(scores: np.ndarray) -> float:
    """α = 1 − observed / expected disagreement with squared differences (for 0 and 1 also the nominal one)."""
    observed = np.mean([(a - b) ** 2 for row in scores for a in row for b in row]) * 3 / 2
    every = scores.ravel()
    expected = np.mean((every[:, None] - every[None, :]) ** 2) * every.size / (every.size - 1)
    return float(1 - observed / expected)


def robustness_of(labels: list[dict]) -> pl.DataFrame:
    """Greedy verdicts of the leaves beside three sampled ones each, which mostly say the same."""
    rng = np.random.default_rng(23)
    rows = []
    for row in labels:
        sampled = [bool(rng.random() < (0.8 if row["is_valid"] else 0.1)) for _ in range(3)]
        rows.append(
            {key: row[key] for key in ("judge", "seed", "node")}
            | dict(n_greedy_valid=int(bool(row["is_valid"])), n_sampled=3, n_sampled_judged=3)
            | dict(n_sampled_valid=sum(sampled), greedy_valid=row["is_valid"], sampled_valid=any(sampled))
        )
    return pl.DataFrame(rows, schema_overrides={"greedy_valid": pl.Boolean}, infer_schema_length=None)


def cell(seeds: int = 4, quality: float = 0.0, judges: tuple[str, ...] = ("strict", "lenient")) -> dict:
    """Every table of one (model, sweep), named as the assets name them."""
    trees = [grow(seed, quality) for seed in range(seeds)]
    prefixes = [
        dict(seed=s, prompt_id=f"p{s}", prompt=f"Tell me story number {s}.", prefix="In", n_prefix_tokens=1)
        | dict(response="In the old town nobody slept.")
        for s in range(seeds)
    ]
    completions, labels, known = [], {}, {}
    rng = np.random.default_rng(11)
    for tree in trees:
        for leaf in (node for node in tree if node["is_leaf"]):
            text = (
                "" if leaf["is_end"] else f" went home, and {leaf['path'].strip()} followed." * (1 + leaf["node"] % 3)
            )
            response = "In" + leaf["path"] + text
            leaf["item"] = hashlib.sha256(f"{leaf['seed']}\x1f{response}".encode()).hexdigest()[:16]
            leaf["finish"] = "length" if leaf["node"] % 17 == 0 else "end"
            completions.append(
                {key: leaf[key] for key in ("seed", "node", "item", "finish")}
                | dict(prompt_id=f"p{leaf['seed']}", prompt=prefixes[leaf["seed"]]["prompt"], path_text=leaf["path"])
                | dict(completion=text, response=response, n_tokens=len(text.split()), log_probability=-9.5)
            )
            for judge in judges:
                said = known.setdefault((judge, leaf["item"]), verdict(judge, leaf, rng))  # judged once
                labels[judge, leaf["seed"], leaf["node"]] = said | {"node": leaf["node"], "finish": leaf["finish"]}
    validity = [row for judge in judges for tree in trees for row in validity_rows(judge, tree, labels)]
    curves, summaries = curves_of(validity)
    frontiers, values = by_depth(curves, summaries)
    levels = [
        dict(seed=s, depth=d, parents=1, candidates=CANDIDATES, kept=FAN[d - 1], skipped=CANDIDATES - FAN[d - 1])
        | dict(skipped_nodes_below=(CANDIDATES - FAN[d - 1]) * CANDIDATES ** (3 - d))
        for s in range(seeds)
        for d in (1, 2, 3)
    ]
    robust = [
        frame.with_columns(continuation=pl.lit(kind)).select("continuation", *frame.columns)
        for frame in (frontiers, values)
        for kind in ("greedy", "sampled")
    ]
    robust[1] = robust[1].with_columns(pl.col("mean", "ci_low", "ci_high") * 0.98)
    points, best = decoding_tables(judges, seeds, quality)
    columns = [name for name in trees[0][1] if name not in ("worst", "path", "item", "finish")]
    rows = [{name: node[name] for name in columns} for tree in trees for node in tree]
    kinds = {"is_valid": pl.Boolean, "auc": pl.Float64, "recall_at_precision": pl.Float64}
    tables = {
        "prefixes": pl.DataFrame(prefixes),
        "sweep_tree": pl.DataFrame(rows),
        "sweep_levels": pl.DataFrame(levels),
        "completions": pl.DataFrame(completions),
        "judge_labels": pl.DataFrame(list(labels.values()), infer_schema_length=None),
        "token_validity": pl.DataFrame(validity, schema_overrides={"is_valid": pl.Boolean}),
        "node_curves": pl.DataFrame(curves),
        "node_summaries": pl.DataFrame(summaries, schema_overrides={k: v for k, v in kinds.items() if k != "is_valid"}),
        "depth_frontiers": frontiers,
        "depth_summaries": values,
        "robustness_frontiers": pl.concat(robust[:2]),
        "robustness_summaries": pl.concat(robust[2:]),
        "greedy_robustness": robustness_of(list(labels.values())),
        "decoding_points": points,
        "best_decoding": best,
    }
    if len(judges) > 1:
        tables["judge_pairs"], tables["annotator_agreement"] = agreement_tables(labels, seeds)
    return tables


def scaling(cells: dict[tuple, dict]) -> pl.DataFrame:
    """The scaling table of (model, family, size, variant, sweep) -> tables: depths as they are, and all as depth 0."""
    rows = []
    for (model, family, size, variant, sweep), tables in cells.items():
        found = tables["depth_summaries"]
        nodes = tables["node_summaries"].with_columns(depth=pl.lit(0, dtype=pl.Int64)).rows(named=True)
        _, every = by_depth(tables["node_curves"].rows(named=True), nodes)
        for row in pl.concat([every, found]).rows(named=True):
            kept = {k: v for k, v in row.items() if k not in ("n_without_valid", "n_seeds")}
            stage = "pre-trained" if variant == "base" else "post-trained"
            rows.append(dict(model=model, family=family, size=size, variant=variant, stage=stage, sweep=sweep, **kept))
    kinds = {"size": pl.Float64} | dict.fromkeys(("auc", "auc_ci_low", "auc_ci_high"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=kinds, infer_schema_length=None)


def all_tables() -> dict[str, pl.DataFrame]:
    """Every table of one cell and the comparison of five models, one of them of unknown size."""
    models = [
        ("q-base", "Q", 0.6, "base", -0.05),
        ("q-chat", "Q", 0.6, "instruct", 0.0),
        ("q-large", "Q", 8.0, "instruct", 0.12),
        ("l-chat", "L", 1.2, "instruct", 0.05),
        ("api", "", None, "instruct", 0.15),
    ]
    found = {(*model[:4], "stories"): cell(3, model[4]) for model in models}
    return found["q-chat", "Q", 0.6, "instruct", "stories"] | {"model_scaling": scaling(found)}
