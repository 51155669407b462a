"""Sampling that is killed goes on where it was, and the memory of a run does not grow with the number of rollouts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
from workplace import Workplace

from calib_assets.staleness.run import materialize

CELL = ("alpha", "completion")
SAMPLE = """
import sys
from pathlib import Path
from workplace import Workplace
from calib_assets.staleness.run import materialize
materialize(Workplace(Path(sys.argv[1]), new=False).view(), "rollouts", ("alpha", "completion"), log=print)
"""
# Writes a table of rollouts from pieces as the asset does, reads it as the measures do, prints the peak memory in kB.
MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
import polars as pl
from calib_assets.assets.canopy.rollouts import PIECE, SCHEMA
from calib_assets.assets.streamed import scan_parts, streamed
from calib_assets.metrics import entropy_trajectory, prompt_correlations, prompt_measures
from calib_assets.staleness.identity import Context
from calib_assets.staleness.run import Run
from calib_assets.staleness.store import ArtifactStore
from calib_assets.stats import Bootstrap
folder, prompts, steps = Path(sys.argv[1]), int(sys.argv[2]), 1000
rng, frames = np.random.default_rng(0), []
for prompt in range(prompts):
    entropies = rng.uniform(0, 2, (256, steps))
    rows = pl.DataFrame(
        {
            "sample": range(256),
            "text": ["x" * steps] * 256,
            "ids": rng.integers(0, 50_000, (256, steps)).tolist(),
            "step_entropy": entropies.tolist(),
            "length": [steps] * 256,
            "sequence_entropy": entropies.sum(axis=1),
            "entropy_rate": entropies.mean(axis=1),
            "truncated": [True] * 256,
            "finish": ["length"] * 256,
            "log_probability": [-1.0] * 256,
        },
        schema=PIECE,
    )
    path = folder / f"{prompt:04d}.parquet"
    rows.write_parquet(path)
    frames.append(pl.scan_parquet(path).with_columns(pl.lit(f"p{prompt:04d}").alias("prompt_id")))
store = ArtifactStore(folder / "store")
run = Run(Context(None, None, store, None), "rollouts", (), store.folder("rollouts", (), "f"), "f", print)
result = streamed(run, "rollouts", frames, SCHEMA)
table = scan_parts(run.folder, "rollouts")
assert prompt_measures(table, steps).height == prompts
assert entropy_trajectory(table, Bootstrap(n_boot=20)).height == steps
assert prompt_correlations(table).height == prompts
print(sum(entry["bytes"] for entry in result.written.values()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def python(code, *arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "helpers"), "PYTHONWARNINGS": "ignore"}
    environment |= {"POLARS_MAX_THREADS": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, **options)


def test_killed_while_sampling_only_what_lacked_is_sampled(tmp_path):
    def many(study):
        study.update(tasks=[], sweeps=[])
        study["rollouts"][0].update(rollouts=640)

    place, reference = Workplace(tmp_path / "killed"), Workplace(tmp_path / "whole")
    for workplace in (place, reference):
        workplace.edit(many)
    pieces = place.folder / "store" / ".pieces"
    process = python(SAMPLE, place.folder)
    end = time.monotonic() + 120
    while process.poll() is None and len(list(pieces.rglob("*.sha256"))) < 7:
        assert time.monotonic() < end, "no rollouts after two minutes"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = {path: path.read_bytes() for path in pieces.rglob("*.parquet") if path.with_suffix(".sha256").exists()}
    assert place.view().store.current("rollouts", CELL) is None and 7 <= len(kept) < 60
    for workplace in (place, reference):
        materialize(workplace.view(), "rollouts", CELL, log=lambda line: None)
    one, other = (workplace.view().store for workplace in (place, reference))
    assert one.current("rollouts", CELL).numbers["sampled now"] == 3 * 640 - 32 * len(kept)
    assert one.current("rollouts", CELL).data_version == other.current("rollouts", CELL).data_version
    assert one.table("rollouts", CELL, "rollouts").equals(other.table("rollouts", CELL, "rollouts"))
    for path, data in kept.items():
        assert path.read_bytes() == data, "a finished piece was computed again"


def test_memory_does_not_grow_with_the_number_of_rollouts(tmp_path):
    peaks = {}
    for prompts in (8, 32):
        folder = tmp_path / str(prompts)
        folder.mkdir()
        process = python(MEASURE, folder, prompts)
        printed, _ = process.communicate(timeout=240)
        assert process.returncode == 0
        size, peak = map(int, printed.split())
        peaks[prompts] = (size / 2**20, peak / 1024)
    (small, before), (large, after) = peaks[8], peaks[32]
    assert large - small > 45  # MB on the disk, compressed
    assert after - before < 0.4 * (large - small), peaks


def test_a_model_without_an_end_is_truncated_everywhere_and_says_so(tmp_path):
    place = Workplace(tmp_path / "endless")
    chain = json.loads((place.folder / "alpha.json").read_text())
    (place.folder / "alpha.json").write_text(json.dumps({**chain, "end": []}))
    place.edit(lambda study: study.update(tasks=[], sweeps=[]))
    view = place.view()
    for key in ("rollouts", "canopy_entropy", "entropy_trajectories", "length_entropy_correlation"):
        materialize(view, key, CELL, log=lambda line: None)
    assert view.store.current("rollouts", CELL).numbers["share truncated"] == 1.0
    found = dict(view.store.table("canopy_entropy", CELL, "canopy_entropy").select("measure", "est").iter_rows())
    assert found["truncation_rate"] == 1.0 and found["bias_bound"] is None
    prompts = view.store.table("length_entropy_correlation", CELL, "prompt_correlations")
    assert prompts["reason"].to_list() == ["no variation in length"] * 3
    assert prompts["pearson"].null_count() == 3
    assert view.store.table("length_entropy_correlation", CELL, "length_entropy_correlation")["est"].null_count() == 4
    lengths = view.store.table("entropy_trajectories", CELL, "length_distribution")
    assert lengths.select(pl.col("length", "n", "n_truncated")).rows() == [(12, 36, 36)]
