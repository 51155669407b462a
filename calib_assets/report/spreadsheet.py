"""Tables as CSV text for a reader's spreadsheet, and that text packed for the page."""

import base64
import gzip

import polars as pl

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins with one of these; text from a model may begin with anything."""


def csv_text(frame: pl.DataFrame) -> str:
    """A frame as CSV: numbers in full precision, nulls empty, text that a spreadsheet would run behind an apostrophe.

    >>> csv_text(pl.DataFrame({"answer": ["=1+1", "Paris"], "p": [0.1, None]}))
    "answer,p\\n'=1+1,0.1\\nParis,\\n"
    """
    return frame.with_columns(_harmless(name) for name in frame.columns if frame[name].dtype == pl.String).write_csv()


def _harmless(name: str) -> pl.Expr:
    text = pl.col(name)
    return pl.when(text.str.slice(0, 1).is_in(FORMULA)).then("'" + text).otherwise(text).alias(name)


def packed(text: str) -> str:
    """Text as gzip in base64, the same bytes at every call; the page's script unpacks it.

    >>> gzip.decompress(base64.b64decode(packed("a,b"))).decode()
    'a,b'
    """
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
