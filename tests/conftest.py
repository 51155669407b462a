"""Settings of all tests.

Hypothesis sets no deadlines: how long an example takes says nothing about its result. Its examples are the same in
every run, so that a change that fails a property is the change's doing; `make test-all` draws new ones.
"""

import pytest
from hypothesis import settings
from s3_server import new_bucket, s3_server

settings.register_profile("fixed", deadline=None, derandomize=True)
settings.register_profile("drawn", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """Environment of a real S3 server, one for each process of tests."""
    with s3_server(tmp_path_factory.mktemp("s3")) as environment:
        yield environment


@pytest.fixture
def bucket(s3, monkeypatch):
    """URL of a new bucket; the environment names the server."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return new_bucket()


@pytest.fixture(scope="module")
def browser():
    """One Chromium for the pages of a module."""
    from chromium import chromium  # not in environments that test an engine alone

    with chromium() as started:
        yield started
