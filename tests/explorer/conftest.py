"""The explorer's pages are opened from files, as a reader opens them."""

import pytest
from chromium import quiet_visit


@pytest.fixture
def visit(browser):
    """A page of one test, which leaves no error in its console and has asked nobody for anything."""
    with quiet_visit(browser) as found:
        yield found
