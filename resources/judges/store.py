"""Verdicts of all judges of a store, kept by what was judged (see :mod:`resources.endpoints.store`)."""

from collections.abc import Mapping

from resources.endpoints.digests import digest_of
from resources.endpoints.store import ReplyStore
from resources.judges.verdicts import FINAL, PairVerdict, Verdict

_VERDICTS = """
CREATE TABLE IF NOT EXISTS verdicts (key TEXT PRIMARY KEY, judge TEXT NOT NULL, item TEXT NOT NULL,
  status TEXT NOT NULL, grammar INTEGER, semantic INTEGER, overall INTEGER, reason TEXT NOT NULL, raw TEXT NOT NULL,
  detail TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL NOT NULL)
  WITHOUT ROWID;
"""
_PAIR_VERDICTS = """
CREATE TABLE IF NOT EXISTS pair_verdicts (key TEXT PRIMARY KEY, judge TEXT NOT NULL, item TEXT NOT NULL,
  status TEXT NOT NULL, similar INTEGER, reason TEXT NOT NULL, raw TEXT NOT NULL, detail TEXT NOT NULL,
  prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL NOT NULL) WITHOUT ROWID;
"""


class VerdictStore(ReplyStore):
    """Verdicts and paid replies of all judges of a store.

    Args:
        path: Folder, made if missing; it holds ``verdicts.sqlite`` and the owners' lock files.

    Raises:
        ReplyStoreError: The file is no database, or cannot be read or written (on first use).

    >>> import tempfile
    >>> from resources.endpoints.store import Reply
    >>> store = VerdictStore(tempfile.mkdtemp())
    >>> judge, key = store.who({"model": "m"}), store.key({"model": "m"}, "prompt", "response")
    >>> store.claim(key, judge)
    <Claim.TAKEN: 'taken'>
    >>> store.settle(key, judge, Verdict("ok", 100, 100, 99), Reply("ok", "{}", 200, 30), item="0123")
    >>> store.claim(key, judge), store.get([key])[key].overall, store.ledger({"model": "m"}).tokens
    (<Claim.SETTLED: 'settled'>, 99, 230)
    >>> store.close()
    """

    name = "verdicts"
    tables = {Verdict: ("verdicts", _VERDICTS), PairVerdict: ("pair_verdicts", _PAIR_VERDICTS)}
    final = FINAL

    def get(self, keys, of=Verdict):
        return super().get(keys, of)

    @staticmethod
    def key(identity: Mapping, prompt: str, response: str, truncated: bool | None = None) -> str:
        """What an item's verdict is kept by.

        Args:
            identity: Of the judge.
            truncated: The item's flag where the judge is shown it, else None.
        """
        return digest_of([dict(identity), prompt, response, truncated])

    @staticmethod
    def pair_key(identity: Mapping, prompt: str, first: str, second: str) -> str:
        """What a pair's verdict is kept by; no pair has the key of an item, nor that of its other order."""
        return digest_of([dict(identity), "pair", prompt, first, second])
