"""The manifest: what one stored result is, and from what it was made."""

import json
from dataclasses import asdict, dataclass, field


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

    def to_bytes(self) -> bytes:
        """Indented JSON, for people as well."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Manifest":
        """Inverse of :meth:`to_bytes`.

        Raises:
            ValueError: If the bytes are not a whole manifest.
        """
        try:
            raw = json.loads(data)
            return cls(**{**raw, "cell": tuple(raw["cell"])})
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"not a manifest: {error}") from error
