"""Paid replies and what came of them in one SQLite file: kept by what was asked, counted by who was asked.

Append-only: a reply or an outcome that is stored is never changed. Everything that one answer brings (its raw text, its
tokens, the outcome, the end of the claim) is one transaction, so a killed process loses only the calls in flight. The
file needs a local disk (WAL); processes and threads may share it.
"""

import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import ClassVar, TypeVar

from resources.endpoints.claims import Budget, Claim, is_alive
from resources.endpoints.database import Database
from resources.endpoints.digests import digest_of
from resources.endpoints.form import Outcome

# The column `judge` names who was asked: judges were the first users of this file.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (id INTEGER PRIMARY KEY, key TEXT NOT NULL, judge TEXT NOT NULL, at REAL NOT NULL,
  outcome TEXT NOT NULL, raw TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
  cost REAL NOT NULL, measured INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS replies_of_key ON replies (key);
CREATE TABLE IF NOT EXISTS spent (judge TEXT PRIMARY KEY, calls INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL, cost REAL NOT NULL, assumed_tokens INTEGER NOT NULL, assumed_cost REAL NOT NULL);
CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, judge TEXT NOT NULL, owner TEXT NOT NULL,
  until REAL NOT NULL, tokens INTEGER NOT NULL, cost REAL NOT NULL);
CREATE INDEX IF NOT EXISTS claims_of_judge ON claims (judge);
"""
_KEYS_AT_ONCE = 500
_Kind = TypeVar("_Kind", bound=Outcome)


@dataclass(frozen=True)
class Reply:
    """One answer of a server that was, or may have been, paid for.

    Attributes:
        outcome: What became of it, in a few words.
        raw: Body of the answer, less keys; empty if none arrived.
        measured: The counts are the server's; otherwise they are the largest that the call could have cost, since
            an answer that was lost or says nothing of tokens may have been billed.
    """

    outcome: str
    raw: str
    prompt_tokens: int
    completion_tokens: int
    cost: float = 0.0
    measured: bool = True


@dataclass(frozen=True)
class Ledger:
    """What one server's model has spent on a store. Hard limits count measured and assumed amounts.

    Attributes:
        calls: Replies that were, or may have been, paid for.
        assumed_tokens: Of replies without counts: at most so many.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    assumed_tokens: int = 0
    assumed_cost: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens that count against the limit."""
        return self.prompt_tokens + self.completion_tokens + self.assumed_tokens

    def __str__(self) -> str:
        assumed = f", and at most {self.assumed_tokens:,} in lost replies" if self.assumed_tokens else ""
        money = f", cost {self.cost + self.assumed_cost:.4f}" if self.cost or self.assumed_cost else ""
        return f"{self.prompt_tokens + self.completion_tokens:,} tokens in {self.calls:,} calls{assumed}{money}"


class ReplyStore:
    """Outcomes and paid replies of all that was asked; a subclass says of what kinds.

    Attributes:
        name: Of the file, and of what it holds.
        tables: Class of an outcome (a frozen dataclass of plain values) -> (its table, the statement that makes it).
        final: Statuses that are stored; any other is tried again by a rerun.

    Args:
        path: Folder, made if missing; it holds the file and the owners' lock files.

    Raises:
        ReplyStoreError: The file is no database, or cannot be read or written (on first use).
    """

    name: ClassVar[str]
    tables: ClassVar[dict[type, tuple[str, str]]]
    final: ClassVar[tuple[str, ...]]

    def __init__(self, path: str | Path):
        self.folder = Path(path)
        self._database = Database(self.folder, self.name, self.schema)

    @property
    def schema(self) -> str:
        """Statements that make the tables."""
        return "\n".join((*(statement for _, statement in self.tables.values()), _SCHEMA))

    @staticmethod
    def who(identity: Mapping) -> str:
        """Digest of the identity of who is asked: what its claims and its ledger are kept by."""
        return digest_of(dict(identity))[:32]

    # -- outcomes -------------------------------------------------------------------------------------------

    def get(self, keys: Sequence[str], of: type[_Kind]) -> dict[str, _Kind]:
        """Stored outcomes of one class, of those keys that have one."""
        found, keys, table = {}, list(keys), self.tables[of][0]
        with self._database.transaction(write=False) as db:
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                part = keys[start : start + _KEYS_AT_ONCE]
                places = ",".join("?" * len(part))
                rows = db.execute(f"SELECT key, {_columns(of)} FROM {table} WHERE key IN ({places})", part)
                found.update((key, of(*values)) for key, *values in rows)
        return found

    def settle(self, key: str, who: str, outcome: Outcome, reply: Reply | None = None, *, item: str) -> None:
        """Store a final outcome with the reply that it was read from, and end the claim, all at once.

        An outcome that is already there stays: the first one stored counts.

        Args:
            key: Of what was asked, and of whom.
            who: See :meth:`who`.
            reply: None where nothing was paid.
            item: Digest of what was asked about, for people who read the file.

        Raises:
            ValueError: For a status that is not final.
        """
        if outcome.status not in self.final:
            raise ValueError(f"status {outcome.status!r} is not final ({', '.join(self.final)}); it is never stored")
        with self._database.transaction() as db:
            if reply is not None:
                self._append(db, key, who, reply)
            values = (key, who, item, *astuple(outcome))
            places, table = ",".join("?" * len(values)), self.tables[type(outcome)][0]
            columns = f"key, judge, item, {_columns(type(outcome))}"
            db.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({places})", values)
            db.execute("DELETE FROM claims WHERE key = ? AND owner = ?", (key, self._database.owner))

    # -- paid replies ---------------------------------------------------------------------------------------

    def record(self, key: str, who: str, reply: Reply) -> None:
        """Store a paid reply that came to nothing; the claim goes on, its reservation is used up."""
        with self._database.transaction() as db:
            self._append(db, key, who, reply)
            db.execute(
                "UPDATE claims SET tokens = 0, cost = 0 WHERE key = ? AND owner = ?", (key, self._database.owner)
            )

    def replies(self, key: str) -> list[Reply]:
        """Every paid reply of an item, oldest first."""
        columns = "outcome, raw, prompt_tokens, completion_tokens, cost, measured"
        with self._database.transaction(write=False) as db:
            rows = db.execute(f"SELECT {columns} FROM replies WHERE key = ? ORDER BY id", (key,)).fetchall()
        return [Reply(*row[:-1], measured=bool(row[-1])) for row in rows]

    def ledger(self, identity: Mapping) -> Ledger:
        """What has been spent on one identity in this store, in all runs."""
        with self._database.transaction(write=False) as db:
            return self._ledger(db, self.who(identity))

    @staticmethod
    def _append(db: sqlite3.Connection, key: str, who: str, reply: Reply) -> None:
        values = (key, who, time.time(), *astuple(reply))
        db.execute(
            "INSERT INTO replies (key, judge, at, outcome, raw, prompt_tokens, completion_tokens, cost, measured) "
            "VALUES (?,?,?,?,?,?,?,?,?)",
            values,
        )
        if reply.measured:
            added = (reply.prompt_tokens, reply.completion_tokens, reply.cost, 0, 0.0)
        else:
            added = (0, 0, 0.0, reply.prompt_tokens + reply.completion_tokens, reply.cost)
        db.execute("INSERT OR IGNORE INTO spent VALUES (?,0,0,0,0,0,0)", (who,))
        db.execute(
            "UPDATE spent SET calls = calls + 1, prompt_tokens = prompt_tokens + ?, completion_tokens = "
            "completion_tokens + ?, cost = cost + ?, assumed_tokens = assumed_tokens + ?, assumed_cost = "
            "assumed_cost + ? WHERE judge = ?",
            (*added, who),
        )

    @staticmethod
    def _ledger(db: sqlite3.Connection, who: str) -> Ledger:
        columns = "calls, prompt_tokens, completion_tokens, cost, assumed_tokens, assumed_cost"
        row = db.execute(f"SELECT {columns} FROM spent WHERE judge = ?", (who,)).fetchone()
        return Ledger(*row) if row else Ledger()

    # -- claims ---------------------------------------------------------------------------------------------

    def claim(
        self,
        key: str,
        who: str,
        tokens: int = 0,
        cost: float = 0.0,
        *,
        budget: Budget | None = None,
        lifetime_s: float = 120.0,
        renew: bool = False,
    ) -> Claim:
        """Ask to make one call for an item; also before each further call for it.

        Args:
            tokens: The most that the call can use.
            cost: The most that it can cost.
            budget: The limits, over all that was spent and is in flight in any process.
            lifetime_s: After so long the claim ends by itself.
            renew: The caller already holds this item.

        Returns:
            TAKEN to go ahead (the amounts are reserved), or why not. A claim that is refused a renewal is kept.
        """
        budget, now = budget or Budget(), time.time()
        with self._database.transaction() as db:
            tables = [table for table, _ in self.tables.values()]
            if any(db.execute(f"SELECT 1 FROM {table} WHERE key = ?", (key,)).fetchone() for table in tables):
                return Claim.SETTLED
            holder = db.execute("SELECT owner, until FROM claims WHERE key = ?", (key,)).fetchone()
            if holder and not (renew and holder[0] == self._database.owner) and self._holds(*holder, now):
                return Claim.BUSY
            ledger = self._ledger(db, who)
            if budget.reached(ledger.tokens + tokens, ledger.cost + ledger.assumed_cost + cost):
                return Claim.EXHAUSTED
            others = "SELECT owner, until, tokens, cost FROM claims WHERE judge = ? AND key != ? AND tokens > 0"
            flying = [] if budget == Budget() else db.execute(others, (who, key)).fetchall()
            alive = {owner: self._holds(owner, now, now) for owner in {row[0] for row in flying}}
            held = [row for row in flying if alive[row[0]] and row[1] > now]
            used = ledger.tokens + tokens + sum(row[2] for row in held)
            if budget.reached(used, ledger.cost + ledger.assumed_cost + cost + sum(row[3] for row in held)):
                return Claim.WAIT
            values = (key, who, self._database.owner, now + lifetime_s, tokens, cost)
            db.execute("INSERT OR REPLACE INTO claims VALUES (?,?,?,?,?,?)", values)
        return Claim.TAKEN

    def release(self, keys: Sequence[str]) -> None:
        """Give up claims of this store object."""
        with self._database.transaction() as db:
            owner = self._database.owner
            db.executemany("DELETE FROM claims WHERE key = ? AND owner = ?", [(key, owner) for key in keys])

    def _holds(self, owner: str, until: float, now: float) -> bool:
        return until >= now and (owner == self._database.owner or is_alive(self._database.owners, owner))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._database.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def _columns(of: type) -> str:
    return ", ".join(field.name for field in fields(of))
