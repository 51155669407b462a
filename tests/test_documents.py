"""What the documents say exists, exists: identifiers, the papers' numbered items, links, commands."""

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from calib_assets.assets import GRAPH
from calib_assets.assets.tables import TABLES
from calib_assets.assets.tables.shared import COLUMNS
from calib_assets.decoding import PrefixTrie

ROOT = Path(__file__).parents[1]
PAPERS = (ROOT / "docs" / "papers.md").read_text()
COMPARED, _, DIFFERENCES = PAPERS.partition("## Where paper and code differ")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

# Every numbered item of the papers, as counted in their texts.
NUMBERED = {
    "Paper A": {
        "Definition": ["3.1", "3.2", "4.1", "D.1", "E.2", "F.1", "F.2"],
        "Assumption": ["5.1"],
        "Theorem": ["4.2", "5.2", "E.1", "E.3", "F.4"],
        "Lemma": ["F.3"],
        "Corollary": ["F.5", "F.6"],
        "Table": [str(i) for i in range(1, 4)],
        "Figure": [str(i) for i in range(1, 16)],
    },
    "Paper B": {
        "Definition": [str(i) for i in range(1, 6)],
        "Theorem": [str(i) for i in range(1, 5)],
        "Corollary": ["1", "2", "3"],
        "Lemma": ["1"],
        "Proposition": ["1"],
        "Remark": ["4.1"],
        "Algorithm": ["1", "2"],
        "Table": [str(i) for i in range(1, 10)],
        "Figure": [str(i) for i in range(1, 7)],
    },
}


def rows(text: str) -> list[list[str]]:
    """Cells of every row of every table, without heads and rules."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        for line in block.splitlines()[2:]:
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def resolves(name: str) -> bool:
    """Whether a dotted name can be imported, from the rooms that the page names."""
    for prefix in ("calib_assets.metrics.", "calib_assets.", ""):
        parts = (prefix + name).split(".")
        for cut in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:cut]))
            except ModuleNotFoundError:
                continue
            for part in parts[cut:]:
                found = getattr(found, part, None)
            if found is not None:
                return True
            break
    return False


def exists(name: str) -> bool:
    """An identifier, an asset, a table, a column, or an attribute of the trie or of a fit's row."""
    columns = {column for table in TABLES.values() for column in table.columns} | set(COLUMNS)
    trie = {field.name for field in dataclasses.fields(PrefixTrie)} if dataclasses.is_dataclass(PrefixTrie) else set()
    return resolves(name) or name in GRAPH.nodes or name in TABLES or name in columns | trie | {"normalise"}


@pytest.mark.parametrize("row", [row for row in rows(COMPARED) if len(row) == 3], ids=lambda row: row[0][:40])
def test_every_identifier_of_the_papers_tables_exists(row):
    names = [name for name in re.findall(r"`([^`]+)`", row[2]) if not name.startswith("benchmarks/")]
    missing = [name for name in names if not exists(name) and not hasattr(PrefixTrie, name)]
    assert not missing
    files = [name for name in re.findall(r"`(benchmarks/[^`]+)`", row[2]) if not (ROOT / name).is_file()]
    assert not files


def named(text: str, kind: str) -> set[str]:
    """Numbers that a text names of one kind: ``Tables 1, 2``, ``Figures 13 to 15``, ``Corollaries F.5, F.6``."""
    plural = kind.removesuffix("y") + "ies" if kind.endswith("y") else kind + "s"
    number = r"[A-Z]?\.?\d+(?:\.\d+)?(?: \([^)]*\))?"
    found: set[str] = set()
    for match in re.finditer(rf"\b(?:{kind}|{plural}) ((?:{number})(?:(?:, | to | and ){number})*)", text):
        listed = re.sub(r" \([^)]*\)", "", match[1])
        for first, last in re.findall(r"(\d+) to (\d+)", listed):
            found |= {str(i) for i in range(int(first), int(last) + 1)}
        found |= set(re.split(r", | to | and ", listed))
    return found


def of_paper(paper: str) -> str:
    """What the page says of one paper: its sections, its rows of what is not computed, and the differences."""
    sections = re.split(r"^## ", COMPARED, flags=re.MULTILINE)
    own = [section for section in sections if section.startswith(paper)]
    skipped = [" ".join(row) for row in rows(COMPARED) if len(row) == 3 and row[1].startswith(paper)]
    return "\n".join([*own, *skipped]).replace("(Theorem ", "Theorem ")


@pytest.mark.parametrize(("paper", "kind"), [(paper, kind) for paper, kinds in NUMBERED.items() for kind in kinds])
def test_every_numbered_item_of_the_papers_is_somewhere(paper, kind):
    missing = [number for number in NUMBERED[paper][kind] if number not in named(of_paper(paper), kind)]
    if paper == "Paper A":  # named where paper and code differ
        missing = [number for number in missing if number not in named(DIFFERENCES, kind)]
    assert not missing


def anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    for link in [first or second for first, second in links]:
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{path.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{path.name}: {link}"


def test_every_document_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    assert [path.name for path in DOCUMENTS if path.name != "README.md" and f"{path.name})" not in index] == []


def test_every_asset_is_described():
    text = (ROOT / "docs" / "assets.md").read_text()
    assert [key for key in GRAPH.nodes if f"`{key}`" not in text] == []


def test_the_readmes_commands_are_those_of_the_makefile_and_of_ci():
    makefile, readme = (ROOT / "Makefile").read_text(), (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", readme)) <= targets
    ci = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set", "cd"))
    ]
    assert ci == ["make test"] and re.search(r"^make test\b", readme, re.MULTILINE)
    assert len(readme.splitlines()) <= 150
