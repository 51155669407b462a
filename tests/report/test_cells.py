"""Values as a table shows them: digits, signs, order, and how many rows are left out."""

import math

import polars as pl
import pytest

from calib_assets.report import Absent, Column, ReportSection, ReportTable, build_report
from calib_assets.report.cells import render_cell


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.5, "share", "0.500"),
        (0.99996, "share", "1−4×10⁻⁵"),
        (1.0, "share", "1"),
        (1 - 1e-15, "share", "1"),
        (0.0, "share", "0"),
        (3.2e-7, "share", "3.2×10⁻⁷"),
        (0.0123456, "share", "0.0123"),
        (1234567, "count", "1,234,567"),
        (-0.25, "number", "−0.25"),
        (math.inf, "number", "∞"),
        (True, "flag", "yes"),
        ("x", "text", "x"),
        (Absent("why", "gone"), "share", "gone"),
    ],
)
def test_digits(value, kind, text):
    assert render_cell(value, Column("c", kind)).text == text


def test_numbers_sort_by_value_and_keep_every_digit_in_the_tooltip():
    cell = render_cell(0.123456789, Column("c", "share"))
    assert (float(cell.sort), cell.title) == (0.123456789, "0.123456789")


def test_rows_left_out_are_counted():
    frame = pl.DataFrame({"a": [0.5] * 7})
    shown = ReportTable.from_frame(frame, {"a": Column("A", "share")}, limit=3, id="t", title="T")
    assert (len(shown.rows), shown.omitted) == (3, 4)
    assert "4 more rows" in build_report([ReportSection("s", "S", (shown,))], [], "", "R")
    with pytest.raises(ValueError, match="the frame lacks b"):
        ReportTable.from_frame(frame, {"b": Column("B")}, id="t", title="T")
