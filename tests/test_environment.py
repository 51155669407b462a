"""docs/environment.md names every variable that the project reads, and no other; docs/operations.md every flag."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = re.compile(r"\bCALIB_[A-Z]+(?:_[A-Z]+)*\b")
OURS = ("calib_assets", "resources", "jobs", "deploy")
READ = re.compile(r"""environ(?:\.get\(|\[)\s*["'](\w+)["']""")


def _texts(*suffixes):
    for folder in OURS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in suffixes:
                yield path.read_text(encoding="utf-8")


def test_every_variable_of_the_project_is_documented_and_none_besides():
    page = (ROOT / "docs" / "environment.md").read_text()
    used = {name for text in _texts(".py", ".sh", ".yaml") for name in NAME.findall(text)}
    assert len(used) > 15 and set(NAME.findall(page)) == used


def test_variables_of_others_that_are_read_by_name_are_documented():
    page = (ROOT / "docs" / "environment.md").read_text()
    read = {name for text in _texts(".py") for name in READ.findall(text)}
    assert read and not {name for name in read if name not in page}


def test_every_flag_and_command_of_the_command_line_is_documented():
    page = (ROOT / "docs" / "operations.md").read_text()
    code = (ROOT / "calib_assets" / "cli.py").read_text()
    names = re.findall(r'add_argument\(\s*"(--[\w-]+)"', code) + re.findall(r'add_parser\("([\w-]+)"', code)
    assert len(names) > 10 and not [name for name in names if f"`{name}" not in page and f"[{name}" not in page]
