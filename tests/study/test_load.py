"""A study file is either right or its error names file, line, field, value and remedy, before any work."""

from pathlib import Path

import pytest
import yaml

from calib_assets.study import StudyError, answers_of, load_study

ROOT = Path(__file__).parents[2]


@pytest.fixture
def document():
    return {
        "name": "small",
        "title": "A small study",
        "models": [{"name": "chain", "source": {"markov": "chain.json"}, "variant": "base"}],
        "tasks": [
            {"name": "digits", "kind": "digits", "length": 2, "prompt": "p", "completion": "c"},
            {"name": "days", "kind": "list", "answers": ["Monday", "Tuesday"], "prompt": "p", "completion": "c"},
        ],
        "decoding": {"temperatures": [0.5, 1.0], "rules": {"top_p": [0.5, 0.9]}},
    }


@pytest.fixture
def load(tmp_path):
    def write_and_load(document):
        path = tmp_path / "study.yaml"
        path.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
        return load_study(path)

    return write_and_load


def message(load, document) -> str:
    with pytest.raises(StudyError) as caught:
        load(document)
    return str(caught.value)


@pytest.mark.parametrize("name", ["first", "demo", "papers"])
def test_shipped_studies_are_valid(name):
    study = load_study(ROOT / "studies" / f"{name}.yaml")
    assert study.models and study.tasks
    assert len(study.decoding.grid().temperatures) >= 10


def test_what_the_first_study_and_the_demo_both_have_is_the_same():
    first, demo = (load_study(ROOT / "studies" / f"{name}.yaml") for name in ("first", "demo"))
    for field in ("models", "tasks", "prompt_sets", "judges", "sweeps", "rollouts", "collapse"):
        theirs = {row.name: row for row in getattr(demo, field)}
        for row in getattr(first, field):
            assert row == theirs.get(row.name, row), f"{field}: {row.name} would be computed twice in one store"
    assert first.decoding == demo.decoding and {task.name for task in first.tasks} <= {task.name for task in demo.tasks}


def test_a_small_study_loads(load, document):
    study = load(document)
    assert answers_of(study.task("days")) == ("Monday", "Tuesday")
    assert study.decoding.grid().rules == {"top_p": (0.5, 0.9)}


def test_paths_are_relative_to_the_file(load, document, tmp_path):
    (tmp_path / "list.txt").write_text("red\n\nblue\n")
    document["tasks"][1].pop("answers")
    document["tasks"][1]["answers_file"] = "list.txt"
    study = load(document)
    assert answers_of(study.task("days")) == ("red", "blue")
    assert study.model("chain").source.markov == str(tmp_path / "chain.json")


def test_unknown_field_names_the_nearest(load, document):
    document["tasks"][0]["lenght"] = 3
    text = message(load, document)
    assert "study.yaml:" in text and "tasks[0] (digits).lenght" in text
    assert "unknown field" in text and "did you mean `length`?" in text


def test_unknown_field_has_its_line(load, document):
    document["decoding"]["temprature"] = [1.0]
    text = message(load, document)
    line = yaml.safe_dump(document, sort_keys=False).splitlines().index("  temprature:") + 1
    assert f"study.yaml:{line}: decoding.temprature" in text and "did you mean `temperatures`?" in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d["tasks"][0].update(length="three"), ["tasks[0] (digits).length", "'three'", "integer"]),
        (lambda d: d["tasks"][0].update(length=2.0), ["tasks[0] (digits).length", "2.0", "integer"]),
        (lambda d: d["tasks"][0].update(kind="digit"), ["tasks[0] (digits).kind", "'digit'", "digit_sum"]),
        (lambda d: d["tasks"][0].pop("prompt"), ["tasks[0] (digits).prompt", "missing"]),
        (lambda d: d["models"][0].update(dtype="float8"), ["models[0] (chain).dtype", "'float8'", "bfloat16"]),
        (lambda d: d["models"][0].update(name="a|b"), ["models[0]", "a|b", "partition key", "llama-3.1-8b"]),
        (lambda d: d["models"][0].update(pair="other"), ["'other'", "not a model of this study", "chain"]),
        (lambda d: d["models"].append(d["models"][0]), ["models", "'chain' is used 2 times", "own name"]),
        (lambda d: d.update(models=[]), ["there is no model", "add a row to `models`"]),
        (
            lambda d: d["models"][0].update(source={"id": "a/b", "revision": "main"}),
            ["source.revision", "'main'", "branches and tags move", "40 hexadecimal digits"],
        ),
        (lambda d: d["models"][0].update(source={"id": "a/b", "revison": "x"}), ["source.revison", "`revision`?"]),
        (lambda d: d["models"][0].update(source={"hub": "a/b"}), ["models[0] (chain).source", "`id` (hub)"]),
        (lambda d: d["decoding"].update(temperatures=["a"]), ["decoding.temperatures[0]", "'a'", "number"]),
        (lambda d: d["decoding"].update(temperatures={"start": 1, "stop": 2}), ["temperatures.count", "missing"]),
        (lambda d: d["decoding"].update(temperatures=[0.0, 1.0]), ["decoding", "0", "greedy"]),
        (lambda d: d["decoding"].update(temperatures=[-1.0]), ["decoding", "-1"]),
        (lambda d: d["decoding"].update(rules={"top_p": [0.0]}), ["decoding", "(0, 1]"]),
        (lambda d: d["decoding"].update(rules={"top_p": [1.5]}), ["decoding", "1.5", "(0, 1]"]),
        (lambda d: d["decoding"].update(rules={"topp": [0.5]}), ["decoding.rules", "unknown rule 'topp'", "top_p"]),
        (lambda d: d["decoding"].update(validity_floors=[80]), ["validity_floors", "80", "0.8"]),
        (lambda d: d["decoding"].update(sequence_temperatures=[0]), ["sequence_temperatures", "not a distribution"]),
        (lambda d: d["tasks"][1].update(answers=[]), ["tasks[1] (days).answers", "empty"]),
        (lambda d: d["tasks"][1].update(answers=["a", "b", "a"]), ["tasks[1] (days).answers", "'a'", "twice"]),
        (lambda d: d["tasks"][1].update(answers=["New", "New York"]), ["'New'", "'New York'", "terminated: true"]),
        (lambda d: d["tasks"][1].update(answers=[" a"]), ["outer spaces", "' a'"]),
        (lambda d: d["tasks"][1].update(answers_file="x.txt"), ["tasks[1] (days)", "one of the two"]),
        (lambda d: d["tasks"][0].update(completion="ends so: "), ["tasks[0] (digits).completion", "space", "`lead`"]),
        (lambda d: d["tasks"][0].update(kind="digit_sum", total=19), ["18 at the most", "lower `total`"]),
    ],
)
def test_bad_input_names_field_value_and_remedy(load, document, change, expected):
    change(document)
    text = message(load, document)
    assert "study.yaml" in text
    for part in expected:
        assert part in text


def test_every_problem_is_named_at_once(load, document):
    document["tasks"][0]["length"] = "x"
    document["models"][0]["dtype"] = "y"
    assert len(message(load, document).splitlines()) == 2


def test_prefix_answers_are_fine_when_the_sequence_must_end(load, document):
    document["tasks"][1].update(answers=["New", "New York"], terminated=True)
    assert answers_of(load(document).task("days")) == ("New", "New York")


def test_missing_list_file(load, document):
    document["tasks"][1].pop("answers")
    document["tasks"][1]["answers_file"] = "nowhere.txt"
    text = message(load, document)
    assert "tasks[1] (days).answers_file" in text and "nowhere.txt" in text and "No such file" in text


def test_missing_study_file(tmp_path):
    with pytest.raises(StudyError, match=r"none.yaml: file: No such file.*name an existing study file"):
        load_study(tmp_path / "none.yaml")


def test_broken_yaml_names_the_line(load):
    assert "study.yaml:2: file:" in message(load, "name: x\ntitle: a: b\n")


def test_key_written_twice_is_an_error(load):
    text = message(load, "name: x\ntitle: a\ntitle: b\n")
    assert "study.yaml:3" in text and "'title' appears twice" in text


def test_not_a_mapping(load):
    assert "a study is a mapping" in message(load, "- 1\n")


def test_temperature_range_equals_the_list_it_prints_as(load, document):
    document["decoding"]["temperatures"] = {"start": 0.5, "stop": 2.0, "count": 3, "spacing": "log"}
    assert load(document).decoding.grid().temperatures == (0.5, 1.0, 2.0)


def test_digit_sums_by_a_second_route(load, document):
    document["tasks"][0] = {
        "name": "s",
        "kind": "digit_sum",
        "length": 3,
        "total": 13,
        "prompt": "p",
        "completion": "c",
    }
    answers = answers_of(load(document).task("s"))
    expected = [f"{a}, {b}, {c}" for a in range(10) for b in range(10) for c in range(10) if a + b + c == 13]
    assert list(answers) == expected and len(answers) == 75
