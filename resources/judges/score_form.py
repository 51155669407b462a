"""The fixed form in which a local model must give its scores, as the tokens that may follow each other.

The form is ``Grammar: 90`` and so on, a line for each score of the rubric. Only scores "0" to "100" in the model's own
tokenization, each with the line end that closes it, may be written, so every reply can be read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from resources.language_models import Context, Tokenization

_LINE_END = "\n"


class ScoreForm:
    """Tokens of the score lines for one tokenization.

    Args:
        names: Of the scores, in the order in which they are written.
        tokenization: Of the judging model.
        context: Any context of that model followed by the end of a reason; tokens are taken as they are after it.

    Raises:
        TokenizationError: A label or a score merges with its neighbours in this tokenization.
    """

    def __init__(self, names: Sequence[str], tokenization: Tokenization, context: Context):
        self._names, self._tokenization, self._context = names, tokenization, context

    @cached_property
    def _steps(self) -> tuple[dict[tuple[int, ...], int | None], ...]:
        """For each part of the form, in order: its possible token sequences, with the score each one means."""
        steps, here = [], self._context
        for name in self._names:
            label = self._ids(f"{name.title()}:", here)
            steps.append({label: None})
            here = _longer(here, f"{name.title()}:", label)
            scores = {self._ids(f" {score}{_LINE_END}", here): score for score in range(101)}
            steps.append(scores)
            first = next(iter(scores))
            here = _longer(here, f" 0{_LINE_END}", first)
        return tuple(steps)

    def _ids(self, text: str, context: Context) -> tuple[int, ...]:
        return tuple(self._tokenization.answer_ids(text, context))

    @cached_property
    def _next(self) -> tuple[dict[tuple[int, ...], tuple[int, ...]], ...]:
        """For each part: what was written of it -> tokens that may follow."""
        tables = []
        for step in self._steps:
            table: dict[tuple[int, ...], set[int]] = {}
            for ids in step:
                for i, token in enumerate(ids):
                    table.setdefault(ids[:i], set()).add(token)
            tables.append({path: tuple(sorted(tokens)) for path, tokens in table.items()})
        return tuple(tables)

    @property
    def longest(self) -> int:
        """Tokens of the longest filled form."""
        return sum(max(map(len, step)) for step in self._steps)

    def allowed(self, written: Sequence[int]) -> tuple[int, ...]:
        """Tokens that may follow what was written of the form; none once it is complete.

        Raises:
            ValueError: What was written is not the beginning of a form.
        """
        part, rest, _ = self._walk(written)
        if part == len(self._steps):
            return ()
        if rest not in self._next[part]:
            raise ValueError(f"tokens {list(written)} do not begin a form of scores")
        return self._next[part][rest]

    def read(self, written: Sequence[int]) -> tuple[int, ...]:
        """The scores of a complete form, in the order of their names.

        Raises:
            ValueError: The form is not complete.
        """
        part, rest, scores = self._walk(written)
        if part < len(self._steps) or rest:
            raise ValueError(f"tokens {list(written)} are not a filled form of scores")
        return scores

    def is_complete(self, written: Sequence[int]) -> bool:
        """Whether all scores are written."""
        return self._walk(written)[0] == len(self._steps)

    def _walk(self, written: Sequence[int]) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        """(parts that are complete, tokens of the next one so far, scores)."""
        part, start, scores = 0, 0, []
        for end in range(1, len(written) + 1):
            step = self._steps[part] if part < len(self._steps) else {}
            here = tuple(written[start:end])
            if here in step:  # no sequence of a part begins another one of it: each ends in what only ends
                scores += [] if step[here] is None else [step[here]]
                part, start = part + 1, end
        return part, tuple(written[start:]), tuple(scores)


def _longer(context: Context, text: str, ids: Sequence[int]) -> Context:
    return Context(context.text + text, (*context.ids, *ids))


class FormsAfter(Mapping):
    """For :class:`~calib_assets.decoding.policy.Restricted`: after each of some beginnings, the form and nothing else.

    Args:
        form: The form.
        beginnings: Tokens of each row before its form begins.
    """

    def __init__(self, form: ScoreForm, beginnings: Iterable[tuple[int, ...]]):
        self._form, self._beginnings = form, set(beginnings)

    def __getitem__(self, path: tuple[int, ...]) -> tuple[int, ...]:
        for written in range(min(len(path), self._form.longest) + 1):
            if path[: len(path) - written] in self._beginnings:
                allowed = self._form.allowed(path[len(path) - written :])
                if allowed:
                    return allowed
        raise KeyError(path)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self._beginnings)

    def __len__(self) -> int:
        return len(self._beginnings)
