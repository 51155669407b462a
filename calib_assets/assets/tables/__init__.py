"""Every result table and column in words: what Dagster's UI shows beside the numbers.

Belongs here: what a row and a column mean, with units. Does not belong here: types (they are read from the table) and
formulas (``docs/papers.md``). A new table or column needs a line here: the tests compare this with what is computed.
"""

from calib_assets.assets.tables import canopy, coding, collapse, order, shape
from calib_assets.assets.tables.shared import COLUMNS, INTERVALS
from calib_assets.assets.tables.table import Table

_PARTS = (shape, order, canopy, collapse, coding)
TABLES: dict[str, Table] = {name: table for part in _PARTS for name, table in part.TABLES.items()}
"""Table -> what it is. A name means the same in every asset."""
HELD: dict[str, tuple[str, ...]] = {asset: names for part in _PARTS for asset, names in part.HELD.items()}
"""Asset -> its tables, the one it is about first; assets without tables are absent."""


def about_column(table: str, column: str) -> str | None:
    """What a column of a table means, with its unit; None where nobody has said so.

    Examples:
        >>> about_column("canopy_entropy", "n_prompts")
        'Prompts that enter.'
        >>> about_column("depth_summaries", "auc_ci_low")
        'Lower end of the 95 % bootstrap interval of auc; null where undefined.'
    """
    own = TABLES[table].columns if table in TABLES else {}
    found = own.get(column, COLUMNS.get(column))
    for ending, text in INTERVALS.items():
        if found is None and column.endswith(ending):
            found = text.format(column.removesuffix(ending))
    return found


__all__ = ["HELD", "TABLES", "Table", "about_column"]
