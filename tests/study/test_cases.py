"""API models, collapse and coding rows in a study file: what is read, what is identity, how mistakes are named."""

import pytest
import yaml

from calib_assets.staleness.graph import Graph
from calib_assets.study import StudyError, load_study
from calib_assets.study.case_slices import (
    coding_count_spec,
    coding_limits_spec,
    coding_questions_spec,
    coding_scoring_spec,
    coding_spec,
    coding_tests_spec,
    collapse_answers_spec,
    collapse_count_spec,
    collapse_spec,
    speaker_spec,
    speakers_spec,
)
from calib_assets.study.slices import SLICES, report_spec


@pytest.fixture
def document():
    return {
        "name": "small",
        "title": "A small study",
        "models": [{"name": "base", "source": {"markov": "chain.json"}, "variant": "base"}],
        "api_models": [
            {
                "name": "far",
                "model": "gpt-x",
                "endpoint": "https://one.example/v1",
                "api_key_env": "SOME_KEY",
                "parameters": {"reasoning_effort": "low"},
            }
        ],
        "collapse": [{"name": "city", "prompt": "Name a random city in the world."}],
        "coding": [{"name": "small", "problems": "problems.jsonl"}],
    }


@pytest.fixture
def load(tmp_path):
    line = '{"id": "a", "prompt": "p", "tests": [{"stdin": "", "expected": ""}]}'
    (tmp_path / "problems.jsonl").write_text(line + "\n")
    (tmp_path / "cities.txt").write_text("Paris\nOslo\n")

    def write_and_load(document):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return load_study(path)

    return write_and_load


def test_speakers_are_models_and_api_models(load, document):
    study = load(document)
    assert [row.name for row in study.speakers] == ["base", "far"]
    assert study.speaker("far").model == "gpt-x" and study.speaker("base").variant == "base"
    assert [row["api"] for row in speakers_spec(study)["speakers"]] == [False, True]


def test_an_api_model_is_what_is_asked_for_not_where_it_is(load, document):
    one = load(document)
    document["api_models"][0] |= {
        "endpoint": "http://127.0.0.1:9/v1",
        "api_key_env": "OTHER",
        "concurrency": 2,
        "timeout_s": 5.0,
        "max_attempts": 1,
        "price_per_million": {"prompt": 1.0, "completion": 2.0},
        "budget": {"cost": 3.0},
        "family": "GPT",
    }
    other = load(document)
    assert speaker_spec(one, "far") == speaker_spec(other, "far")
    assert speakers_spec(one) != speakers_spec(other)
    kept = report_spec(other)["api_models"][0]
    assert not {"endpoint", "api_key_env", "budget", "price_per_million", "concurrency"} & set(kept)
    for field, value in {
        "model": "gpt-y",
        "system_prompt": "Be brief.",
        "parameters": {},
        "fixed_sampling": True,
        "logprobs": False,
    }.items():
        changed = document | {"api_models": [document["api_models"][0] | {field: value}]}
        assert speaker_spec(load(changed), "far") != speaker_spec(one, "far"), field


def test_api_models_change_no_slice_of_the_other_studies(load, document):
    study = load(document)
    without = load({key: value for key, value in document.items() if key != "api_models"})
    for name, (axes, cut) in SLICES.items():
        if name not in ("report_spec", "speakers_spec", "speaker_spec") and not axes:
            assert cut(study) == cut(without), name
    assert SLICES["model_spec"][1](study, "base") == SLICES["model_spec"][1](without, "base")


def test_slices_hold_one_thing_each(load, document):
    row = document["collapse"][0]
    cut = {spec.__name__: spec for spec in (collapse_spec, collapse_count_spec, collapse_answers_spec)}
    before = {name: spec(load(document), "city") for name, spec in cut.items()}
    changes = {
        "samples": (7, "collapse_count_spec"),
        "history": ({"turns": 3}, "collapse_count_spec"),
        "temperature": (0.5, "collapse_spec"),
        "top_p": (0.9, "collapse_spec"),
        "prompt": ("Say a city.", "collapse_spec"),
        "matching": ("lenient", "collapse_answers_spec"),
        "answers": (["Paris"], "collapse_answers_spec"),
        "answers_file": ("cities.txt", "collapse_answers_spec"),
    }
    for field, (value, touched) in changes.items():
        study = load(document | {"collapse": [row | {field: value}]})
        changed = {name for name, spec in cut.items() if spec(study, "city") != before[name]}
        assert changed == {touched}, field


def test_coding_slices(load, document, tmp_path):
    cuts = (coding_spec, coding_questions_spec, coding_count_spec, coding_tests_spec)
    cuts += (coding_limits_spec, coding_scoring_spec)

    def slices(**changes):
        study = load(document | {"coding": [document["coding"][0] | changes]})
        return [spec(study, "small") for spec in cuts]

    def changed(after):
        return [cut.__name__ for cut, one, other in zip(cuts, before, after, strict=True) if one != other]

    before = slices()
    assert changed(slices(temperature=0.5)) == changed(slices(ends_with="answer")) == ["coding_spec"]
    assert changed(slices(samples=20)) == changed(slices(max_problems=1)) == ["coding_count_spec"]
    assert changed(slices(limits={"cpu_seconds": 9})) == ["coding_limits_spec"]
    assert changed(slices(ks=[1])) == ["coding_scoring_spec"]
    path = tmp_path / "problems.jsonl"
    path.write_text(path.read_text().replace('"expected": ""', '"expected": "1"'))
    assert changed(slices()) == ["coding_tests_spec"]
    path.write_text(path.read_text().replace('"prompt": "p"', '"prompt": "q"'))
    assert changed(slices()) == ["coding_questions_spec", "coding_tests_spec"]


def test_cells_of_one_speaker_stand_together(load, document):
    document["collapse"].append({"name": "word", "prompt": "Say a word."})
    graph = Graph(nodes={}, specs={"x": ("collapse", "speaker")})
    assert graph.cells("x", load(document)) == [("city", "base"), ("word", "base"), ("city", "far"), ("word", "far")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"api_models": [{"name": "base", "model": "m", "endpoint": "http://h/v1"}]}, "rename one of them"),
        ({"models": [], "api_models": []}, "nobody is there to answer"),
        (
            {"api_models": [{"name": "a", "model": "m", "endpoint": "http://h/v1", "parameters": {"seed": 1}}]},
            r"parameters.*'seed'.*writes itself",
        ),
        (
            {"api_models": [{"name": "a", "model": "m", "endpoint": "http://h/v1", "budget": {"cost": 1.0}}]},
            "has a cost limit but no price",
        ),
        ({"budgets": {"api_calls": 150}}, r"needs 200 requests, and budgets.api_calls is 150; raise the budget"),
        ({"collapse": [{"name": "c", "prompt": "p", "completion": "City: "}]}, r"collapse\[0\] \(c\).*ends in a space"),
        ({"collapse": [{"name": "c", "prompt": "p", "answers": ["a", "a"]}]}, r"listed twice"),
        ({"collapse": [{"name": "c", "prompt": "p", "answers": ["a"], "answers_file": "cities.txt"}]}, "not both"),
        ({"collapse": [{"name": "c", "prompt": "p", "answers_file": "no.txt"}]}, r"answers_file: No such file"),
        (
            {"coding": [{"name": "c", "problems": "no.jsonl"}]},
            r"coding\[0\] \(c\).problems: no.jsonl: the file cannot be read",
        ),
        ({"coding": [{"name": "c", "problems": "problems.jsonl", "extraction": "perl"}]}, r"extraction.*'first_fence'"),
        (
            {"coding": [{"name": "c", "problems": "problems.jsonl", "samples": 200_000}]},
            "needs 200,000 for budgets.api",
        ),
        (
            {"coding": [{"name": "c", "problems": "problems.jsonl", "samples": 50, "max_new_tokens": 5_000_000}]},
            "needs 250,000,000 for budgets.rollout_tokens",
        ),
        ({"coding": [{"name": "c"}]}, "`problems` or `livecodebench`"),
        ({"coding": [{"name": "c", "livecodebench": {}}]}, "branches move"),
        ({"coding": [{"name": "c", "livecodebench": {"files": ["no.jsonl"]}}]}, "no.jsonl: no such file"),
        ({"coding": [{"name": "c", "livecodebench": {"files": ["a"], "release": "v9"}}]}, "no release 'v9'"),
        ({"coding": [{"name": "c", "livecodebench": {"files": ["a"], "first_date": "May"}}]}, "'May' is no date"),
    ],
)
def test_mistakes_are_named(load, document, change, said):
    with pytest.raises(StudyError, match=said):
        load(document | change)


def test_a_study_of_api_models_alone_will_do(load, document):
    study = load(document | {"models": []})
    assert [row.name for row in study.speakers] == ["far"]
