"""``make docs``: the reference from the docstrings, and the pages of this folder, as HTML in one folder.

Run ``python -W error docs/build.py [FOLDER]`` (default: ``site``, which git ignores). Warnings are errors, and so is
a link between pages or a reference in a docstring that leads nowhere; they are listed at the end.
"""

import ast
import html
import importlib
import os
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

os.environ.setdefault("PDOC_ALLOW_EXEC", "1")  # else pdoc warns of what libraries ask of the machine on import

import markdown2
import pdoc

DOCS = Path(__file__).parent
ROOT = DOCS.parent
ROOMS = ("decoding", "metrics", "stats", "figures", "results")
# One page a room: its public names stand there, whatever file they come from.
SPECS = [f"calib_assets.{room}" for room in ROOMS] + [rf"!calib_assets\.({'|'.join(ROOMS)})\."]
ROLE = re.compile(r":(?:func|class|meth|data|attr|mod|exc):`~?([\w.]+)`")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light dark }} body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem }} pre, code {{ font-family: ui-monospace, monospace; font-size: .9em }} pre {{ padding: .8rem;
overflow-x: auto; border: 1px solid #8884 }} table {{ border-collapse: collapse; display: block; overflow-x: auto }}
td, th {{ border: 1px solid #8884; padding: .2rem .5rem; text-align: left; vertical-align: top }}
img {{ max-width: 100% }}
</style><nav>{nav}</nav><main>{body}</main></html>
"""


def build(site: Path) -> list[str]:
    """Write the site; returns what leads nowhere."""
    pages = sorted(DOCS.glob("*.md"))
    pdoc.render.configure(docformat="google", footer_text="calib-assets")
    pdoc.pdoc(*SPECS, output_directory=site / "reference")
    for page in (site / "reference").rglob("*.html"):
        page.write_text(page.read_text().replace("<code>~", "<code>"))  # of roles: pdoc links the name behind it
    links = [f'<a href="{name(page)}.html">{name(page)}</a>' for page in pages]
    nav = " · ".join([*links, '<a href="reference/index.html">reference</a>'])
    for page in pages:
        (site / f"{name(page)}.html").write_text(_rendered(page, nav))
    shutil.copytree(DOCS / "images", site / "images", dirs_exist_ok=True)
    return [*broken_links(site), *broken_roles()]


def name(page: Path) -> str:
    """Name of a page in the site; docs/README.md is its start."""
    return "index" if page.stem == "README" else page.stem


def _rendered(page: Path, nav: str) -> str:
    """A page as HTML; links to other pages lead to their HTML, links to files of the repository are plain text."""
    extras = ["tables", "fenced-code-blocks", "header-ids", "cuddled-lists"]
    body = str(markdown2.markdown(page.read_text(), extras=extras))
    body = re.sub(r'<a href="\.\./[^"]*">(.*?)</a>', r"\1", body, flags=re.DOTALL)
    to_page = re.compile(r'href="(?![a-z]+:)([\w-]+\.md)(#[^"]*)?"')
    body = to_page.sub(lambda link: f'href="{name(Path(link[1]))}.html{link[2] or ""}"', body)
    return PAGE.format(title=html.escape(name(page)), nav=nav, body=body)


def broken_links(site: Path) -> list[str]:
    """Links inside the site whose file or anchor is not there."""
    scripts = re.compile(r"<script.*?</script>", re.DOTALL)
    pages = {path.resolve(): scripts.sub("", path.read_text()) for path in site.rglob("*.html")}
    anchors = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    broken = []
    for path, text in pages.items():
        for link in sorted(set(re.findall(r'<a [^>]*?href="([^"]+)"', text))):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = unquote(html.unescape(link)).partition("#")
            target = (path.parent / name).resolve() if name else path
            # An inherited member stands under its class.
            is_there = not anchor or target not in pages or {anchor, anchor.rpartition(".")[0]} & anchors[target]
            if not target.exists() or not is_there:
                broken.append(f"{path.relative_to(site.resolve())}: {link} leads nowhere")
    return broken


def broken_roles() -> list[str]:
    """References in docstrings, written as ``:func:`name```, to what does not exist."""
    broken = []
    for path in sorted(path for room in ROOMS for path in (ROOT / "calib_assets").glob(f"{room}*")):
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for target in ROLE.findall(file.read_text()):
                if not _exists(target, name, file):
                    broken.append(f"{file.relative_to(ROOT)}: {target} is not to be found")
    return broken


def _exists(target: str, module: str, file: Path) -> bool:
    """Whether a dotted name is found: from the top, its module, one of its classes, or its room."""
    if target.startswith("."):
        target = module.rpartition(".")[0] + target
    scopes = [importlib.import_module(module), importlib.import_module(".".join(module.split(".")[:2]))]
    classes = (node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef))
    scopes += [getattr(scopes[0], name) for name in classes]
    return _resolves(target) or any(_member(scope, target.split(".")) for scope in scopes)


def _resolves(target: str) -> bool:
    parts = target.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        return _member(found, parts[length:])
    return False


def _member(found: object, names: list[str]) -> bool:
    for name in names:
        if not hasattr(found, name):
            return name in getattr(found, "__annotations__", {})
        found = getattr(found, name)
    return True


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site")
    folder.mkdir(parents=True, exist_ok=True)
    problems = build(folder)
    print("\n".join(problems) or f"{folder / 'reference' / 'index.html'}")
    sys.exit(bool(problems))
