"""The coding study on chains whose programs are known: samples, verdicts from the real sandbox, measures, staleness."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from math import exp, log
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from answer_server import KEY, answer_server
from answering import api_row
from coding_workplace import END, LINE, PROBLEMS, RIGHT, START, CodingWorkplace, sequences

from calib_assets.figures.text import share
from calib_assets.staleness.planner import plan
from calib_assets.staleness.run import materialize
from resources.sandbox import channel

CELL = ("pick", "alpha")
CELLS = {"pick|alpha", "pick|beta"}


@pytest.fixture
def workplace(coding, tmp_path):
    """A private copy of the computed study."""
    shutil.copytree(coding.folder, tmp_path / "copy")
    return CodingWorkplace(tmp_path / "copy", new=False)


def table(place, asset, name=None, cell=CELL):
    return place.view().store.table(asset, cell, name or asset)


def refreshed(place, instance):
    summary, computed = place.refresh(instance)
    assert summary.ok, (summary.failed, summary.failed_checks)
    assert plan(place.view()) == []
    return {asset: cells for asset, cells in computed.items() if asset.startswith("code_")}


def numbers(place, asset, cell=CELL):
    return place.view().store.current(asset, cell).numbers


def returned(program: str) -> str:
    return program.removeprefix(START)


def test_every_program_is_one_of_the_chains_with_its_probability(coding):
    rows, known = table(coding, "code_samples"), sequences()
    assert rows.height == 120 and rows["program"].null_count() == 0
    for program, text, logp, finish, tokens in rows.select(
        "program", "text", "log_probability", "finish", "n_tokens"
    ).iter_rows():
        end = LINE if LINE in text else END
        assert logp == pytest.approx(log(known[returned(program), end]), abs=1e-5)
        assert (finish, tokens) == (("stop", 2) if end == LINE else ("end", 2))
    # The line behind the function ends it and is no part of it.
    assert not rows["program"].str.contains("print").any() and rows["text"].str.contains("print").any()


def test_verdicts_are_those_of_the_real_interpreter(coding):
    rows = table(coding, "code_samples").join(table(coding, "code_verdicts"), on=["problem_id", "sample"])
    for problem, program, kind in rows.select("problem_id", "program", "kind").iter_rows():
        wanted = (
            "passed" if returned(program) in RIGHT[problem] else "error" if program.endswith("+") else "wrong_answer"
        )
        assert kind == wanted, (problem, program)
    assert numbers(coding, "code_verdicts")["programs run now"] == rows.select("problem_id", "program").n_unique()


def test_measures_are_those_of_the_chain(coding):
    """Second route: the measures from the chain's own probabilities and the list of right programs."""
    known, rows = sequences(), table(coding, "code_samples")
    for found in table(coding, "code_calibration").iter_rows(named=True):
        right, own = RIGHT[found["problem_id"]], rows.filter(pl.col("problem_id") == found["problem_id"])
        drawn = [(returned(p), LINE if LINE in t else END) for p, t in own.select("program", "text").iter_rows()]
        mass = {key: known[key] for key in drawn}
        valid = sum(p for (text, _), p in mass.items() if text in right)
        assert found["valid_mass_share"] == pytest.approx(valid / sum(mass.values()), abs=1e-6)
        assert found["sampled_mass"] == pytest.approx(sum(mass.values()), abs=1e-6)
        good = [known[key] for key in drawn if key[0] in right]
        bad = [known[key] for key in drawn if key[0] not in right]
        pairs = np.subtract.outer(good, bad)
        # Equal probabilities are equal up to the rounding of a product.
        order = ((pairs > 1e-9) + 0.5 * (abs(pairs) <= 1e-9)).mean()
        assert found["order_auroc_samples"] == pytest.approx(order, abs=1e-12)
        share = sum(p for (text, _), p in known.items() if text in right)
        assert found["share_passed"] == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 60))
        programs = {text: known[text, LINE] + known[text, END] for text in {text for text, _ in mass} & right}
        seen = {text: sum(mass.get((text, end), 0) for end in (LINE, END)) for text in programs}
        q = np.array(list(seen.values())) / sum(seen.values())
        assert found["effective_passing_programs_by_mass"] == pytest.approx(exp(-(q * np.log(q)).sum()), abs=1e-6)


def test_pass_at_k_and_the_comparison(coding):
    place = coding
    rates = table(place, "code_calibration", "pass_at_k").filter(pl.col("problem_id") == "sum")
    n, c = table(place, "code_calibration").filter(pl.col("problem_id") == "sum").select("n_tested", "n_passed").row(0)
    assert rates["pass_at_k"].to_list()[:2] == [
        pytest.approx(c / n),
        pytest.approx(1 - (n - c) * (n - c - 1) / (n * (n - 1))),
    ]
    assert rates["pass_at_k"].to_list()[3] is None  # k = 100 of 60 samples
    differences = table(place, "code_comparison", "code_differences", ("pick",))
    summary = {
        name: dict(
            table(place, "code_calibration", "code_summary", ("pick", name)).select("measure", "est").iter_rows()
        )
        for name in ("alpha", "beta")
    }
    found = dict(differences.select("measure", "est").iter_rows())
    assert found["share_passed"] == pytest.approx(summary["beta"]["share_passed"] - summary["alpha"]["share_passed"])
    assert set(differences["reference"]) == {"alpha"} and set(differences["speaker"]) == {"beta"}


def test_nothing_changed_nothing_runs(workplace, instance):
    assert refreshed(workplace, instance) == {}


def test_other_limits_run_programs_again_and_sample_none(workplace, instance):
    def change(study):
        study["coding"][0]["limits"]["cpu_seconds"] = 3

    workplace.edit(change)
    computed = refreshed(workplace, instance)
    assert computed == {"code_verdicts": CELLS}  # the same verdicts: what follows is not recomputed
    assert numbers(workplace, "code_verdicts")["programs run now"] > 0


def test_another_test_runs_the_programs_of_its_problem_alone(workplace, instance, monkeypatch):
    sum_, first = PROBLEMS
    harder = {**first, "tests": [*first["tests"], {"args": [5, 6], "expected": 0}]}
    before = table(workplace, "code_verdicts").filter(pl.col("problem_id") == "sum")
    workplace.problems([sum_, harder])
    computed = refreshed(workplace, instance)
    assert "code_samples" not in computed and computed["code_verdicts"] == computed["code_calibration"] == CELLS
    after = table(workplace, "code_verdicts")
    assert after.filter(pl.col("problem_id") == "sum").equals(before)
    assert not after.filter(pl.col("problem_id") == "first")["passed"].any()
    own = table(workplace, "code_samples").filter(pl.col("problem_id") == "first")
    assert numbers(workplace, "code_verdicts")["programs run now"] == own["program"].n_unique()
    workplace.problems([sum_, first])  # back: the earlier results are in use again, and no program is run
    monkeypatch.setattr(channel, "_START", "raise SystemExit(5)")
    assert "code_samples" not in refreshed(workplace, instance)
    assert table(workplace, "code_verdicts").filter(pl.col("problem_id") == "first")["passed"].any()


def test_a_solution_or_licence_touches_nothing(workplace, instance):
    workplace.problems([{**problem, "solution": START + "a", "licence": "MIT"} for problem in PROBLEMS])
    assert refreshed(workplace, instance) == {}


def test_another_question_samples_its_problem_alone(workplace, instance):
    before = table(workplace, "code_samples").filter(pl.col("problem_id") == "sum")
    workplace.problems([PROBLEMS[0], {**PROBLEMS[1], "prompt": "p"}])
    assert refreshed(workplace, instance)["code_samples"] == CELLS
    assert numbers(workplace, "code_samples")["sampled now"] == 60
    assert table(workplace, "code_samples").filter(pl.col("problem_id") == "sum").equals(before)


def test_more_samples_add_only_these(workplace, instance):
    before, ran = table(workplace, "code_samples"), table(workplace, "code_samples").unique(["problem_id", "program"])

    def change(study):
        study["coding"][0]["samples"] = 100

    workplace.edit(change)
    assert refreshed(workplace, instance)["code_samples"] == CELLS
    assert numbers(workplace, "code_samples")["sampled now"] == 80
    after = table(workplace, "code_samples")
    assert after.filter(pl.col("sample") < 60).equals(before)
    new = after.unique(["problem_id", "program"]).height - ran.height
    assert numbers(workplace, "code_verdicts")["programs run now"] == new


def test_other_ks_sample_and_run_nothing(workplace, instance):
    def change(study):
        study["coding"][0]["ks"] = [3]

    workplace.edit(change)
    assert not {"code_samples", "code_verdicts"} & set(refreshed(workplace, instance))
    assert table(workplace, "code_calibration", "pass_summary")["k"].to_list() == [3]


def test_a_broken_sandbox_is_missing_and_tried_again(workplace, monkeypatch):
    def change(study):
        study["coding"][0]["limits"]["cpu_seconds"] = 4

    workplace.edit(change)
    view, start = workplace.view(), channel._START
    broken = "import sys; sys.stdin.readline(); print('{{\"ready\": true}}', flush=True)"
    from resources.sandbox.sandbox import prove

    prove()
    monkeypatch.setattr(channel, "_START", broken)
    with pytest.raises(RuntimeError, match="120 of 120 programs have no verdict, the first: the sandbox broke down"):
        materialize(view, "code_verdicts", CELL, log=lambda line: None)

    def allow(study):
        study["coding"][0]["max_missing_share"] = 1.0

    workplace.edit(allow)
    view = workplace.view()
    materialize(view, "code_verdicts", CELL, log=lambda line: None)
    lacking = table(workplace, "code_verdicts")
    assert lacking["passed"].null_count() == lacking["kind"].null_count() == 120
    materialize(view, "code_calibration", CELL, log=lambda line: None)
    found = table(workplace, "code_calibration")
    assert found["n_tested"].to_list() == [0, 0] and found["share_passed"].null_count() == 2
    monkeypatch.setattr(channel, "_START", start)
    materialize(view, "code_verdicts", CELL, log=lambda line: None, force=True)
    assert table(workplace, "code_verdicts")["kind"].null_count() == 0


STEP = """
import sys
from pathlib import Path
from coding_workplace import CodingWorkplace
from calib_assets.staleness.run import materialize
materialize(CodingWorkplace(Path(sys.argv[1]), new=False).view(), sys.argv[2], ("pick", "alpha"), log=print)
"""


@pytest.mark.parametrize(("asset", "samples"), [("code_samples", 640), ("code_verdicts", 60)])
def test_killed_it_goes_on_where_it_was(tmp_path, monkeypatch, asset, samples):
    def many(study):
        study["coding"][0]["samples"] = samples

    monkeypatch.setenv("CALIB_SANDBOXES", "1")
    places = [CodingWorkplace(tmp_path / name) for name in ("killed", "whole")]
    for place in places:
        place.many_programs()
        place.edit(many)
        if asset == "code_verdicts":
            materialize(place.view(), "code_samples", CELL, log=lambda line: None)
    pieces = places[0].folder / "store" / ".pieces" / asset
    helpers = str(Path(__file__).parents[1] / "helpers")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([helpers, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-W", "ignore", "-c", STEP, str(places[0].folder), asset]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while process.poll() is None and len(list(pieces.rglob("*.sha256"))) < 2:
        assert time.monotonic() < end, "nothing after two minutes"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.read_bytes() for path in pieces.rglob("*.parquet") if path.with_suffix(".sha256").exists()}
    assert places[0].view().store.current(asset, CELL) is None and len(kept) >= 2
    for place in places:
        materialize(place.view(), asset, CELL, log=lambda line: None)
    killed, whole = (numbers(place, asset) for place in places)
    count = "sampled now" if asset == "code_samples" else "programs run now"
    done = sum(pl.read_parquet(path).height for path in kept)
    assert killed[count] == whole[count] - done and killed[count] > 0
    assert table(places[0], asset).equals(table(places[1], asset))
    for path, data in kept.items():
        assert path.read_bytes() == data, "a finished piece was made again"


def test_code_is_identity_and_the_machine_is_not():
    """Nothing of this machine's paths or of a process's state stands in what a verdict's identity covers."""
    from calib_assets.assets.cases.code_verdicts import NODE, sandbox_code
    from calib_assets.staleness.code_version import code_parts

    parts = code_parts(NODE.body, *sandbox_code(None, ()))
    assert {f"resources.sandbox.inside.{name} (module)" for name in ("launch", "tests", "walls", "calls")} <= set(parts)
    assert "resources.sandbox.comparing.same_output" in parts and "resources.sandbox.running._verdict" in parts
    assert not [name for name in parts if ":sys." in name or ":_holds" in name]


def test_the_report_shows_what_was_computed(coding):
    page = coding.view().store.read("report", (), "report.html").decode()
    section = table(coding, "code_calibration", "code_summary")
    assert "Case study: calibration in coding" in page and "Methods of the case studies" in page
    passed = dict(section.select("measure", "est").iter_rows())["share_passed"]
    assert f"Programs of alpha for pick: a share of {share(passed)} [" in page
    assert page.count("Programs by probability") >= 2  # a figure for each chain
    for check in ("one_program_has_one_verdict", "orders_are_of_pairs"):
        assert check in page


def test_a_speaker_that_fails_is_left_out_of_the_comparison(workplace, instance):
    mute = {"tokens": ["x", END], "transition": [[0.5, 0.5]] * 2, "initial": [1.0, 0.0], "end": [1]}
    (workplace.folder / "alpha.json").write_text(json.dumps(mute))  # it has no word for the question
    summary, _ = workplace.refresh(instance)
    assert not summary.ok and "pick|alpha" in "".join(summary.failed)
    speakers = table(workplace, "code_comparison", "code_speakers", ("pick",))
    assert set(speakers["speaker"]) == {"beta"}


def test_programs_of_an_api_model_are_paid_once_and_tested_alike(workplace, instance, monkeypatch):
    right, wrong = (f"Here:\n```python\n{START}{text}\n```\nDone." for text in ("a + b", "a"))
    texts = (right, right, wrong, "I cannot.")
    monkeypatch.setenv("CALIB_TEST_SPEAKER_KEY", KEY)

    def change(study):
        study["api_models"] = [api_row(server.url, concurrency=4)]
        study["coding"][0]["samples"] = 12

    cell = ("pick", "far")
    with answer_server() as server:
        server.say = lambda body: texts[body["seed"] % 4]
        workplace.edit(change)
        refreshed(workplace, instance)
        assert len(server.paid) == 24
        samples = table(workplace, "code_samples", cell=cell).join(
            table(workplace, "code_verdicts", cell=cell), on=["problem_id", "sample"]
        )
        for problem, text, program, kind, logp in samples.select(
            "problem_id", "text", "program", "kind", "log_probability"
        ).iter_rows():
            assert program == (None if text == "I cannot." else START + ("a + b" if text == right else "a"))
            good = (text == right) if problem == "sum" else (text == wrong)
            assert kind == ("no_code" if program is None else "passed" if good else "wrong_answer")
            assert logp == -0.5  # as the server says
        found = table(workplace, "code_calibration", cell=cell)
        assert found["n_tested"].to_list() == [12, 12]
        assert found["order_auroc_samples"].drop_nulls().to_list() in ([0.5], [0.5, 0.5])  # all are equally probable

        def more(study):
            study["coding"][0]["samples"] = 14
            study["coding"][0]["limits"]["cpu_seconds"] = 3

        workplace.edit(more)
        refreshed(workplace, instance)
        assert len(server.paid) == 28  # four more, and none again for other limits
    assert table(workplace, "code_samples", cell=cell).height == 28
