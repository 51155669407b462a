"""Small files that are either whole or absent, and checksums. Used by everything that writes under the store.

The order is always the same: write under a temporary name in the same directory, flush, fsync, rename, fsync
the directory. A crash at any point leaves the old file or the new one, plus at most a ``.tmp`` name that the
next writer removes or ignores.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import polars as pl

_CHUNK = 1 << 22
_NO_SPACE = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


class ArtifactError(RuntimeError):
    """A stored file is not what its manifest says: names file, what was stored, what was found, remedy."""

    def __init__(self, where: str | Path, stored: object, found: object, remedy: str):
        super().__init__(f"{where}: stored {stored}, found {found}; remedy: {remedy}")
        self.where, self.stored, self.found, self.remedy = str(where), stored, found, remedy

    def __reduce__(self):
        return type(self), (self.where, self.stored, self.found, self.remedy)


class StorageError(RuntimeError):
    """A place of results cannot be used as it is: no access, read-only, a package missing; the text has the remedy."""


class DiskSpaceError(OSError):
    """The disk is (or would become) full. Whatever was already complete stays and is used by a rerun."""


@contextmanager
def explain_full_disk(what: str | Path) -> Iterator[None]:
    """Turn "no space left", "file too large" and "quota exceeded" into a :class:`DiskSpaceError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE or isinstance(error, DiskSpaceError):
            raise
        raise DiskSpaceError(
            error.errno,
            f"{what}: {error.strerror} while writing; what was complete before is kept; "
            "remedy: free disk space (or move the store) and run again",
        ) from error


def require_free_space(directory: Path, needed: int) -> None:
    """Raise before any work if ``directory``'s disk has fewer than ``needed`` bytes free.

    Raises:
        DiskSpaceError: With needed and free bytes and the remedy.
    """
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise DiskSpaceError(
            errno.ENOSPC,
            f"{directory}: needed {needed:,} bytes, free {free:,}; "
            "remedy: free disk space, move the store, or make the task smaller",
        )


def fsync_directory(directory: str | Path) -> None:
    """Make renames and deletions in ``directory`` durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a temporary sibling for writing; on success it durably becomes ``path``, else it is removed.

    >>> import tempfile; folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "a.bin") as file:
    ...     _ = file.write(b"whole")
    ...     (folder / "a.bin").exists()
    False
    >>> (folder / "a.bin").read_bytes()
    b'whole'
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with explain_full_disk(path):
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            fsync_directory(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: str | Path, data: bytes) -> None:
    """Atomically write ``data`` to ``path``."""
    with replacing(path) as file:
        file.write(data)


def write_json(path: str | Path, value: Any) -> None:
    """Atomically write ``value`` as JSON: sorted keys and a fixed layout, so equal values give equal bytes.

    Raises:
        ValueError: For NaN or infinity, which JSON does not have.
        TypeError: For what JSON cannot hold.
    """
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def write_parquet(path: str | Path, table: pl.DataFrame) -> None:
    """Atomically write a table as zstd parquet."""
    with replacing(path) as file:
        table.write_parquet(file, compression="zstd", statistics=False)


def file_sha256(*paths: str | Path) -> str:
    """Hex SHA-256 of the files' bytes, one after the other (several files: of their concatenation).

    >>> import tempfile; file = Path(tempfile.mkdtemp()) / "empty"; file.touch()
    >>> file_sha256(file)[:8]
    'e3b0c442'
    """
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
    return digest.hexdigest()


@contextmanager
def exclusive(path: str | Path) -> Iterator[None]:
    """Hold an advisory lock on ``path`` (created if missing). The kernel frees it when the holder dies.

    The lock file itself stays: deleting it would let two processes lock two different inodes.
    """
    import fcntl  # POSIX only, and so imported where it is used

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
