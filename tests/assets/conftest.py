"""A study on Markov chains that has been computed once, and private copies of it."""

import shutil

import dagster as dg
import pytest
from answering import Questions
from coding_workplace import CodingWorkplace
from workplace import Workplace


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A workplace whose study has been computed once. Never edit it: copy it with ``workplace``."""
    place = Workplace(tmp_path_factory.mktemp("finished"))
    with dg.DagsterInstance.ephemeral() as instance:
        summary, computed = place.refresh(instance)
    assert summary.ok, (summary.failed, summary.failed_checks, summary.left)
    return place, computed


@pytest.fixture(scope="session")
def coding(tmp_path_factory):
    """A coding study that has been computed once. Never edit it."""
    place = CodingWorkplace(tmp_path_factory.mktemp("coding"))
    with dg.DagsterInstance.ephemeral() as instance:
        summary, _ = place.refresh(instance)
    assert summary.ok, (summary.failed, summary.failed_checks, summary.left)
    return place


@pytest.fixture(scope="session")
def asked(tmp_path_factory):
    """A study of answer collapse that has been computed once, and what was computed. Never edit it."""
    place = Questions(tmp_path_factory.mktemp("asked"))
    with dg.DagsterInstance.ephemeral() as instance:
        summary, computed = place.refresh(instance)
    assert summary.ok, (summary.failed, summary.failed_checks, summary.left)
    return place, computed


@pytest.fixture
def workplace(finished, tmp_path):
    """A private copy of the computed workplace, with a Dagster instance that has never seen it."""
    shutil.copytree(finished[0].folder, tmp_path / "copy")
    return Workplace(tmp_path / "copy", new=False)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance
