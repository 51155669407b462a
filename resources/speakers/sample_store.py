"""Samples of all API models of a store: a paid answer is kept from the moment it arrives, and outlives all results."""

from collections.abc import Mapping
from dataclasses import asdict

from resources.endpoints.digests import digest_of
from resources.endpoints.store import ReplyStore
from resources.speakers.questions import FINAL, Question, Sample, Sampling

_SAMPLES = """
CREATE TABLE IF NOT EXISTS samples (key TEXT PRIMARY KEY, judge TEXT NOT NULL, item TEXT NOT NULL, status TEXT NOT NULL,
  text TEXT NOT NULL, finish TEXT NOT NULL, log_probability REAL, n_tokens INTEGER, token_logprobs TEXT NOT NULL,
  detail TEXT NOT NULL, cost REAL NOT NULL) WITHOUT ROWID;
"""


class SampleStore(ReplyStore):
    """Samples and paid replies of all API models (see :class:`~resources.endpoints.store.ReplyStore`).

    Args:
        path: Folder, made if missing; it holds ``samples.sqlite`` and the owners' lock files.
    """

    name = "samples"
    tables = {Sample: ("samples", _SAMPLES)}
    final = FINAL

    @staticmethod
    def key(identity: Mapping, question: Question, sampling: Sampling) -> str:
        """What a sample is kept by: who was asked, what, how, and which answer of many it is."""
        return digest_of([dict(identity), asdict(question), asdict(sampling)])
