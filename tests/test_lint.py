"""What ``make lint`` says, CI says too: it runs the tests. The import contracts are in ``test_architecture.py``."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def said(tool, *arguments):
    command = [Path(sys.executable).parent / tool, *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def test_ruff_is_content():
    assert not said("ruff", "check", "--no-cache", "--output-format", "concise", ".")


@pytest.mark.timeout(900)
def test_mypy_is_content(tmp_path):
    assert not said("mypy", "--no-error-summary", "--cache-dir", tmp_path)
