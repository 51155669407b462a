"""A local speaker whose answers are kept as pieces: asking for more answers only the missing ones.

A server's samples need none of this: its speaker keeps each in a store of its own.
"""

from collections.abc import Sequence
from dataclasses import asdict, fields

import polars as pl

from calib_assets.staleness.pieces import Pieces
from resources.endpoints.digests import digest_of
from resources.endpoints.form import Progress
from resources.speakers import Question, Sample, Sampling, Speaker

BLOCK = 64  # answers of one piece: what a killed run loses, at the most
TYPES = {str: pl.String, float: pl.Float64, float | None: pl.Float64, int | None: pl.Int64}
PIECE = {
    "question": pl.String,
    **{field.name: TYPES.get(field.type, pl.String) for field in fields(Sample)},
}


class KeptSpeaker(Speaker):
    """Answers from pieces where they are there, and asks for the others.

    Args:
        speaker: Who is asked.
        pieces: Of the asset's cell; their key holds who is asked and how.
    """

    def __init__(self, speaker: Speaker, pieces: Pieces):
        self._speaker, self._pieces = speaker, pieces
        self._known: dict[str, Sample] = {}
        for name in pieces.names():
            for row in pl.read_parquet(pieces.path(name)).iter_rows(named=True):
                question = row.pop("question")
                self._known[question] = Sample(**row)

    def answer(
        self, questions: Sequence[Question], sampling: Sampling, progress: Progress | None = None
    ) -> list[Sample]:
        missing = [question for question in questions if question.digest not in self._known]
        for start in range(0, len(missing), BLOCK):
            block = missing[start : start + BLOCK]
            samples = self._speaker.answer(block, sampling)
            rows = [{"question": one.digest, **asdict(said)} for one, said in zip(block, samples, strict=True)]
            self._pieces.write(digest_of([row["question"] for row in rows])[:24], pl.DataFrame(rows, schema=PIECE))
            self._known |= {question.digest: said for question, said in zip(block, samples, strict=True)}
            if progress:
                progress(len(questions) - len(missing) + start + len(block), len(questions))
        return [self._known[question.digest] for question in questions]
