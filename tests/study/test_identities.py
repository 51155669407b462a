"""What a row says that makes numbers, and what it says beside them."""

import json

import pytest

from calib_assets.study import load_study
from calib_assets.study.identities import model_spec

WEIGHTS = {"package": "some-weights", "file": "*.gguf"}


@pytest.fixture
def spec(tmp_path):
    """``spec(source)``: the identity of a model with that source."""
    (tmp_path / "weights.gguf").write_bytes(b"weights")
    task = {"name": "d", "kind": "digits", "length": 2, "prompt": "p", "completion": "c"}

    def of(source):
        document = {"name": "s", "title": "t", "models": [{"name": "m", "variant": "base", "source": source}]}
        (tmp_path / "study.yaml").write_text(json.dumps({**document, "tasks": [task]}))
        return model_spec(load_study(tmp_path / "study.yaml"), "m")

    return of


@pytest.mark.parametrize("source", [WEIGHTS, {"path": "weights.gguf"}])
def test_a_pin_makes_no_number(spec, source):
    """The content is hashed with or without a pin: adding one, or mending a wrong one, repeats no model work."""
    assert spec(source) == spec({**source, "sha256": "0" * 64}) == spec({**source, "sha256": "f" * 64})


def test_which_file_of_a_package_makes_numbers(spec):
    assert spec(WEIGHTS) != spec({**WEIGHTS, "file": "other.gguf"}) != spec({**WEIGHTS, "package": "other"})
