"""What judges that follow a rubric share: each distinct text is judged once in the life of a store of verdicts."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from resources.judges.base import Judge, Progress
from resources.judges.items import Item, Judged, Of, Pair
from resources.judges.rubrics import Rubric, check_rubric
from resources.judges.store import VerdictStore
from resources.judges.verdicts import AnyVerdict, PairVerdict, Verdict, check_missing


class RubricJudge(Judge):
    """Looks verdicts up, has the missing ones judged, and counts what is missing still.

    Attributes:
        verdicts: Store of verdicts; several judges, threads and processes may share one.
        rubric: What the judge is told; it says whether items or pairs are judged.
        max_missing_share: Largest share of missing verdicts of one call.
    """

    verdicts: VerdictStore
    rubric: Rubric
    max_missing_share: float

    def judge(self, items: Sequence[Item], *, progress: Progress | None = None) -> list[Verdict]:
        return self._ask("response", items, progress)

    def judge_pairs(self, pairs: Sequence[Pair], *, progress: Progress | None = None) -> list[PairVerdict]:
        return self._ask("pair", pairs, progress)

    def key(self, judged: Judged) -> str:
        """What the verdict on an item or a pair is kept by: identity and rubric, and all that the judge is shown.

        Raises:
            SettingsError: The judge's rubric is not of this.
        """
        return self._key(self.identity(), judged)

    def pending(self, judged: Sequence[Judged]) -> int:
        """Distinct items or pairs without a verdict: so many calls, at least, would it take to judge them."""
        identity = self.identity()
        keys = {self._key(identity, one) for one in judged}
        return len(keys) - len(self.verdicts.get(list(keys), self.rubric.verdict))

    def _key(self, identity: Mapping[str, Any], judged: Judged) -> str:
        check_rubric(self.name, self.rubric, judged.of)
        if judged.of == "pair":
            return self.verdicts.pair_key(identity, *judged.texts)
        return self.verdicts.key(identity, *judged.texts, judged.truncated if self.rubric.shows_truncation else None)

    def _ask(self, of: Of, asked: Sequence[Judged], progress: Progress | None) -> list[AnyVerdict]:
        check_rubric(self.name, self.rubric, of)
        identity = self.identity()
        keys = [self._key(identity, one) for one in asked]
        work = dict(zip(keys, asked, strict=True))
        known: dict[str, AnyVerdict] = self.verdicts.get(list(work), self.rubric.verdict)
        known = {key: self._read_today(verdict, work[key]) for key, verdict in known.items()}
        missing = {key: one for key, one in work.items() if key not in known}
        if progress:
            progress(len(known), len(work))
        if missing:
            failed = self._judge_missing(missing, len(known), progress)
            known |= failed | self.verdicts.get(list(missing), self.rubric.verdict)
        check_missing(self.name, [known[key] for key in work], self.max_missing_share)
        return [known[key] for key in keys]

    def _read_today(self, verdict: AnyVerdict, judged: Judged) -> AnyVerdict:
        """A known verdict; a judge whose replies are read by rules reads it by those of today."""
        return verdict

    @abstractmethod
    def _judge_missing(self, work: Mapping[str, Judged], done: int, progress: Progress | None) -> dict[str, AnyVerdict]:
        """Judge and store.

        Args:
            work: Key -> item or pair without a verdict; at least one.
            done: How many of the call have one.
            progress: Told of each that is done.

        Returns:
            Those that failed; the store has the others.
        """
