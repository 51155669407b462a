"""The quick start runs as printed, on nothing but the pure rooms, and the package is light to import."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"
BLOCK = re.compile(r"^## (.+?)$.*?^```python\n(.*?)^```\n\n```text\n(.*?)^```", re.DOTALL | re.MULTILINE)
# What the pure rooms stand on; the last two are for figures.
FOUNDATION = {"numpy", "scipy", "polars", "jaxtyping", "threadpoolctl", "matplotlib", "seaborn"}
# Everything else that the project depends on, by the names that are imported.
PROJECT = tomllib.loads((PAGE.parents[1] / "pyproject.toml").read_text())["project"]["dependencies"]
REQUIRED = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in PROJECT}
BLOCKED = sorted(REQUIRED - FOUNDATION | {"yaml", "upath", "httpx", "dagster_webserver", "resources", "jobs"})
WITHOUT = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"{{name}} is blocked in this test", name=name)

sys.meta_path.insert(0, Blocked())
"""


def examples() -> list[tuple[str, str, str]]:
    return BLOCK.findall(PAGE.read_text())


def run(code: str) -> str:
    """What ``code`` prints in a new process that cannot import any of the blocked packages."""
    command = [sys.executable, "-W", "error", "-c", WITHOUT + code]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_what_is_blocked_is_what_is_not_the_foundation():
    assert FOUNDATION < REQUIRED and {"dagster", "torch", "transformers", "openai", "tokenizers"} < set(BLOCKED)


def test_page_has_the_four_examples():
    assert [title[:2] for title, _, _ in examples()] == ["1.", "2.", "3.", "4."]
    assert PAGE.read_text().count("```python") == 4


@pytest.mark.parametrize(("title", "code", "printed"), examples(), ids=[title for title, _, _ in examples()])
def test_example_prints_what_the_page_says(title, code, printed):
    assert run(code) == printed


def test_pure_rooms_load_without_dagster_or_models():
    code = "import calib_assets\nprint(len([name for name in sys.modules if name.startswith('calib_assets')]))\n"
    rooms = "import calib_assets.decoding, calib_assets.metrics, calib_assets.stats, calib_assets.figures\n"
    assert run(code + rooms + "print(calib_assets.figures.png.__name__)") == "1\npng\n"


def test_blocking_blocks():
    result = subprocess.run([sys.executable, "-c", WITHOUT + "import dagster"], capture_output=True, text=True)
    assert result.returncode != 0 and "dagster is blocked in this test" in result.stderr


def test_measures_load_no_plotting():
    code = "import calib_assets.decoding, calib_assets.metrics, calib_assets.stats\n"
    heavy = "print([name for name in ('matplotlib', 'seaborn', 'pandas', 'sklearn') if name in sys.modules])"
    assert run(code + heavy) == "[]\n"
