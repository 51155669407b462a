"""GPUs are asked for by runs with model work, where a deployment says so."""

import json

import pytest

from calib_assets.staleness.graph import Work
from calib_assets.staleness.planner import Stale
from jobs.launch import Launch
from jobs.placement import GPUS_VARIABLE, RAY_TAG

MODEL, JUDGE, PLAIN = Work(100, 0), Work(0, 0, judge_calls=5), None


def tags(*work):
    items = tuple(Stale("a", (), ("missing",), "f", work=each) for each in work)
    return Launch("job", (), ("a",), "state", "key", items).tags("study")


def test_without_the_variable_ray_is_asked_for_nothing(monkeypatch):
    monkeypatch.delenv(GPUS_VARIABLE, raising=False)
    assert RAY_TAG not in tags(MODEL)


@pytest.mark.parametrize("work, gpus", [((PLAIN, MODEL), 2.0), ((JUDGE, PLAIN), 0.0), ((), 0.0)])
def test_model_work_needs_gpus_and_judges_on_servers_do_not(monkeypatch, work, gpus):
    monkeypatch.setenv(GPUS_VARIABLE, "2")
    found = tags(*work)
    assert json.loads(found[RAY_TAG]) == {"num_gpus": gpus} and found["calib/study"] == "study"


@pytest.mark.parametrize("said", ["one", "-1", "inf", "nan"])
def test_a_wrong_number_is_named(monkeypatch, said):
    monkeypatch.setenv(GPUS_VARIABLE, said)
    with pytest.raises(ValueError, match=f"CALIB_RUN_GPUS is '{said}'; write how many GPUs"):
        tags(MODEL)
