"""What every row of a study file has in common: strictness, names that can be partition keys, list types."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

KEY = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z")  # not "$", before which a line may end


class Row(BaseModel):
    """Base of every row: unknown fields are errors, values are not coerced, instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def partition_key(value: str) -> str:
    """A name that may stand for a partition and a folder; ValueError with the remedy otherwise."""
    # Dagster validates nothing here and breaks on '|', ',' and '...' (they separate keys and ranges).
    if not KEY.match(value) or "..." in value:
        raise ValueError(
            "a name becomes a partition key and a folder: it needs letters, digits, '.', '_' or '-' and must begin "
            "with a letter or digit; write for example 'llama-3.1-8b'"
        )
    return value


# YAML has lists where a frozen document has tuples; their items stay strict.
Texts = Annotated[tuple[str, ...], Strict(False)]
Numbers = Annotated[tuple[float, ...], Strict(False)]
Parameters = Annotated[tuple[int | float | None, ...], Strict(False)]
Name = Annotated[str, Field(min_length=1, max_length=80)]
