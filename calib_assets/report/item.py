"""An item of a catalogue: a figure or table that stands in the section of every model and task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from calib_assets.report.contract import Provenance, ReportFigure, ReportTable, slug, sources
from calib_assets.report.order_examples import plain


@dataclass(frozen=True)
class Item:
    """A figure or table: ``build`` takes the tables that it ``needs``, in order; None where it does not apply.

    An item of a ``part`` is left out where the model and task have no such part.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    build: Callable[..., Any]
    caption: str
    paper: str
    alt: str = ""
    part: str = ""

    def made(
        self, study: str, path: Sequence[str], tables: Mapping[str, pl.DataFrame], provenance: Mapping[str, Provenance]
    ) -> ReportFigure | ReportTable | None:
        """The figure or table of a section; None where it does not apply to these tables.

        Args:
            study: First word of the id; "" for none.
            path: Names of the section: model and task.
            tables: Those that the item needs, by name.
            provenance: Manifest of the artifact behind each table, by table name.
        """
        built = self.build(*(tables[name] for name in self.needs))
        if built is None:
            return None
        common = dict(
            id=slug(*filter(None, [study]), *path, self.name),
            title=self.title,
            caption=self.caption,
            paper=self.paper,
            provenance=sources(*(provenance.get(name) for name in self.needs)),
        )
        if isinstance(built, Figure):
            return ReportFigure.draw(built, alt=f"{self.alt} {plain(', '.join(path), 120)}.".strip(), **common)
        frame, columns = built
        return ReportTable.from_frame(frame, columns, limit=60, **common)
