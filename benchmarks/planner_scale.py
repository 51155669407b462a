"""Planning at scale: CPU seconds and memory of loading, ``status`` and the sensor's tick, at growing sizes.

At size 1 a study has 50 models, and 8 tasks, 6 sweeps and 6 kinds of rollouts (20 in all): 11,207 asset cells with all
assets. Larger ones have more models. Every cell has a synthetic result with the fingerprint that the planner
expects, in a store in memory (tmpfs) where the system has that.
Each figure is taken in a process of its own, whose imports count: CPU seconds (one thread; on a quiet machine they are
the seconds that pass) and the peak memory. Larger sizes are compared with the time of size 1 in proportion to their
cells.

The plan alone is compared with the planner that looked up everything anew for each cell (:func:`looked_up_anew`), on
the same store. Both must find nothing stale in the whole store, and the same cells after files of some results were
deleted.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from benchmarks.machine import ROOT
from benchmarks.rows import Check, Row, Run
from calib_assets.assets import GRAPH
from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.graph import cell_name
from calib_assets.staleness.identity import Context, Snapshot
from calib_assets.staleness.manifest import Manifest
from calib_assets.staleness.planner import plan
from resources.services import LanguageModels, StoreService, StudyService, slicer_of, tools_of

THREADS = 1
SMALL = {"sizes": [0.04, 0.08]}
FULL = {"sizes": [1, 3, 10]}
MODELS, TASKS, SWEEPS, ROLLOUTS = 50, 8, 6, 6
SECONDS, MEGABYTES = 10.0, 1000.0  # limits at size 1; of memory at any
DAMAGED = 97  # the file of every such result is deleted


def write_study(folder: Path, models: int) -> None:
    """A study of hub models that nobody will load."""
    digits = {"kind": "digits", "length": 2, "prompt": "Two random digits.", "completion": "Digits:"}
    (folder / "prompts.jsonl").write_text(json.dumps({"id": "a", "prompt": "p", "answers": ["x"]}))
    sweep = {"prompts": "few", "judges": ["exact"], "seeds": 2, "depth": 1, "max_new_tokens": 8}
    sweep |= {"decoding": {"samples": 4, "temperatures": [1.0], "rules": {"top_p": [0.9]}}}
    rollouts = {"prompts": "few", "rollouts": 10, "max_new_tokens": 50}
    hub = {"id": "organisation/model", "revision": "0" * 40}
    study = {
        "name": "scale",
        "title": "Scale",
        "models": [{"name": f"model-{n}", "source": hub, "variant": "base"} for n in range(models)],
        "tasks": [{"name": f"task-{n}", **digits} for n in range(TASKS)],
        "prompt_sets": [{"name": "few", "file": "prompts.jsonl"}],
        "judges": [{"name": "exact", "kind": "verifier"}],
        "embedder": {"name": "ngrams", "source": {"ngrams": 64}},
        "sweeps": [{"name": f"sweep-{n}", **sweep} for n in range(SWEEPS)],
        "rollouts": [{"name": f"rollouts-{n}", **rollouts} for n in range(ROLLOUTS)],
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))


def open_view(folder: Path) -> Context:
    """The planner's view of a folder with a study and a store."""
    study, models = StudyService(path=str(folder / "study.yaml")), LanguageModels()
    store = StoreService(study=study, root=str(folder / "store")).open()
    return Context(GRAPH, study.load(), store, slicer_of(store.root), tools_of(models, store))


def fill(view: Context) -> int:
    """A result for every cell, upstream first; the number of cells."""
    snapshot, count = Snapshot(view), 0
    for key in GRAPH.nodes:
        for cell in snapshot.cells(key):
            mark = snapshot.expected(key, cell)
            folder = view.store.folder(key, cell, mark)
            folder.mkdir(parents=True)
            (folder / f"{key}.parquet").write_bytes(b"12345678")
            files = {f"{key}.parquet": {"bytes": 8, "sha256": "0" * 64}}
            inputs = snapshot.inputs(key, cell)
            manifest = Manifest(key, cell, mark, digest([key, list(cell)]), inputs, files, run_id="synthetic")
            (folder / "manifest.json").write_text(json.dumps(vars(manifest)))
            os.link(folder / "manifest.json", folder.parent / "current.json")
            count += 1
    return count


def looked_up_anew(context: Context) -> list[tuple[str, tuple[str, ...]]]:
    """Stale cells, as the planner found them before it had a snapshot: every cell asks the study and the store anew."""
    graph, stale = context.graph, {}
    for key, node in graph.nodes.items():
        for cell in graph.cells(key, context.study):
            waits = [pair for pair in graph.upstream(key, cell, context.study) if pair in stale]
            manifest = context.store.current(key, cell)
            slices, upstream = {}, {}
            for dep, dep_cell in graph.upstream(key, cell, context.study):
                if dep in graph.specs:
                    slices.setdefault(dep, {})[cell_name(dep_cell)] = context.slicer(context.study, dep, dep_cell)
                else:
                    found = context.store.current(dep, dep_cell)
                    upstream.setdefault(dep, {})[cell_name(dep_cell)] = found.data_version if found else None
            snapshot = Snapshot(context)
            inputs = {
                "code": snapshot.code(key, cell),
                "libraries": snapshot.libraries(key),
                "upstream": upstream,
                "slices": slices,
            }
            expected = digest([key, list(cell), inputs])
            current = manifest is not None and manifest.fingerprint == expected
            if waits or not current or context.store.damage(manifest) is not None:
                stale[key, cell] = node
    return list(stale)


def clock() -> tuple[float, float]:
    """CPU seconds of this process, and seconds."""
    return time.process_time(), time.perf_counter()


def since(started: tuple[float, float]) -> tuple[float, ...]:
    """What has passed of both."""
    return tuple(now - before for now, before in zip(clock(), started, strict=True))


def measure(what: str, folder: Path) -> dict:
    """What one thing takes in this process; called in a process of its own, whose imports count."""
    started = (0.0, time.perf_counter() - time.process_time())
    if what == "load":
        from calib_assets.definitions import defs

        defs.get_repository_def()
    elif what in ("status", "status of an empty store"):
        from calib_assets.cli import main

        sys.stdout = open(os.devnull, "w")
        store = folder / ("store" if what == "status" else "empty")
        main(["--study", str(folder / "study.yaml"), "--store", str(store), "status"])
        sys.stdout = sys.__stdout__
    elif what in ("plan", "plan, looked up anew"):
        view = open_view(folder)
        for key in GRAPH.nodes:
            for cell in view.graph.cells(key, view.study)[:1]:
                Snapshot(view).code(key, cell)
        started = clock()  # hashes of code are the same for both
        found = [(one.key, one.cell) for one in plan(view)] if what == "plan" else looked_up_anew(view)
        return {what: since(started), "stale": sorted(f"{key} {cell_name(cell)}" for key, cell in found)}
    else:
        return tick(folder, "store" if what == "tick" else "empty")
    return {what: since(started)}


def tick(folder: Path, store: str) -> dict[str, tuple[float, ...]]:
    """First tick (all partitions and observations are new) and the one after it, in a process that has loaded."""
    import dagster as dg

    from calib_assets.definitions import build_defs

    study = StudyService(path=str(folder / "study.yaml"))
    defs = build_defs(study=study, store=StoreService(study=study, root=str(folder / store)))
    repository, found, name = defs.get_repository_def(), {}, "tick" if store == "store" else "tick of an empty store"
    sensor = repository.get_sensor_def("refresh_stale")
    with dg.instance_for_test() as instance:
        cursor = None
        for label in (f"{name}, the first", name):
            started = clock()
            resources = {name: repository.get_top_level_resources()[name] for name in sensor.required_resource_keys}
            with dg.build_sensor_context(
                instance_ref=instance.get_ref(), cursor=cursor, repository_def=repository, resources=resources
            ) as context:
                data = sensor.evaluate_tick(context)
            found[label] = since(started)
            cursor = data.cursor
            for event in data.asset_events:
                instance.report_runless_asset_event(event)
            for request in data.dynamic_partitions_requests or ():
                instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
    return found


KINDS = ("load", "status", "status of an empty store", "tick", "tick of an empty store")
MEMORY = Path("/dev/shm")
LARGER = ("status", "tick")  # what is measured beyond the first size
PLANS = ("plan", "plan, looked up anew")


def damage(folder: Path) -> int:
    """Delete the file of some results; how many."""
    files = sorted((folder / "store").rglob("*.parquet"))[::DAMAGED]
    for file in files:
        file.unlink()
    return len(files)


def roomy(folder: Path) -> Path:
    """Memory where it has room for the store: some disks delete only some hundred files a second."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 << 30 else folder


def apart(what: str, folder: Path) -> dict:
    """Measure in a child process: both times by name, and its peak memory in MB."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.planner_scale", what, str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def rows(run: Run, sizes: Sequence[float] = (1, 3)) -> Iterator[Row]:
    """For each size a row of each kind, and one of the plan against the planner as it was."""
    base: dict[str, float] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=roomy(run.folder)) as name:
            folder = Path(name)
            write_study(folder, round(MODELS * size))
            cells = fill(open_view(folder))
            base.setdefault("cells", cells)
            for what in LARGER if "load" in base else KINDS:
                found = apart(what, folder)
                memory = Check("peak memory in MB", found.pop("MB"), MEGABYTES)
                for label, (took, _) in found.items():
                    yield kind_row(label, took, memory, cells, base)
            yield plan_row(folder, cells)


def kind_row(label: str, took: float, memory: Check, cells: int, base: dict[str, float]) -> Row:
    """Against the limits at the first size, and against the first size in proportion at others."""
    what, size = f"planner: {label}", f"{cells:,} cells"
    if label not in base:
        base[label] = took
        limits = (Check("CPU seconds", took, SECONDS), memory)
        return Row(what, size, "limits that were asked for", took, checks=limits, clock="CPU")
    times = cells / base["cells"]
    baseline = f"its time for {base['cells']:,} cells, times {times:.2f}"
    return Row(what, size, baseline, took, base[label] * times, (memory,), clock="CPU", scaled="in proportion to cells")


def plan_row(folder: Path, cells: int) -> Row:
    """The plan of a whole store, and of one with damage, by both planners."""
    whole = [apart(what, folder) for what in PLANS]
    damaged = damage(folder)
    hurt = [set(apart(what, folder)["stale"]) for what in PLANS]
    return Row(
        "planner: the plan alone",
        f"{cells:,} cells",
        "the planner that looked up everything anew for each cell (its code is kept in the benchmark)",
        whole[0]["plan"][0],
        whole[1]["plan, looked up anew"][0],
        (
            Check("stale cells in a whole store", sum(len(found["stale"]) for found in whole), 0),
            Check("damaged results not found", max(0, damaged - min(map(len, hurt))), 0),
            Check(f"of {len(hurt[0]):,} cells stale after damage, found by one alone", len(hurt[0] ^ hurt[1]), 0),
        ),
        clock="CPU",
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    measured = measure(arguments.what, arguments.folder)
    print(json.dumps({**measured, "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}))
