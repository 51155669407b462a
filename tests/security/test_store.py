"""No name in a study file or in a stored manifest leads out of the store."""

import json

import pytest
from pydantic import ValidationError

from calib_assets.staleness.manifest import Manifest
from calib_assets.study import Study

NAMED = {
    "models": {"source": {"path": "m"}, "variant": "base"},
    "tasks": {"kind": "digits", "length": 2, "prompt": "p", "completion": "c"},
    "prompt_sets": {"file": "p.jsonl"},
    "judges": {"kind": "llm", "model": "m", "endpoint": "http://localhost:1/v1"},
    "sweeps": {"prompts": "p", "judges": ["j"]},
    "rollouts": {"prompts": "p", "rollouts": 2},
    "collapse": {"question": "q", "answers": "one line"},
    "coding": {"file": "p.jsonl"},
    "external": {"kind": "rollouts", "file": "f.parquet"},
    "api_models": {"model": "m", "endpoint": "http://localhost:1/v1"},
}
OUTSIDE = ["../out", "/etc", "a/../../b", "a\\b", ".hidden", "a\n", "a\x00", "", "a|b", "...", "a b", "ä"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_row_of_a_study_may_have_a_name_that_leaves_its_folder(name):
    for section, fields in NAMED.items():
        with pytest.raises(ValidationError) as caught:
            Study.model_validate({"name": "s", "title": "t", section: [{"name": name, **fields}]})
        places = {(error["loc"][:2], error["loc"][-1]) for error in caught.value.errors()}
        assert ((section, 0), "name") in places, (section, caught.value)


def test_every_list_of_named_rows_is_among_those():
    lists = {
        name
        for name, field in Study.model_fields.items()
        if any("name" in getattr(kind, "model_fields", {}) for kind in getattr(field.annotation, "__args__", ()))
    }
    assert lists - {"embedder"} == set(NAMED) - {"tasks"}  # one row; and a list of rows of two kinds


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "..", "a\\..\\b", "", "a\x00"])
@pytest.mark.parametrize("place", ["asset", "cell", "files"])
def test_a_manifest_that_names_a_place_outside_its_folder_is_none(name, place):
    entry = {"bytes": 1, "sha256": "0"}
    manifest = Manifest("asset", ("cell",), "f", "d", {}, {"part/0.parquet": entry})
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    data = json.loads(manifest.to_bytes())
    data[place] = {"asset": name, "cell": [name], "files": {name: entry}}[place]
    with pytest.raises(ValueError, match="leaves the folder"):
        Manifest.from_bytes(json.dumps(data).encode())
