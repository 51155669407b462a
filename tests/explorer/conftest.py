"""One browser for the explorer's pages, which are opened from files as a reader opens them."""

import pytest
from chromium import chromium, quiet_visit


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser):
    """A page of one test, which leaves no error in its console and has asked nobody for anything."""
    with quiet_visit(browser) as found:
        yield found
