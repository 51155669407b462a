"""The page on the study file is what the code says it is, and it covers every row that a study can hold."""

import inspect
from pathlib import Path

from calib_assets.study import coding, document, judging, models, rollouts, speaking, sweeps, tasks
from calib_assets.study.reference import ROWS, reference
from calib_assets.study.rows import Row


def test_page_is_current():
    page = Path(__file__).parents[2] / "docs" / "study-file.md"
    assert page.read_text() == reference(), "run: python -m calib_assets.study.reference > docs/study-file.md"


def test_every_row_is_covered():
    modules = (coding, document, judging, models, rollouts, speaking, sweeps, tasks)
    found = [row for module in modules for _, row in inspect.getmembers(module, inspect.isclass)]
    rows = {row for row in found if issubclass(row, Row)}
    assert rows - set(ROWS) == {Row, tasks.ExactTask}
