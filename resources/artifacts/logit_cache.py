"""Reading the logit cache of one (model, task): the logits at every internal node of a trie, on disk.

Layout of the directory (written by :mod:`.cache_builder`)::

    manifest.json                 fingerprint, dtype, vocabulary, context, checksums, row ranges; written last
    nodes.parquet                 one row per trie node, and the position of its logits (null at leaves)
    shard-00000.safetensors …     logits in the model's own dtype, of the positions rows[0] .. rows[1] - 1

Rows are stored in the order in which they were computed (depth first), which ``nodes.parquet`` maps back to
``trie.internal``; the reader hides it.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from jaxtyping import Float

from calib_assets.decoding import PrefixTrie
from resources.artifacts.atomic import ArtifactError, file_sha256
from resources.artifacts.shard import map_shard, widen

MANIFEST, NODES = "manifest.json", "nodes.parquet"
_REMEDY = "run the asset again: only what is damaged is computed again"
Level = Literal["size", "full"]


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a cache directory; None if there is none that can be read."""
    try:
        return json.loads((path / MANIFEST).read_text())
    except (OSError, ValueError):
        return None


def fault(file: Path, entry: dict[str, Any], level: Level) -> tuple[object, object] | None:
    """What differs between a file and its manifest entry: ``(stored, found)``, or None."""
    size = file.stat().st_size if file.exists() else None
    if size != entry["bytes"]:
        return f"{entry['bytes']:,} bytes", "no file" if size is None else f"{size:,} bytes"
    if level == "full" and (found := file_sha256(file)) != entry["sha256"]:
        return f"sha256 {entry['sha256']}", found
    return None


class LogitCache:
    """A finished cache, mapped. ``cache[row]`` is the float32 logits of node ``cache.trie.internal[row]``.

    Open it with :meth:`open`.

    Attributes:
        path: Its directory.
        manifest: The parsed manifest.json.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]):
        self.path, self.manifest = path, manifest
        self._starts = np.array([shard["rows"][0] for shard in manifest["shards"]])
        self._maps: dict[int, np.ndarray] = {}

    @classmethod
    def open(cls, path: str | Path, verify: Level = "size") -> Self:
        """Open and verify a cache.

        Args:
            path: The cache's directory.
            verify: ``"size"`` compares file sizes (instant), ``"full"`` also SHA-256 (reads everything once).
                The nodes table is always compared in full.

        Raises:
            ArtifactError: No finished cache there, or a truncated, missing or changed file: names the file,
                what was stored, what was found, and the remedy.
        """
        path = Path(path)
        manifest = read_manifest(path)
        if manifest is None:
            raise ArtifactError(
                path, "a finished logit cache", "no readable manifest.json", "materialize the logit cache"
            )
        cache = cls(path, manifest)
        cache.verify(verify)
        return cache

    def verify(self, level: Level = "full") -> None:
        """Compare the files with the manifest; see :meth:`open`."""
        entries = [(self.manifest["nodes"], "full"), *((shard, level) for shard in self.manifest["shards"])]
        for entry, how in entries:
            file = self.path / entry["file"]
            if difference := fault(file, entry, how):
                raise ArtifactError(file, *difference, _REMEDY)

    # -- what it is -----------------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        """Given by the builder's caller."""
        return self.manifest["fingerprint"]

    @property
    def dtype(self) -> str:
        """The model's dtype, in which the logits are stored."""
        return self.manifest["dtype"]

    @property
    def vocab_size(self) -> int:
        """Width of a row."""
        return self.manifest["vocab_size"]

    @property
    def context_ids(self) -> list[int]:
        """The context that the trie continues."""
        return self.manifest["context_ids"]

    @property
    def attributes(self) -> dict[str, Any]:
        """Whatever the caller stored beside (texts of answers, bound of an exploration)."""
        return self.manifest["attributes"]

    def files(self) -> dict[str, dict[str, Any]]:
        """File name -> {"bytes", "sha256"} of every file of the cache, its manifest included."""
        entries = [self.manifest["nodes"], *self.manifest["shards"]]
        found = {entry["file"]: {"bytes": entry["bytes"], "sha256": entry["sha256"]} for entry in entries}
        own = self.path / MANIFEST
        return found | {MANIFEST: {"bytes": own.stat().st_size, "sha256": file_sha256(own)}}

    @cached_property
    def content_digest(self) -> str:
        """SHA-256 of nodes, logits and context, but not of the fingerprint: the data version."""
        content = {key: value for key, value in self.manifest.items() if key != "fingerprint"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _nodes(self) -> pl.DataFrame:
        return pl.read_parquet(self.path / NODES)

    @cached_property
    def trie(self) -> PrefixTrie:
        """The trie whose internal nodes the rows belong to."""
        return PrefixTrie.from_frame(self._nodes.drop("position"), n_answers=self.manifest["n_answers"])

    @cached_property
    def _position(self) -> np.ndarray:
        """Stored position of each row."""
        return self._nodes.sort("node")["position"].drop_nulls().to_numpy()

    # -- logits ---------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.manifest["n_rows"]

    def _shard(self, number: int) -> np.ndarray:
        if number not in self._maps:
            entry = self.manifest["shards"][number]
            first, last = entry["rows"]
            self._maps[number] = map_shard(
                self.path / entry["file"], self.dtype, last - first, self.vocab_size
            )
        return self._maps[number]

    def __getitem__(self, row: int) -> Float[np.ndarray, "vocab"]:
        """Float32 logits of one row (read-only where no conversion was needed)."""
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of a cache with {len(self)} rows")
        position = self._position[row]
        number = int(np.searchsorted(self._starts, position, side="right")) - 1
        return widen(np.asarray(self._shard(number)[position - self._starts[number]]), self.dtype)

    def __iter__(self):
        return (self[row] for row in range(len(self)))

    def close(self) -> None:
        """Forget the mappings; a later access maps again."""
        self._maps.clear()
