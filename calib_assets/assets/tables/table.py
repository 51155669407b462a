"""What a result table is, in words: one row of the registry in this folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        about: What a row is.
        columns: Name -> meaning, where it is not the shared one (:mod:`calib_assets.assets.tables.shared`).
    """

    about: str
    columns: Mapping[str, str] = field(default_factory=dict)
