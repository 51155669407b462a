"""Which figure or table of the papers has its counterpart where on this page, or why it has none."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from calib_assets.report.contract import Missing, ReportSection, flatten

NUMBERS = re.compile(r"\b(Figure|Table)s?\b([^;]*)")
_LIMIT = 12


@dataclass(frozen=True)
class PaperItem:
    """A figure or table of a paper: which part of a page has its counterpart, and why a study may have none."""

    paper: str
    name: str
    what: str
    part: str
    absent: str


@dataclass(frozen=True)
class Place:
    """A row of the index: the item, and links to its counterparts as (id, title, section)."""

    item: PaperItem
    links: tuple[tuple[str, str, str], ...]
    more: int = 0


NO_SHAPE = "this study has no task whose valid answers are known (`tasks`)"
NO_ORDER = "this study has no sweep (`sweeps`)"
NO_FITS = "no logit fits (`logit_fits`)"
NO_DECODING = "no sweep asks for `decoding`"
NO_PAIRS = "needs rollouts of a base and an instruct model"
NO_CANOPY = "this study has no rollouts (`rollouts`)"
ITEMS = (
    PaperItem("A", "Figure 1", "one conditional: ranks and mass, valid and invalid", "shape", NO_SHAPE),
    PaperItem("A", "Figure 2", "the swept tree and its frontiers by depth", "order", NO_ORDER),
    PaperItem("A", "Figure 3", "precision and recall of every cutoff at one step", "order", NO_ORDER),
    PaperItem("A", "Figure 4", "area and recall by model size", "order", NO_ORDER),
    PaperItem("A", "Figure 5", "temperature: validity against diversity, sequence probabilities", "shape", NO_SHAPE),
    PaperItem("A", "Figure 6", "validity–diversity frontiers of the rules", "shape", NO_SHAPE),
    PaperItem("A", "Figure 7", "greedy against sampled continuations", "order", "no sweep asks for `robustness`"),
    PaperItem("A", "Figure 8", "Figure 4 model by model", "order", NO_ORDER),
    PaperItem("A", "Figure 9", "frontiers of every model and task", "shape", NO_SHAPE),
    PaperItem("A", "Figure 10", "sequence probabilities of a closed list", "shape", NO_SHAPE),
    PaperItem("A", "Figure 11", "one question asked many times", "cases", "this study asks none (`collapse`)"),
    PaperItem("A", "Figure 12", "sampled programs by probability", "cases", "this study has no problems (`coding`)"),
    PaperItem("A", "Figure 13", "fits of sorted logits (Llama-3.1-8B-Instruct)", "shape", NO_FITS),
    PaperItem("A", "Figure 14", "fits of sorted logits (Qwen3.5-35B-A3B)", "shape", NO_FITS),
    PaperItem("A", "Figure 15", "fits of sorted logits (Olmo-3-7B-Instruct)", "shape", NO_FITS),
    PaperItem("A", "Table 1", "diversity of cutoff strategies and the oracle filter", "order", NO_DECODING),
    PaperItem("A", "Table 2", "examples of the swept tree", "order", NO_ORDER),
    PaperItem("A", "Table 3", "parameter grids: in the configuration below", "configuration", ""),
    PaperItem("B", "Figure 1", "a drawing of a canopy; it shows no data", "", "the drawing shows no data"),
    PaperItem("B", "Figure 2", "entropy by position and active rollouts", "canopy", NO_CANOPY),
    PaperItem("B", "Figure 3", "length distributions", "canopy", NO_CANOPY),
    PaperItem("B", "Figure 4", "variability of length within prompts", "canopy", NO_CANOPY),
    PaperItem("B", "Figure 5", "variability of entropy rate within prompts", "canopy", NO_CANOPY),
    PaperItem("B", "Figure 6", "residuals of the regression", "canopy", "no regression was fitted"),
    PaperItem("B", "Table 1", "perplexity, branching factor, canopy entropy", "canopy", NO_CANOPY),
    PaperItem("B", "Table 2", "length–entropy correlation (Pearson)", "canopy", NO_PAIRS),
    PaperItem("B", "Table 3", "the regression in short", "canopy", "no regression was fitted"),
    PaperItem("B", "Table 4", "advice on which measure to use; it holds no data", "", "the table holds no data"),
    PaperItem("B", "Table 5", "truncation rates", "canopy", NO_CANOPY),
    PaperItem("B", "Table 6", "rank correlations", "canopy", NO_PAIRS),
    PaperItem("B", "Table 7", "conditional mean of the regression", "canopy", "no regression was fitted"),
    PaperItem("B", "Table 8", "random effects", "canopy", "no regression was fitted"),
    PaperItem("B", "Table 9", "precision of the regression", "canopy", "no regression was fitted"),
)  # fmt: skip
PAPER_OF = {"shape": "A", "order": "A", "cases": "A", "canopy": "B"}
"""Part of a page -> the paper whose numbers its items' ``paper`` lines mean."""


def named_items(text: str) -> set[str]:
    """Figures and tables that a line such as "Counterpart of Figures 5 (right) and 10" names.

    >>> sorted(named_items("Counterpart of Figures 5 (right) and 10")), sorted(named_items("Figures 13 to 15"))
    (['Figure 10', 'Figure 5'], ['Figure 13', 'Figure 14', 'Figure 15'])
    >>> sorted(named_items("Tables 3 and 7")), named_items("§5.3")
    (['Table 3', 'Table 7'], set())
    """
    found = set()
    for kind, rest in NUMBERS.findall(text):
        rest = re.sub(r"App\. \w+|§[\d.]+", "", rest)
        for low, high in re.findall(r"(\d+)(?: to (\d+))?", rest):
            found |= {f"{kind} {number}" for number in range(int(low), int(high or low) + 1)}
    return found


def paper_index(parts: Sequence[tuple[str, Sequence[ReportSection]]]) -> tuple[Place, ...]:
    """Every figure and table of both papers with its places on the page.

    Args:
        parts: (name of the part: shape, order, canopy, cases; its chapters) in reading order.
    """
    places: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for part, chapters in parts:
        for chapter, section in ((top, part_of) for top in chapters for part_of in flatten([top])):
            where = section.title if section is chapter else f"{chapter.title}, {section.title}"
            for item in section.items:
                if not isinstance(item, Missing):
                    for name in named_items(item.paper):
                        places.setdefault((PAPER_OF.get(part, ""), name), []).append(
                            (item.id, item.title, where)
                        )
    rows = []
    for item in ITEMS:
        links = places.get((item.paper, item.name), [])
        if item.part == "configuration":
            links = [("configuration", "Configuration", "")]
        rows.append(Place(item, tuple(links[:_LIMIT]), max(len(links) - _LIMIT, 0)))
    return tuple(rows)
