"""Rollouts, pairs, regression and external data in a study file: what is read, and how mistakes are named."""

import json

import polars as pl
import pytest
import yaml

from calib_assets.study import StudyError, load_study
from calib_assets.study.canopy_slices import regression_spec, rollout_count_spec, rollout_spec
from calib_assets.study.prompts import read_prompts


@pytest.fixture
def document():
    return {
        "name": "small",
        "title": "A small study",
        "models": [
            {"name": "base", "source": {"markov": "chain.json"}, "variant": "base"},
            {"name": "chat", "source": {"markov": "chain.json"}, "variant": "instruct", "pair": "base"},
        ],
        "prompt_sets": [{"name": "tales", "file": "prompts.jsonl"}],
        "judges": [{"name": "program", "kind": "verifier"}],
        "embedder": {"name": "words", "source": {"ngrams": 16}},
        "rollouts": [{"name": "stories", "prompts": "tales", "rollouts": 5, "max_new_tokens": 7}],
    }


@pytest.fixture
def load(tmp_path):
    lines = [{"prompt": f"Tell {i}."} for i in range(3)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    zero = {"task": ["a"], "model_name": ["m"], "variant": ["base"], "prompt_id": ["1"], "length": [0]}
    pl.DataFrame(zero).write_csv(tmp_path / "zero.csv")

    def write_and_load(document):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return load_study(path)

    return write_and_load


def test_the_papers_sampling_and_formulas_are_the_default(load, document):
    study = load(document)
    assert study.rollout("stories").filters() == [("top_k", 100)]
    assert rollout_spec(study, "stories") == {
        "seed": 0,
        "max_new_tokens": 7,
        "entropy_ranks": 100,
        "temperature": 1.0,
        "filters": [["top_k", 100]],
    }
    assert "ns(invN_sc, 4) * variant" in regression_spec(study)["mean"]


def test_how_many_is_apart_from_what(load, document):
    one = load(document)
    document["rollouts"][0]["rollouts"] = 50
    more = load(document)
    assert rollout_spec(one, "stories") == rollout_spec(more, "stories")
    assert rollout_count_spec(one, "stories") != rollout_count_spec(more, "stories")


def test_parity_takes_the_pipelines_own_rules(load, document):
    filters = [{"rule": "top_k", "parameter": 100}, {"rule": "top_p", "parameter": 0.9}]
    document["rollouts"][0].update(parity="canopy", sampling={"filters": filters})
    assert load(document).rollout("stories").filters() == [("top_k_exact", 100), ("top_p_canopy", 0.9)]


def row(**fields):
    return lambda document: document["rollouts"][0].update(fields)


def regression(**fields):
    return lambda document: document.update(regression=fields)


def external(**fields):
    return lambda document: document.update(external=[{"name": "x", "kind": "rollouts", "file": "zero.csv", **fields}])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (row(prompts="tale"), ["rollouts 'stories'", "'tale'", "prompt sets are tales"]),
        (row(rollouts=0), ["rollouts[0] (stories).rollouts", "0"]),
        (row(relative_se=[1.5]), ["relative_se", "1.5", "0.05"]),
        (row(sampling={"filters": [{"rule": "top_q", "parameter": 1}]}), ["unknown rule 'top_q'"]),
        (row(sampling={"temperature": 0.0}), ["temperature"]),
        (row(semantic_entropy={"judge": "nobody"}), ["'nobody'", "judges are program"]),
        (lambda d: d.pop("embedder"), ["needs an encoder", "add `embedder`"]),
        (lambda d: d.update(budgets={"rollout_tokens": 100}), ["105 tokens", "rollout_tokens is 100", "raise the bud"]),
        (regression(mean="D ~ rate"), ["no column 'rate'", "R_sc"]),
        (regression(mean="D ~ R_sc ++ task"), ["regression.mean"]),
        (regression(mean="y ~ R_sc"), ["the response is 'y'"]),
        (regression(precision="(1 | task)"), ["regression.precision", "fixed terms alone"]),
        (external(), ["external[0] (x).file", "zero.csv", "`length`", "1 or more"]),
        (external(file="no.csv"), ["external[0] (x).file", "no.csv", "cannot be read"]),
        (external(columns={"lenght": "length"}), ["'lenght'", "names no column"]),
    ],
)
def test_bad_input_names_field_value_and_remedy(load, document, change, expected):
    change(document)
    with pytest.raises(StudyError) as error:
        load(document)
    for part in expected:
        assert part in str(error.value)


def test_prompts_of_other_files_have_other_fields(tmp_path):
    path = tmp_path / "tasks.parquet"
    texts = ["Sum.\n```\nimport os\n```\n", "Product.", "Third."]
    pl.DataFrame({"instruct_prompt": texts, "prompt": ["no", "no", "no"]}).write_parquet(path)
    found = read_prompts(path, prompt_field="instruct_prompt", first=2, strip_code_fence=True)
    assert [prompt.prompt for prompt in found] == ["Sum.\n```\nimport os", "Product."]


def test_a_field_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"question": "Why?"}')
    assert read_prompts(path, prompt_field="question")[0].prompt == "Why?"
    with pytest.raises(ValueError, match="`prompt` is missing"):
        read_prompts(path)


def test_a_judge_of_similarity_cuts_its_scale_where_its_rubric_does(load, document):
    other = {"kind": "llm", "model": "m", "rubric": "similarity-v1"}
    document["judges"] += [{"name": "alike", **other}, {"name": "stricter", **other, "threshold": 80}]
    study = load(document)
    assert [study.judge(name).threshold for name in ("program", "alike", "stricter")] == [99, 50, 80]
