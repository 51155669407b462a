"""Building a logit cache so that a crash costs at most one shard.

Everything happens in a staging directory beside the target. A shard is computed, written under a temporary
name, synced, renamed, and only then entered in ``progress.json``; a rerun with the same fingerprint checks
the entered shards and goes on after them. When all are there the manifest is written and one rename makes the
cache appear. Another fingerprint has another staging directory and removes the ones that it finds.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from calib_assets.decoding import PrefixTrie
from resources.artifacts.atomic import (
    exclusive,
    file_sha256,
    fsync_directory,
    require_free_space,
    write_json,
    write_parquet,
)
from resources.artifacts.logit_cache import MANIFEST, NODES, LogitCache, fault, read_manifest
from resources.artifacts.shard import STORED, narrow, write_shard

FORMAT = 1
_PROGRESS = "progress.json"
_NODE_BYTES = 80  # generous, for the disk space check
Score = Callable[
    [Int[np.ndarray, "rows"]], Iterable[tuple[Int[np.ndarray, "some"], Float[np.ndarray, "some vocab"]]]
]


def build_logit_cache(
    path: str | Path,
    trie: PrefixTrie,
    score: Score,
    *,
    dtype: str,
    vocab_size: int,
    context_ids: Iterable[int],
    fingerprint: str,
    order: Int[np.ndarray, "internal"] | None = None,
    attributes: dict[str, Any] | None = None,
    shard_bytes: int = 96 << 20,
    progress: Callable[[int, int], None] | None = None,
) -> LogitCache:
    """Build the cache at ``path``, or finish it, or find it finished (then ``score`` is never called).

    Args:
        path: Directory of the cache; its parent holds the staging directory.
        trie: Its internal nodes are the rows.
        score: ``score(rows)`` yields ``(rows, float32 logits)`` that cover ``rows`` once, in any order.
        dtype: The model's dtype; values must be representable in it.
        vocab_size: Width of a row.
        context_ids: Context of the trie, kept in the manifest.
        fingerprint: Identity of the content; a cache or a staging directory with another one is replaced.
        order: Rows in storing order; consecutive ones are computed together (default: ascending).
        attributes: JSON-able facts to keep in the manifest.
        shard_bytes: Approximate size of a shard (a crash loses at most one).
        progress: Called with (rows done, all rows).

    Returns:
        The open cache, verified by size.

    Raises:
        DiskSpaceError: Before starting, if the disk has not enough room (needed, free, remedy); while
            writing, if it fills up. Finished shards stay and a rerun continues.
        ValueError: If ``score`` leaves a row out, or a value is NaN, +inf or not representable.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(path.parent / f".{path.name}.lock"):
        staging = (
            path.parent / f".{path.name}.building-{hashlib.sha256(fingerprint.encode()).hexdigest()[:16]}"
        )
        _clear_others(path, staging)
        if _is_finished(path, fingerprint):
            return LogitCache.open(path)
        _take_back(path, staging, fingerprint)
        order = np.arange(len(trie.internal)) if order is None else np.asarray(order)
        plan = {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "dtype": dtype,
            "vocab_size": int(vocab_size),
            "context_ids": [int(token) for token in context_ids],
            "n_rows": len(order),
            "n_answers": trie.n_answers,
            "trie_sha256": _sha256(trie.parent, trie.token, trie.answer, trie.is_open),
            "order_sha256": _sha256(order),
            "attributes": json.loads(json.dumps(attributes or {})),  # as it will be read back
        }
        row_bytes = vocab_size * np.dtype(STORED[dtype][1]).itemsize
        ranges = _ranges(len(order), row_bytes, shard_bytes)
        shards = _sound_shards(staging, plan, ranges)
        missing = len(order) - sum(
            last - first for first, last in (shard["rows"] for shard in shards.values())
        )
        require_free_space(path.parent, missing * row_bytes + trie.n_nodes * _NODE_BYTES + (1 << 20))
        done = len(order) - missing
        for number, (first, last) in enumerate(ranges):
            if number in shards:
                continue
            file = staging / f"shard-{number:05d}.safetensors"
            rows = order[first:last]
            stored = _collect(
                score(rows),
                rows,
                vocab_size,
                dtype,
                lambda n, d=done: progress and progress(d + n, len(order)),
            )
            shards[number] = {"file": file.name, "rows": [first, last], **write_shard(file, stored, dtype)}
            write_json(staging / _PROGRESS, {"plan": plan, "shards": [shards[n] for n in sorted(shards)]})
            done += last - first
        _publish(path, staging, trie, order, plan, [shards[number] for number in range(len(ranges))])
    return LogitCache.open(path)


def _sha256(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(array.astype("<i8").tobytes() for array in arrays)).hexdigest()


def _ranges(n_rows: int, row_bytes: int, shard_bytes: int) -> list[tuple[int, int]]:
    """Equal ranges of positions of at most about ``shard_bytes``."""
    count = max(1, -(-n_rows * row_bytes // shard_bytes))
    bounds = [i * n_rows // count for i in range(count + 1)]
    return [(first, last) for first, last in pairwise(bounds) if last > first]


def _clear_others(path: Path, staging: Path) -> None:
    """Remove what earlier builds left: other fingerprints' staging, a replaced cache."""
    for leftover in [*path.parent.glob(f".{path.name}.building-*"), *path.parent.glob(f".{path.name}.old")]:
        if leftover != staging:
            shutil.rmtree(leftover)


def _is_finished(path: Path, fingerprint: str) -> bool:
    manifest = read_manifest(path)
    if manifest is None or manifest["fingerprint"] != fingerprint:
        return False
    entries = [manifest["nodes"], *manifest["shards"]]
    return not any(fault(path / entry["file"], entry, "full") for entry in entries)


def _take_back(path: Path, staging: Path, fingerprint: str) -> None:
    """A published cache of this fingerprint with a damaged file becomes staging again; sound shards stay."""
    manifest = read_manifest(path)
    if manifest is not None and manifest["fingerprint"] == fingerprint and not staging.exists():
        os.rename(path, staging)
        fsync_directory(path.parent)
    staging.mkdir(exist_ok=True)


def _sound_shards(staging: Path, plan: dict, ranges: list[tuple[int, int]]) -> dict[int, dict]:
    """Entered shards of this plan with the entered checksum, by number; all other files are deleted."""
    shards = {}
    # A build that was killed between writing the manifest and the last rename may have only the manifest.
    for name in (_PROGRESS, MANIFEST):
        try:
            entered = json.loads((staging / name).read_text())
        except (OSError, ValueError):
            continue
        stored_plan = entered.get("plan") or {key: entered.get(key) for key in plan}
        if stored_plan == plan:
            for entry in entered["shards"]:
                rows = tuple(entry["rows"])
                if rows in ranges and fault(staging / entry["file"], entry, "full") is None:
                    shards[ranges.index(rows)] = entry
    kept = {entry["file"] for entry in shards.values()} | ({_PROGRESS} if shards else set())
    for file in staging.iterdir():
        if file.name not in kept:
            file.unlink()
    return shards


def _collect(blocks, rows, vocab_size: int, dtype: str, progress: Callable[[int], None]) -> np.ndarray:
    """Put blocks in the order of ``rows``; bits ``[rows, vocab]`` in the stored dtype."""
    stored = np.empty((len(rows), vocab_size), STORED[dtype][1])
    place = {int(row): i for i, row in enumerate(rows)}
    missing = set(place)
    for index, logits in blocks:
        stored[[place[int(row)] for row in index]] = narrow(logits, dtype)
        missing -= {int(row) for row in index}
        progress(len(rows) - len(missing))
    if missing:
        raise ValueError(f"score() gave no logits for rows {sorted(missing)[:5]} (of {len(missing)} missing)")
    return stored


def _publish(path: Path, staging: Path, trie: PrefixTrie, order, plan: dict, shards: list[dict]) -> None:
    """Write the nodes table and the manifest, and let the cache appear under its name."""
    position = np.full(trie.n_nodes, -1)
    position[trie.internal[order]] = np.arange(len(order))
    table = trie.to_frame()
    column = table.select(position=position).to_series()
    write_parquet(staging / NODES, table.with_columns(position=column.set(column < 0, None)))
    nodes = {"file": NODES, "bytes": (staging / NODES).stat().st_size, "sha256": file_sha256(staging / NODES)}
    write_json(staging / MANIFEST, {**plan, "nodes": nodes, "shards": shards})
    (staging / _PROGRESS).unlink(missing_ok=True)
    fsync_directory(staging)
    if path.exists():
        os.rename(path, path.parent / f".{path.name}.old")
    os.rename(staging, path)
    fsync_directory(path.parent)
    shutil.rmtree(path.parent / f".{path.name}.old", ignore_errors=True)
