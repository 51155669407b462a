"""What a report is made of: small frozen records that callers fill and :func:`build_report` renders.

Every figure and table names the artifacts that it was computed from by their provenance ids, and an artifact
that does not exist yet is a :class:`Missing` item, so nothing is without a source and nothing is dropped
silently.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import polars as pl
from matplotlib.figure import Figure

from calib_assets.figures.encode import inline_svg
from calib_assets.figures.plotted import plotted_data
from calib_assets.report.spreadsheet import csv_text

Kind = Literal["text", "count", "share", "number", "flag", "sources"]
_ID = re.compile(r"[a-z][a-z0-9-]*")


def slug(*parts: str) -> str:
    """An HTML id from names, different for different names: a digest stands for what an id cannot hold.

    >>> slug("smollm2-135m", "digits-3")
    'smollm2-135m--digits-3'
    >>> slug("a b") != slug("a_b")
    True
    """
    text = "--".join(parts)
    if text[:1].isalpha() and all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", part) for part in parts):
        return text
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return f"s-{plain[:48]}-{hashlib.sha256(chr(31).join(parts).encode()).hexdigest()[:6]}".replace("--", "-")


@dataclass(frozen=True)
class Provenance:
    """One artifact behind some numbers of the report; the fields are those of its manifest.

    Its run and time are left to the manifest (and the UI): the same inputs make the same page, byte for byte.

    Attributes:
        asset: Asset key, such as ``decoding_sweep``.
        partition: Partition key, or None for an asset without partitions.
        fingerprint: Hash of everything that the artifact was computed from.
        data_version: Hash of its content.
        code_version: Hash of the code that computed it.
        libraries: Versions of libraries that can change its numbers.
    """

    asset: str
    partition: str | None
    fingerprint: str
    data_version: str
    code_version: str
    libraries: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        """Short id that figures and tables refer to; it depends on asset and partition only.

        >>> Provenance("a", "m|t", *"fdc").id == Provenance("a", "m|t", *"123").id
        True
        """
        return "p" + hashlib.sha256(f"{self.asset}\x1f{self.partition}".encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Absent:
    """A table cell whose value does not exist for a reason that is not "undefined"; shown as ``label``."""

    reason: str
    label: str = "missing"


@dataclass(frozen=True)
class Column:
    """A table column: ``kind`` decides the digits, ``null_means`` is what the dash of a null cell says.

    Kinds: text; count (whole numbers); share (in [0, 1], never rounded to an end of it); number (4 digits);
    flag (yes or no); sources (a tuple of provenance ids).
    """

    label: str
    kind: Kind = "text"
    null_means: str = "no value"
    help: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A table: ``rows[i][j]`` belongs to ``columns[j]``; None is a null, :class:`Absent` a missing value.

    Attributes:
        id: HTML id, unique in the report.
        paper: Section or figure of the paper that it is the counterpart of.
        provenance: Ids of the artifacts that it was computed from.
        omitted: Rows of the artifact that are not shown; said under the table.
    """

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    caption: str = ""
    paper: str = ""
    provenance: tuple[str, ...] = ()
    omitted: int = 0

    def __post_init__(self) -> None:
        _check_id(self.id)
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.id}: a row has {len(row)} cells for {len(self.columns)} columns: {row!r}"
                )
            for column, cell in zip(self.columns, row, strict=True):
                if isinstance(cell, float) and math.isnan(cell):
                    raise ValueError(
                        f"table {self.id}: column {column.label!r} holds NaN; "
                        "an undefined value must be null (None)"
                    )

    @classmethod
    def from_frame(
        cls, frame: pl.DataFrame, columns: Mapping[str, Column], *, limit: int = 200, **fields: Any
    ) -> Self:
        """A table of the named columns of a frame, in the order of ``columns``, of at most ``limit`` rows."""
        absent = [name for name in columns if name not in frame.columns]
        if absent:
            raise ValueError(
                f"table {fields.get('id')}: the frame lacks {', '.join(absent)}; it has {frame.columns}"
            )
        return cls(
            columns=tuple(columns.values()),
            rows=tuple(frame.select(list(columns)).head(limit).rows()),
            omitted=max(frame.height - limit, 0),
            **fields,
        )


@dataclass(frozen=True)
class ReportFigure:
    """A picture: inline SVG text (from :func:`calib_assets.figures.inline_svg`) or PNG bytes.

    ``alt`` says what the picture shows to readers who cannot see it, ``data`` is what it draws as CSV text (from
    :func:`calib_assets.figures.plotted_data`); the other fields are those of a table.
    """

    id: str
    title: str
    image: str | bytes
    alt: str
    caption: str = ""
    paper: str = ""
    provenance: tuple[str, ...] = ()
    data: str = ""

    def __post_init__(self) -> None:
        _check_id(self.id)
        if isinstance(self.image, str) and not self.image.startswith("<svg"):
            raise ValueError(f"figure {self.id}: text images must be inline SVG beginning with <svg")
        if isinstance(self.image, str) and re.search(
            r"<\s*(script|foreignObject|iframe)\b", self.image, re.IGNORECASE
        ):
            raise ValueError(
                f"figure {self.id}: the SVG holds active content; draw it with calib_assets.figures"
            )
        if isinstance(self.image, bytes) and not self.image.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError(f"figure {self.id}: image bytes must be a PNG")

    @property
    def width(self) -> int:
        """Width on the page in CSS pixels: that of the SVG, or half of the PNG's."""
        if isinstance(self.image, str):
            found = re.match(r'<svg[^>]* width="([0-9.]+)"', self.image)
            return round(float(found[1])) if found else 560
        return int.from_bytes(self.image[16:20], "big") // 2

    @classmethod
    def draw(cls, figure: Figure, *, id: str, title: str, alt: str, **fields: Any) -> Self:
        """Encode a matplotlib figure as SVG with ids of its own and neutral colours that follow the page."""
        _check_id(id)
        data = csv_text(plotted_data(figure))
        return cls(id=id, title=title, alt=alt, image=inline_svg(figure, prefix=id, label=alt), data=data, **fields)


@dataclass(frozen=True)
class Missing:
    """An artifact that is not there: shown where its figure or table would stand, and counted at the top."""

    asset: str
    partition: str | None
    reason: str = "not materialised yet"

    @property
    def where(self) -> str:
        """The partition, for people."""
        return self.partition or "the whole study"


@dataclass(frozen=True)
class LeftOut:
    """An artifact without which the report was made: it failed (``reason``), or is not computed yet (no reason)."""

    name: str
    reason: str = ""


@dataclass(frozen=True)
class ReportSection:
    """A heading with items and subsections, in order; ``intro`` is a plain-text paragraph."""

    id: str
    title: str
    items: tuple[ReportFigure | ReportTable | Missing, ...] = ()
    children: tuple["ReportSection", ...] = ()
    intro: str = ""

    def __post_init__(self) -> None:
        _check_id(self.id)


@dataclass(frozen=True)
class Check:
    """Result of an asset check; ``passed`` is None where it has not run, which is never counted as passed."""

    name: str
    asset: str
    partition: str | None
    passed: bool | None
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """A sentence of the summary, computed from data, and the ids of the artifacts that it was computed from.

    Findings of one ``topic`` that follow each other stand under one heading.
    """

    text: str
    provenance: tuple[str, ...] = ()
    topic: str = ""


def sources(*records: Provenance | None) -> tuple[str, ...]:
    """Ids of the given records in order, without repeats; None stands for an artifact without a manifest."""
    return tuple(dict.fromkeys(record.id for record in records if record is not None))


def flatten(sections: Sequence[ReportSection]) -> list[ReportSection]:
    """Sections and all their subsections, in reading order."""
    return [part for section in sections for part in (section, *flatten(section.children))]


def _check_id(identifier: str) -> None:
    if not _ID.fullmatch(identifier):
        raise ValueError(
            f"id {identifier!r} must begin with a letter and hold a-z, 0-9 and - only; use slug()"
        )
