"""docs/tutorial.md holds: its rows are valid, the planner says what it prints, its new rule obeys every rule's laws."""

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from calib_assets.assets import GRAPH
from calib_assets.decoding import RULES
from calib_assets.plan_lines import render
from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.graph import Graph
from calib_assets.staleness.identity import Context, Snapshot
from calib_assets.staleness.manifest import Manifest
from calib_assets.staleness.planner import plan
from calib_assets.study import load_study
from resources.services import LanguageModels, StoreService, StudyService, slicer_of, tools_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text()
RULE_FILE = "# calib_assets/decoding/rules/top_a.py\n"
# Amounts of model work need tokenizers, which take half a minute to read; the plan does not depend on them.
PLANNED = Graph({key: dataclasses.replace(node, work=None) for key, node in GRAPH.nodes.items()}, GRAPH.specs)


def blocks() -> list[tuple[str, str]]:
    """(language, text) of every fenced block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def steps() -> list[tuple[str, str, str | None]]:
    """(language, block, what it prints or None) of every change that the text makes."""
    found, every = [], blocks()
    for (language, block), following in zip(every, [*every[1:], ("", "")], strict=True):
        if language in ("yaml", "python"):
            found.append((language, block, following[1] if following[0] == "text" else None))
    return found


def merged(change: dict) -> dict:
    """The first study with the rows of a block: new ones at the end, known ones changed."""
    study = yaml.safe_load((ROOT / "studies" / "first.yaml").read_text())
    for field, rows in change.items():
        for row in rows:
            known = [old for old in study.setdefault(field, []) if old["name"] == row["name"]]
            known[0].update(row) if known else study[field].append(row)
    return study


class Desk:
    """A copy of the first study, and a store in which each of its cells has a result that nobody computed."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("lists", "prompts"):
            (folder / name).symlink_to(ROOT / "studies" / name)
        self.file = folder / "mine.yaml"
        self.write(merged({}))
        view = self.view()
        for key in PLANNED.nodes:
            for cell in PLANNED.cells(key, view.study):
                snapshot = Snapshot(view)
                expected = snapshot.expected(key, cell)
                found = Manifest(key, cell, expected, digest([key, list(cell)]), snapshot.inputs(key, cell), {})
                view.store.write_files(key, cell, expected, {})
                view.store.publish(found)

    def write(self, study: dict) -> None:
        self.file.write_text(yaml.safe_dump(study, sort_keys=False))

    def view(self) -> Context:
        service, models = StudyService(path=str(self.file)), LanguageModels()
        store = StoreService(root=str(self.folder / "store"), study=service).open()
        return Context(PLANNED, service.load(), store, slicer_of(store.root), tools_of(models, store))

    def stale(self) -> list[tuple[str, tuple[str, ...]]]:
        """Every stale (asset, cell)."""
        return [(item.key, item.cell) for item in plan(self.view())]

    def status(self) -> list[str]:
        """What ``calib-assets status`` prints, without the amounts of model work."""
        view = self.view()
        lines = "\n".join(render(plan(view), view)).replace(str(self.folder / "store"), "/somewhere/.store")
        return [line for line in lines.splitlines() if not line.startswith(("model work", "note:"))]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return Desk(tmp_path_factory.mktemp("desk"))


@cache
def rule_source() -> str:
    (source,) = [block for language, block in blocks() if language == "python" and block.startswith(RULE_FILE)]
    return source


def load_rule(path: Path):
    """The rule's module, as the package would import it."""
    path.write_text(rule_source())
    spec = importlib.util.spec_from_file_location("calib_assets.decoding.rules.top_a", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def rule(tmp_path):
    module = load_rule(tmp_path / "top_a.py")
    yield module.TopA
    del RULES["top_a"], sys.modules[module.__name__]


def follows(printed: list[str], said: str) -> None:
    """Each line of ``said`` is printed, in this order; ``…`` stands for anything, within a line and between lines."""
    place = 0
    for line in said.strip().splitlines():
        if line == "…" or line.startswith("model work"):
            continue
        pattern = re.compile(re.escape(line).replace("…", ".*"))
        places = [i for i in range(place, len(printed)) if pattern.fullmatch(printed[i])]
        assert places, f"not printed (from line {place} on): {line}\n" + "\n".join(printed)
        place = places[0] + 1


def test_a_copy_of_the_first_study_is_up_to_date(desk):
    said = next(text for language, text in blocks() if language == "text")
    follows(desk.status(), said)
    assert desk.stale() == []


# What each step may recompute: cells of the new row, and fan-ins over it.
MODEL_WORK = {"exact_logit_cache", "sweep_tree", "completions", "rollouts"}
ONLY = {
    "qwen3-8b": lambda key, cell: "qwen3-8b" in cell or not {"model", "speaker"} & set(PLANNED.axes(key)),
    "gpt": lambda key, cell: "gpt" in cell or not {"model", "speaker"} & set(PLANNED.axes(key)),
    "seasons": lambda key, cell: "seasons" in cell or not PLANNED.axes(key),
    "stories": lambda key, cell: "stories" in cell or not PLANNED.axes(key),
    "lenient": lambda key, cell: key in JUDGED | PLANNED.downstream(JUDGED),
    "top_a": lambda key, cell: key in {"decoding_sweep"} | PLANNED.downstream(["decoding_sweep"]),
}
JUDGED = {"judge_labels", "sampled_labels", "sample_labels", "oracle_tokens"}


def check_only(desk, said, new):
    follows(desk.status(), said)
    stale = desk.stale()
    assert stale and [pair for pair in stale if not ONLY[new](*pair)] == []
    if new in ("lenient", "top_a"):
        assert not MODEL_WORK & {key for key, _ in stale}


@pytest.mark.parametrize(
    "step", [step for step in steps() if step[0] == "yaml"], ids=lambda step: " ".join(yaml.safe_load(step[1]))
)
def test_rows_are_valid_and_stale_what_is_said(desk, step):
    _, block, said = step
    desk.write(merged(yaml.safe_load(block)))
    try:
        load_study(desk.file)
        if said is not None:
            check_only(desk, said, next(name for name in ONLY if name in block))
    finally:
        desk.write(merged({}))


def test_the_rule_stales_what_is_said(desk, rule):
    (said,) = [said for language, block, said in steps() if block == rule_source()]
    check_only(desk, said, "top_a")


def test_the_rule_keeps_its_own_definition(rule):
    rng = np.random.default_rng(5)
    for _ in range(200):
        logits, temperature, a = rng.normal(scale=3, size=30), rng.uniform(0.3, 3), rng.uniform(0.01, 1)
        probs = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        np.testing.assert_array_equal(rule(a).retained(logits, temperature), probs >= a * probs.max() ** 2)


def test_the_rule_obeys_the_laws_of_every_rule(tmp_path):
    """The registry's own tests, in a process that has the rule; those that ask for words in the tests are left out."""
    plugin = f"""
import importlib.util, sys
import calib_assets.decoding
spec = importlib.util.spec_from_file_location("calib_assets.decoding.rules.top_a", {str(tmp_path / "top_a.py")!r})
sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""
    (tmp_path / "top_a.py").write_text(rule_source())
    (tmp_path / "with_top_a.py").write_text(plugin)
    asks_for_words = ["agrees_with_the_definition", "parameters_outside_the_range"]
    chosen = "top_a and not top_a_ and " + " and ".join(f"not {name}" for name in asks_for_words)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "with_top_a", "-p", "no:cacheprovider", "-k", chosen]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    result = subprocess.run(
        [*command, "tests/decoding/test_rule_invariants.py"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert int(re.search(r"(\d+) passed", result.stdout)[1]) >= 12


def test_the_rule_is_drawn_and_named_without_another_edit(rule):
    from calib_assets.figures.style import order_rules, rule_label, rule_style

    assert rule_label("top_a") == "top-a" and rule_style("top_a").colour
    assert order_rules(["validity_oracle", "top_a", "top_p"]) == ["top_p", "top_a", "validity_oracle"]


def test_the_rules_doctest_holds(rule):
    import doctest

    module = sys.modules[rule.__module__]
    assert doctest.testmod(module).failed == 0 and doctest.testmod(module).attempted >= 1
    assert json.dumps(rule.default_grid)


def test_the_example_of_how_staleness_decides(desk):
    text = (ROOT / "docs" / "staleness.md").read_text()
    study = merged({})
    study["decoding"]["temperatures"].insert(1, 0.25)
    desk.write(study)
    try:
        check_only(desk, re.search(r"^```text\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1], "top_a")
    finally:
        desk.write(merged({}))


def test_a_study_that_is_new_in_a_store_is_said_in_a_line(desk, tmp_path):
    view = desk.view()
    new = dataclasses.replace(view, store=StoreService(root=str(tmp_path)).open())
    total = sum(len(PLANNED.cells(key, view.study)) for key in PLANNED.nodes)
    assets = sum(1 for key in PLANNED.nodes if PLANNED.cells(key, view.study))
    assert render(plan(new), new) == [
        f"{assets} assets have no result yet: this study is new in this store",
        f"{total} of {total} asset cells are stale in {tmp_path}",
        "model work: none",
    ]


def test_the_demo_finds_what_the_first_study_has(desk):
    view = desk.view()
    demo = dataclasses.replace(view, study=load_study(ROOT / "studies" / "demo.yaml"))
    stale = {(item.key, item.cell) for item in plan(demo)}
    both = [(model.name, task.name) for model in view.study.models for task in view.study.tasks]
    for key in ("exact_logit_cache", "conditional_calibration", "decoding_sweep", "validity_diversity_frontier"):
        assert [cell for cell in both if (key, cell) in stale] == []
        assert (key, (both[0][0], "digits-4")) in stale
    assert desk.stale() == []
