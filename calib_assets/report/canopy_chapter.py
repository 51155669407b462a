"""How a chapter of the canopy study is put together: items from tables, what is missing, what there is none of."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from calib_assets.report.canopy_items import ASSETS
from calib_assets.report.contract import Missing, Provenance, ReportFigure, ReportSection, ReportTable, sources
from calib_assets.report.shape_study import Tables

Sources = Mapping[str, Provenance]


def has_rows(table: pl.DataFrame | None) -> bool:
    """Whether a table is there and has rows.

    >>> has_rows(None), has_rows(pl.DataFrame()), has_rows(pl.DataFrame({"a": [1]}))
    (False, False, True)
    """
    return table is not None and table.height > 0 and table.width > 0


class Chapter:
    """Collects items of a section; what is missing or not there is said once."""

    def __init__(self, tables: Tables, records: Sources) -> None:
        self._tables, self._records = tables, records
        self.items: list[ReportFigure | ReportTable] = []
        self._absent: dict[str, None] = {}
        self._said: dict[str, None] = {}

    def add(
        self, name: str, title: str, needs: Sequence[str], build: Callable[..., Any], caption: str, paper: str,
        alt: str = "", nothing: str = "",
    ) -> None:  # fmt: skip
        """An item made of the tables that it ``needs``; ``nothing`` is said where one of them has no rows."""
        missing = [table for table in needs if table in self._tables and self._tables[table] is None]
        self._absent.update(dict.fromkeys(ASSETS[table] for table in missing))
        empty = [table for table in needs if not has_rows(self._tables.get(table))]
        if missing or empty:
            if not missing and nothing:
                self._said[nothing] = None
            return
        built = build(*(self._tables[table] for table in needs))
        used = sources(*(self._records.get(table) for table in needs))
        self.put(name, title, built, caption, paper, alt, used)

    def put(
        self, name: str, title: str, built: Figure | tuple | None, caption: str, paper: str, alt: str,
        used: tuple[str, ...],
    ) -> None:  # fmt: skip
        """An item that is built already: a figure, or (frame, columns); None is no item."""
        common = dict(id=name, title=title, caption=caption, paper=paper, provenance=used)
        if isinstance(built, Figure):
            self.items.append(ReportFigure.draw(built, alt=alt, **common))
        elif built is not None:
            self.items.append(ReportTable.from_frame(*built, **common))

    def section(self, identifier: str, title: str) -> ReportSection:
        """The chapter: items in the order in which they were added, then what is missing."""
        gone = tuple(Missing(asset, None) for asset in self._absent)
        return ReportSection(identifier, title, (*self.items, *gone), intro=" ".join(self._said))
