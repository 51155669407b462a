"""One SQLite file that processes, threads and forks share: connections, transactions, and who is writing."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.endpoints.claims import Owner
from resources.endpoints.errors import ReplyStoreError

_FORKED: list[sqlite3.Connection] = []  # a parent's connections, which a child must neither use nor close


class Database:
    """A SQLite file of a folder, opened by its first use.

    Args:
        folder: Made if missing; its ``owners`` folder holds the lock files of those who have the file open.
        name: Of the file, and of what it holds.
        schema: Statements that make the tables.

    Attributes:
        owners: Folder of the owners.
        owner: Name of this object's owner, valid inside a transaction.
    """

    def __init__(self, folder: Path, name: str, schema: str):
        self.folder, self.name, self.owners = folder, name, folder / "owners"
        self.file = folder / f"{name}.sqlite"
        self._schema, self._lock = schema, threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._owner: Owner | None = None

    @property
    def owner(self) -> str:
        return self._owner.name

    @contextmanager
    def transaction(self, write: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, all or nothing; writes of other processes are waited for.

        Raises:
            ReplyStoreError: The file is damaged, or cannot be read or written (full disk, permissions).
        """
        with self._lock:
            try:
                db = self._open()
                db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                try:
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, OSError) as error:
                raise ReplyStoreError(
                    f"{self.name} {self.file}",
                    f"{type(error).__name__}: {error}",
                    "free disk space and check permissions, then run again: what is stored is used; move a damaged "
                    "file away (what it holds is then paid anew)",
                ) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._owner.pid != os.getpid():
            _FORKED.append(self._connection)
            self._owner.close()
            self._connection = self._owner = None
        if self._connection is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Autocommit mode: transactions begin and end where this module says so.
            db = sqlite3.connect(self.file, timeout=60, isolation_level=None, check_same_thread=False)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                # Without a sync per commit: a killed process loses nothing, a power cut perhaps the last calls.
                db.execute("PRAGMA synchronous = NORMAL")
                db.executescript(self._schema)
                self._owner = Owner(self.owners)
            except BaseException:
                db.close()
                raise
            self._connection = db
        return self._connection

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is None:
                return
            if self._owner.pid == os.getpid():
                self._connection.close()
            else:
                _FORKED.append(self._connection)
            self._owner.close()
            self._connection = self._owner = None
