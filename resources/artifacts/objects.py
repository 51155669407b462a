"""Objects on S3-compatible storage (or anything that fsspec speaks), with errors that say what to do.

An object is whole or absent: a put is atomic on object storage. Nothing here knows what the objects are.
"""

import errno
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from resources.artifacts.atomic import StorageError, replacing

IN_FLIGHT = 16  # requests at once, where many objects are wanted
_CHUNK = 1 << 22
_BUSY_TRIES = 5
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


@dataclass(frozen=True)
class Entry:
    """One object of a listing.

    Attributes:
        size: In bytes.
        etag: Changes when the content changes.
        modified: Seconds on the server's clock, for comparing objects with each other only; 0.0 if it does not say.
    """

    size: int
    etag: str
    modified: float


def is_url(place: str) -> bool:
    """Whether a place is on object storage, and not a folder.

    >>> is_url("s3://bucket/study"), is_url(".store"), is_url("file://store")
    (True, False, False)
    """
    return "://" in place and not place.startswith(("file://", "local://"))


class Objects:
    """Objects under one URL, named relative to it.

    Args:
        url: Such as ``s3://bucket/prefix``. Endpoint and credentials come from the environment (``AWS_ENDPOINT_URL``,
            ``AWS_ACCESS_KEY_ID``, …, an instance's role), as for any client of that storage.

    Raises:
        StorageError: If the package for this kind of storage is missing, or there is no such kind.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        kind = url.partition("://")[0]
        try:
            import fsspec

            self._fs, self._base = fsspec.core.url_to_fs(
                self.url, use_listings_cache=False, skip_instance_cache=True
            )
        except ImportError as error:
            package = _PACKAGES.get(kind, f"the fsspec package for {kind}")
            raise StorageError(
                f"{self.url}: {package} is not installed; pip install 'calib-assets[cluster]' (it brings s3fs), or "
                f"pip install {package}"
            ) from error
        except ValueError as error:
            raise StorageError(f"{self.url}: {error}; use a folder or a URL such as s3://bucket/prefix") from error

    def get(self, name: str) -> bytes | None:
        """An object's bytes; None if there is none."""
        with self._explained("reading", name):
            try:
                return self._fs.cat_file(self._path(name), max_concurrency=1)
            except FileNotFoundError:
                return None

    def put(self, name: str, data: bytes) -> None:
        """Write an object, in place of what is there."""
        with self._explained("writing", name):
            self._fs.pipe_file(self._path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object if there is none of that name, as one step; whether this call wrote it."""
        for attempt in range(_BUSY_TRIES):
            with self._explained("creating", name):
                try:
                    self._fs.pipe_file(self._path(name), data, mode="create")
                    return True
                except FileExistsError:
                    return False
                except OSError as error:
                    if "precondition" in str(error).lower():  # servers that do not say which condition failed
                        return False
                    if error.errno != errno.EBUSY or attempt == _BUSY_TRIES - 1:
                        raise
            time.sleep(0.2 * (attempt + 1))  # another create of this object is under way
        raise AssertionError("unreachable")

    def upload(self, name: str, file: Path) -> None:
        """Write a file's bytes as an object."""
        with self._explained("writing", name):
            self._fs.put_file(str(file), self._path(name))

    def download(self, name: str, file: Path) -> str | None:
        """Write an object's bytes to a file, whole or not at all.

        Returns:
            Their SHA-256, or None if there is no such object.
        """
        digest = hashlib.sha256()
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._explained("reading", name):
            try:
                with replacing(file) as target:
                    for block in self._blocks(name):
                        digest.update(block)
                        target.write(block)
            except FileNotFoundError:
                return None
        return digest.hexdigest()

    def sha256(self, name: str) -> str | None:
        """SHA-256 of an object, read from the storage; None if there is none."""
        digest = hashlib.sha256()
        with self._explained("reading", name):
            try:
                for block in self._blocks(name):
                    digest.update(block)
            except FileNotFoundError:
                return None
        return digest.hexdigest()

    def list(self, prefix: str) -> dict[str, Entry]:
        """Every object below ``prefix/``, by its name below that prefix."""
        place = f"{self._path(prefix).rstrip('/')}/"
        with self._explained("listing", prefix):
            try:
                found = self._fs.find(place, detail=True)
            except FileNotFoundError:
                return {}
        start = len(place)
        return {
            path.lstrip("/")[start:]: _entry(info)
            for path, info in found.items()
            if len(path.lstrip("/")) > start and info["type"] == "file"
        }

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there are fine."""
        self.each(self._delete, names)

    def each(self, what: Callable, items: Iterable) -> list:
        """Call ``what`` for every item, many at once; results in order, the first error raised."""
        items = list(items)
        if len(items) < 2:
            return [what(item) for item in items]
        with ThreadPoolExecutor(min(IN_FLIGHT, len(items))) as pool:
            return list(pool.map(what, items))

    def etag(self, name: str) -> str | None:
        """Etag of an object as it is now; None if there is none."""
        with self._explained("reading", name):
            try:
                return _entry(self._fs.info(self._path(name))).etag
            except FileNotFoundError:
                return None

    def _delete(self, name: str) -> None:
        with self._explained("deleting", name):
            try:
                self._fs.rm_file(self._path(name))
            except FileNotFoundError:
                pass

    def _blocks(self, name: str) -> Iterator[bytes]:
        with self._fs.open(self._path(name), "rb", block_size=_CHUNK, cache_type="readahead") as file:
            while block := file.read(_CHUNK):
                yield block

    def _path(self, name: str) -> str:
        return f"{self._base.lstrip('/')}/{name}"

    @contextmanager
    def _explained(self, doing: str, name: str) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except PermissionError as error:
            raise StorageError(
                f"{self.url}: {doing} {name!r} was refused ({error}); check the credentials and their rights to this "
                "place (reading, writing, listing, deleting), or name another with CALIB_STORE"
            ) from error
        except Exception as error:
            if isinstance(error, StorageError) or _is_local(error):
                raise
            # Clients raise many kinds: no credentials, no such bucket, no network, a server's error after retries.
            raise StorageError(
                f"{self.url}: {doing} {name!r} failed ({type(error).__name__}: {error}); check that the bucket exists, "
                "credentials, AWS_ENDPOINT_URL and the network, then run again: what is complete is kept"
            ) from error


def _is_local(error: Exception) -> bool:
    """A full or read-only disk of this machine is not the storage's fault."""
    local = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS}
    return isinstance(error, OSError) and error.errno in local


def _entry(info: dict) -> Entry:
    modified = info.get("LastModified") or info.get("mtime") or info.get("updated") or info.get("created")
    seconds = modified.timestamp() if hasattr(modified, "timestamp") else modified
    seconds = float(seconds) if isinstance(seconds, int | float) else 0.0
    etag = info.get("ETag") or info.get("etag") or info.get("md5Hash") or f"{seconds}-{info['size']}"
    return Entry(int(info["size"]), etag.strip('"'), seconds)
