"""The logit cache: lossless, mapped, resumable at any point, loud about damage."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calib_assets.decoding import PrefixTrie
from resources.artifacts.atomic import ArtifactError, DiskSpaceError
from resources.artifacts.cache_builder import build_logit_cache
from resources.artifacts.logit_cache import LogitCache
from resources.artifacts.shard import narrow, widen
from resources.language_models import MarkovModel, cache_trie_logits

TRIE = PrefixTrie.from_sequences([[a, b, c] for a in range(5) for b in range(4) for c in (0, 2)])
ROWS = len(TRIE.internal)


def build(path, model, fingerprint="f1", **options):
    return cache_trie_logits(path, model, [2], TRIE, fingerprint=fingerprint, shard_bytes=100, **options)


def score(model):
    return lambda rows: model.trie_logits([2], TRIE, rows)


def content(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(directory.iterdir())}


class Counting(MarkovModel):
    """Counts the rows asked for; fails after ``fail_after`` of them."""

    def __init__(self, chain, fail_after=10**9):
        super().__init__(chain)
        self.asked, self.fail_after = 0, fail_after

    def tree_logits(self, *args, **kwargs):
        for index, block in super().tree_logits(*args, **kwargs):
            self.asked += len(index)
            if self.asked > self.fail_after:
                raise RuntimeError("killed")
            yield index, block


def test_every_row_is_what_the_model_said(chain, tmp_path):
    model = MarkovModel(chain)
    cache = build(tmp_path / "cache", model, attributes={"bound": 0.5})
    assert len(cache) == ROWS == 26 and len(cache.manifest["shards"]) > 3
    for row, node in enumerate(cache.trie.internal):
        np.testing.assert_array_equal(cache[row], model.next_logits([2, *cache.trie.path(node)]))
    np.testing.assert_array_equal(cache[-1], cache[ROWS - 1])
    np.testing.assert_array_equal(np.stack(list(cache)), np.stack([cache[row] for row in range(ROWS)]))
    assert cache.trie.to_frame().equals(TRIE.to_frame())
    assert (cache.context_ids, cache.dtype, cache.vocab_size, cache.attributes) == (
        [2],
        "float32",
        6,
        {"bound": 0.5},
    )
    with pytest.raises(IndexError):
        cache[ROWS]


def test_shards_are_safetensors_files(chain, tmp_path):
    from safetensors.numpy import load_file

    cache = build(tmp_path / "cache", MarkovModel(chain))
    stored = np.concatenate(
        [load_file(cache.path / shard["file"])["logits"] for shard in cache.manifest["shards"]]
    )
    np.testing.assert_array_equal(stored[cache._position], np.stack(list(cache)))


@settings(deadline=None)
@given(arrays(np.uint16, (3, 4)))
def test_bfloat16_bits_survive_and_agree_with_torch(bits):
    values = torch.from_numpy(bits.view(np.int16).copy()).view(torch.bfloat16).float().numpy()
    if np.isnan(values).any() or (values == np.inf).any():
        with pytest.raises(ValueError, match=r"NaN or \+inf"):
            narrow(values, "bfloat16")
    else:
        np.testing.assert_array_equal(narrow(values, "bfloat16"), bits)
        np.testing.assert_array_equal(widen(bits, "bfloat16"), values)


@settings(deadline=None)
@given(arrays(np.float32, (2, 3), elements=st.floats(width=16, allow_nan=False, allow_infinity=False)))
def test_float16_values_survive(values):
    np.testing.assert_array_equal(widen(narrow(values, "float16"), "float16"), values)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_values_of_another_dtype_are_refused(dtype):
    with pytest.raises(ValueError, match=f"not {dtype} values"):
        narrow(np.array([[0.1]], np.float32), dtype)


def test_a_finished_cache_is_found_without_scoring(chain, tmp_path):
    build(tmp_path / "cache", MarkovModel(chain), attributes={"answers": ("a", "b")})
    model = Counting(chain)
    build(tmp_path / "cache", model, attributes={"answers": ("a", "b")})
    assert model.asked == 0


def test_a_crash_keeps_finished_shards(chain, tmp_path):
    whole = content(build(tmp_path / "whole", MarkovModel(chain)).path)
    with pytest.raises(RuntimeError, match="killed"):
        build(tmp_path / "cache", Counting(chain, fail_after=15))
    assert not (tmp_path / "cache").exists()
    model, seen = Counting(chain), []
    resumed = build(tmp_path / "cache", model, progress=lambda done, total: seen.append((done, total)))
    assert 0 < model.asked <= ROWS - 10
    assert seen[-1] == (ROWS, ROWS) and seen == sorted(seen)
    assert content(resumed.path) == whole


def test_another_fingerprint_starts_anew_and_removes_the_old_staging(chain, tmp_path):
    with pytest.raises(RuntimeError):
        build(tmp_path / "cache", Counting(chain, fail_after=15), "old")
    model = Counting(chain)
    assert build(tmp_path / "cache", model, "new").fingerprint == "new"
    assert model.asked == ROWS
    assert sorted(file.name for file in tmp_path.iterdir()) == [".cache.lock", "cache"]
    assert build(tmp_path / "cache", model, "newer").fingerprint == "newer"  # replaces a published one
    assert sorted(file.name for file in tmp_path.iterdir()) == [".cache.lock", "cache"]


def damage(file: Path, how: str) -> None:
    data = bytearray(file.read_bytes())
    if how == "truncated":
        data = data[:-7]
    elif how == "flipped":
        data[-5] ^= 4
    elif how == "header":
        data[20] ^= 4
    file.unlink()
    if how != "missing":
        file.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "flipped", "header", "missing"])
def test_a_damaged_shard_is_named_and_only_it_is_computed_again(chain, tmp_path, how):
    path = build(tmp_path / "cache", MarkovModel(chain)).path
    whole = content(path)
    damage(path / "shard-00002.safetensors", how)
    with pytest.raises(
        ArtifactError, match=r"shard-00002\.safetensors: stored .*, found .*; remedy: run the asset again"
    ):
        LogitCache.open(path, verify="full")
    if how in ("truncated", "missing"):  # visible by size
        with pytest.raises(ArtifactError, match="stored"):
            LogitCache.open(path)
    if how == "header":  # same size, seen when the row is read
        with pytest.raises(ArtifactError, match="another header"):
            list(LogitCache.open(path))
    model = Counting(chain)
    assert content(build(path, model).path) == whole
    assert 0 < model.asked <= 5


def test_a_damaged_nodes_table_or_manifest_is_refused(chain, tmp_path):
    path = build(tmp_path / "cache", MarkovModel(chain)).path
    shutil.copytree(path, tmp_path / "copy")
    damage(path / "nodes.parquet", "flipped")
    with pytest.raises(ArtifactError, match=r"nodes\.parquet"):
        LogitCache.open(path)
    (tmp_path / "copy" / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match="no readable manifest"):
        LogitCache.open(tmp_path / "copy")


def test_a_resumed_build_distrusts_a_damaged_finished_shard(chain, tmp_path):
    whole = content(build(tmp_path / "whole", MarkovModel(chain)).path)
    with pytest.raises(RuntimeError):
        build(tmp_path / "cache", Counting(chain, fail_after=15))
    (staging,) = tmp_path.glob(".cache.building-*")
    damage(staging / "shard-00001.safetensors", "flipped")
    assert content(build(tmp_path / "cache", MarkovModel(chain)).path) == whole


def test_a_fingerprint_that_forgot_something_does_not_mix_two_caches(chain, tmp_path):
    """The same fingerprint with another context: shards of the first plan are not taken for the second's."""
    model, other = MarkovModel(chain), tmp_path / "other"
    with pytest.raises(RuntimeError):
        build(tmp_path / "cache", Counting(chain, fail_after=15))
    for path in (tmp_path / "cache", other):
        cache_trie_logits(path, model, [1], TRIE, fingerprint="f1", shard_bytes=100)
    assert content(tmp_path / "cache") == content(other)


def test_bad_logits_never_reach_the_disk(chain, tmp_path):
    def wrong(rows):
        yield rows, np.full((len(rows), 6), np.nan, np.float32)

    common = dict(dtype="float32", vocab_size=6, context_ids=[2], fingerprint="f")
    with pytest.raises(ValueError, match=r"NaN or \+inf"):
        build_logit_cache(tmp_path / "c", TRIE, wrong, **common)
    with pytest.raises(ValueError, match=r"no logits for rows \[25\]"):
        build_logit_cache(
            tmp_path / "c", TRIE, lambda rows: score(MarkovModel(chain))(rows[rows != 25]), **common
        )
    assert not (tmp_path / "c").exists()


def test_disk_space_is_checked_before_any_work(chain, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6 - 500, 500))
    model = Counting(chain)
    with pytest.raises(DiskSpaceError, match=r"needed [\d,]+ bytes, free 500; remedy: free disk space"):
        build(tmp_path / "cache", model)
    assert model.asked == 0


CHILD = """
import os, signal, sys
from pathlib import Path
import numpy as np
from calib_assets.decoding import PrefixTrie
from resources.artifacts.cache_builder import build_logit_cache

def rows_of(rows):
    yield rows, np.stack([np.sin(np.arange(500, dtype=np.float32) * (row + 1)) for row in rows])

def build(path):
    trie = PrefixTrie.from_sequences([[a, b] for a in range(11) for b in range(3)])
    order = np.arange(len(trie.internal))[::-1]
    return build_logit_cache(path, trie, rows_of, dtype="float32", vocab_size=500, context_ids=[1],
                             fingerprint="f", order=order, shard_bytes=6000)

"""
KILLED = (
    CHILD
    + r"""
# Every state-changing call is counted; at the chosen one the process dies, in a write after half its bytes.
countdown = 0
def counted(function, halve=False):
    def call(*args, **kwargs):
        global countdown
        countdown -= 1
        if countdown == 0:
            if halve:
                function(args[0], args[1][: len(args[1]) // 2]); args[0].flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call
for name in ("fsync", "replace", "rename"):
    setattr(os, name, counted(getattr(os, name)))
import builtins
real_open = builtins.open
class File:
    def __init__(self, file): self.file = file
    def __getattr__(self, name): return getattr(self.file, name)
    def __enter__(self): self.file.__enter__(); return self
    def __exit__(self, *exc): return self.file.__exit__(*exc)
    write = counted(lambda self, data: self.file.write(data), halve=True)
def opened(path, mode="r", *args, **kwargs):
    file = real_open(path, mode, *args, **kwargs)
    return File(file) if mode == "wb" else file
builtins.open = opened

def attempt(path, kill_at):
    # Build in a forked child that dies at its kill_at-th call; True if it lived to the end.
    global countdown
    countdown = kill_at
    child = os.fork()
    if child == 0:
        build(path)
        os.write(pipe, str(kill_at - countdown).encode().ljust(8))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == 0

def content(path):
    with os.scandir(path) as entries:
        return {entry.name: Path(entry.path).read_bytes() for entry in entries}

folder = Path(sys.argv[1])
source, pipe = os.pipe()
assert attempt(folder / "whole", 10**6)
calls, whole = int(os.read(source, 8)), content(folder / "whole")
for kill_at in range(1, calls + 1):
    path = folder / f"cache-{kill_at}"
    assert not attempt(path, kill_at), kill_at
    assert not path.exists() or content(path) == whole, kill_at   # what is published is whole
    assert attempt(path, 10**6) and content(path) == whole, kill_at
    left = [name for name in os.listdir(folder) if "building" in name or name.endswith((".tmp", ".old"))]
    assert not left, (kill_at, left)
deaths = {}
for step in (5, 9, 13):   # the same build dies again and again, and still ends
    path = folder / f"again-{step}"
    while not attempt(path, step + deaths.get(step, 0) // 8):
        deaths[step] = deaths.get(step, 0) + 1
    assert content(path) == whole, step
print(calls, len(whole), *deaths.values())
"""
)


def run(code, *args):
    return subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True)


def test_kill_9_at_every_write_sync_and_rename_leaves_a_resumable_build(tmp_path):
    result = run(KILLED, tmp_path)
    assert result.returncode == 0, result.stderr
    calls, files, *deaths = map(int, result.stdout.split())
    assert calls > 40 and files == 6  # four shards, nodes, manifest
    assert min(deaths) >= 2


def test_full_disk_while_writing_is_explained_and_resumable(tmp_path):
    limited = CHILD + (
        "from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit\n"
        "setrlimit(RLIMIT_FSIZE, (int(sys.argv[2]), RLIM_INFINITY))\n"
        "build(sys.argv[1])"
    )
    result = run(
        limited, tmp_path / "cache", 5000
    )  # no file may grow beyond: the first shard cannot be written
    assert result.returncode == 1
    assert "DiskSpaceError" in result.stderr and "remedy: free disk space" in result.stderr
    (staging,) = tmp_path.glob(".cache.building-*")
    assert list(staging.iterdir()) == []
    assert run(CHILD + "build(sys.argv[1])", tmp_path / "cache").returncode == 0
    assert run(CHILD + "build(sys.argv[1])", tmp_path / "whole").returncode == 0
    assert content(tmp_path / "cache") == content(tmp_path / "whole")
