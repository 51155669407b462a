"""The notebooks run from their first cell to their last, and show what they are stored with."""

import pytest

from notebooks import FOLDER, NOTEBOOKS, read, run, texts


def test_there_are_two_and_they_are_small():
    assert [path.name for path in NOTEBOOKS] == ["01_own_data.ipynb", "02_study_results.ipynb"]
    assert all(path.stat().st_size < 1_000_000 for path in NOTEBOOKS)
    assert all(read(path).metadata.kernelspec.name == "python3" for path in NOTEBOOKS)
    assert (FOLDER / "tiny" / "study.yaml").exists()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_runs_and_shows_what_is_stored(path):
    stored = texts(read(path))
    assert any(stored) and texts(run(path)) == stored, "look at what changed, then run: make notebooks"
