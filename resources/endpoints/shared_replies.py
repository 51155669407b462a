"""Paid replies, and what came of them, that several machines share through object storage, each with its own file.

What this machine stores is noted in an outbox by triggers, whoever writes it. Pushing seals what is in the outbox as
one *segment*, an object that never changes (``verdicts/<name>.jsonl.gz``), and pulling enters the segments of other
machines, each exactly once. So every file holds the union, and what has been spent is the sum over all machines. A
killed process loses nothing: its rows are in the outbox still. A lost machine loses what it had not pushed.
"""

import gzip
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from resources.artifacts.atomic import StorageError
from resources.artifacts.objects import Objects
from resources.endpoints.database import Database
from resources.endpoints.store import Reply, ReplyStore

INTERVAL_S = 10.0  # what a lost machine loses at the most: the replies of so many seconds
_NOTE = """
CREATE TRIGGER IF NOT EXISTS note_{table} AFTER INSERT ON {table} BEGIN
  INSERT INTO outbox (source, ref) VALUES ('{table}', NEW.{column}); END;
"""
_OUTBOX = """
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, source TEXT NOT NULL, ref NOT NULL, segment TEXT);
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class SharedReplies:
    """The exchange between one machine's store of replies and the storage.

    Args:
        store: Of this machine; its file is used through a connection of its own.
        objects: The storage.

    Raises:
        ReplyStoreError, StorageError: See there (on first use).
    """

    def __init__(self, store: ReplyStore, objects: Objects):
        self.objects, self.prefix = objects, store.name
        # Table -> the column that finds a row again.
        self._tables = {table: "key" for table, _ in store.tables.values()} | {"replies": "id"}
        notes = "".join(_NOTE.format(table=table, column=column) for table, column in self._tables.items())
        self._database = Database(store.folder, store.name, store.schema + _OUTBOX + notes)
        self._begun = False

    def pull(self) -> int:
        """Enter what other machines have stored; returns how many segments were new."""
        self._begin()
        with self._database.transaction(write=False) as db:
            known = {name for (name,) in db.execute("SELECT name FROM segments")}
        names = [name for name in self.objects.list(self.prefix) if name not in known]
        for name, data in zip(names, self.objects.each(lambda name: self.objects.get(f"{self.prefix}/{name}"), names)):
            if data is not None:
                self._enter(name, [json.loads(line) for line in gzip.decompress(data).splitlines()])
        return len(names)

    def push(self) -> int:
        """Upload what is new here; returns how many rows."""
        self._begin()
        with self._database.transaction() as db:
            if db.execute("SELECT 1 FROM outbox WHERE segment IS NULL LIMIT 1").fetchone():
                name = f"{uuid.uuid4().hex}.jsonl.gz"
                db.execute("UPDATE outbox SET segment = ? WHERE segment IS NULL", (name,))
                db.execute("INSERT INTO segments VALUES (?)", (name,))
            sealed = [name for (name,) in db.execute("SELECT DISTINCT segment FROM outbox")]
            rows = {name: list(self._rows(db, name)) for name in sealed}
        for name, lines in rows.items():
            text = "".join(json.dumps(line) + "\n" for line in lines)
            self.objects.put(f"{self.prefix}/{name}", gzip.compress(text.encode(), mtime=0))
            with self._database.transaction() as db:
                db.execute("DELETE FROM outbox WHERE segment = ?", (name,))
        return sum(map(len, rows.values()))

    @contextmanager
    def pushing(self, say: Callable[[str], None], interval_s: float = INTERVAL_S) -> Iterator[None]:
        """Push every few seconds while the block runs, and once at its end.

        Args:
            say: Called with a line when pushing fails; rows stay in the outbox, and the judging goes on.
        """
        stop = threading.Event()

        def live() -> None:
            while not stop.wait(interval_s):
                try:
                    self.push()
                except StorageError as error:
                    say(f"{self.prefix} could not be uploaded yet: {error}")

        thread = threading.Thread(target=live, name=f"push {self.prefix}", daemon=True)
        thread.start()
        try:
            yield
        except BaseException:
            stop.set(), thread.join()
            with suppress(StorageError):  # the first error is the one to tell
                self.push()
            raise
        stop.set(), thread.join()
        self.push()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._database.close()

    def _begin(self) -> None:
        """Note what was in the file before it was first shared."""
        if not self._begun:
            with self._database.transaction() as db:
                if db.execute("INSERT OR IGNORE INTO segments VALUES ('')").rowcount == 1:
                    db.execute("DELETE FROM outbox")
                    for table, column in self._tables.items():
                        db.execute(f"INSERT INTO outbox (source, ref) SELECT '{table}', {column} FROM {table}")
            self._begun = True

    def _rows(self, db, segment: str) -> Iterator[dict]:
        noted = db.execute("SELECT source, ref FROM outbox WHERE segment = ? ORDER BY id", (segment,)).fetchall()
        for table, ref in noted:
            found = db.execute(f"SELECT * FROM {table} WHERE {self._tables[table]} = ?", (ref,))
            names = [column[0] for column in found.description]
            for row in found:
                yield {"table": table, **dict(zip(names, row, strict=True))}

    def _enter(self, name: str, rows: list[dict]) -> None:
        with self._database.transaction() as db:
            if db.execute("INSERT OR IGNORE INTO segments VALUES (?)", (name,)).rowcount == 0:
                return  # another process of this machine was faster
            before = db.execute("SELECT coalesce(max(id), 0) FROM outbox").fetchone()[0]
            for row in rows:
                table = row.pop("table")
                if table == "replies":
                    self._enter_reply(db, row)
                else:
                    columns, places = ", ".join(row), ",".join("?" * len(row))
                    db.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({places})", list(row.values()))
            db.execute("DELETE FROM outbox WHERE id > ?", (before,))  # it came from outside

    @staticmethod
    def _enter_reply(db, row: dict) -> None:
        at, measured = row["at"], bool(row["measured"])
        said = {name: row[name] for name in ("outcome", "raw", "prompt_tokens", "completion_tokens", "cost")}
        ReplyStore._append(db, row["key"], row["judge"], Reply(**said, measured=measured))
        db.execute("UPDATE replies SET at = ? WHERE id = (SELECT max(id) FROM replies)", (at,))
