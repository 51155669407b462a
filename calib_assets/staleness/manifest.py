"""The manifest: what one stored result is, and from what it was made."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import PurePosixPath

from resources.artifacts.atomic import StorageError

FORMAT = 1  # 0: before manifests said their format


class NewerFormat(StorageError):
    """A result was written by a later version of this project, in a format that this version cannot judge."""


@dataclass(frozen=True)
class Manifest:
    """Written last, beside the data, so that a result exists exactly when its manifest does.

    Attributes:
        asset, cell: What it is the result of.
        fingerprint: Hash of everything in ``inputs``.
        data_version: Hash of the content produced (not of the file bytes).
        inputs: ``code`` (qualified name -> hash), ``code_version``, ``libraries`` (name -> version), ``upstream``
            (dep -> cell name -> data version), ``slices`` (spec asset -> cell name -> slice), all identity.
        files: File name -> {"bytes": size, "sha256": checksum}.
        numbers: Key numbers for people (rows, validity, seconds); not identity.
        run_id: Dagster run that made it.
        produced_at: ISO time, UTC.
        seconds: Wall-clock time of the body.
        libraries: Versions of the main libraries when it was made, for provenance; not identity.
        format: Of the manifest; a higher one than :data:`FORMAT` is refused, since it may mean something else.
        extra: Fields that a later version added without changing the format; kept as they are.
    """

    asset: str
    cell: tuple[str, ...]
    fingerprint: str
    data_version: str
    inputs: dict
    files: dict[str, dict]
    numbers: dict = field(default_factory=dict)
    run_id: str = ""
    produced_at: str = ""
    seconds: float = 0.0
    libraries: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT
    extra: dict = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Indented JSON, for people as well."""
        said = asdict(self)
        return json.dumps(said | said.pop("extra"), indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Inverse of :meth:`to_bytes`.

        Raises:
            ValueError: If the bytes are not a whole manifest.
            NewerFormat: If a later version wrote it in a format of its own.
        """
        try:
            raw = {"format": 0, **json.loads(data)}
            known = {name: raw.pop(name) for name in [field.name for field in fields(cls)] if name in raw}
            if known["format"] > FORMAT:
                raise NewerFormat(
                    f"the result {known.get('asset')}[{'|'.join(known.get('cell', ()))}] has a manifest of format "
                    f"{known['format']}, and this version of calib-assets knows formats up to {FORMAT}; upgrade "
                    "calib-assets, or name another store with CALIB_STORE"
                )
            for name in (known["asset"], *known["cell"], *known["files"]):
                _refuse_leaving(name)
            return cls(**{**known, "cell": tuple(known["cell"]), "extra": raw})
        except (AttributeError, KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"not a manifest: {error}") from error


def _refuse_leaving(name: str) -> None:
    """A name that becomes part of a path stays below the store, whoever wrote the manifest."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not name or "\\" in name or "\x00" in name:
        raise ValueError(f"not a manifest: the name {name!r} leaves the folder of its result")
