"""The valid set of an exact task, as texts in canonical surface form."""

from itertools import product
from pathlib import Path

from calib_assets.study.speaking import CollapseRow
from calib_assets.study.tasks import DigitsTask, DigitSumTask, ListTask


class AnswerProblem(ValueError):
    """A task whose answers cannot be used; carries field, value, message and remedy."""

    def __init__(self, field: str, value: object, message: str, remedy: str):
        self.field, self.value, self.message, self.remedy = field, value, message, remedy
        super().__init__(f"{field}: {message} (got {value!r}); {remedy}")


def answers_of(task: DigitsTask | DigitSumTask | ListTask) -> tuple[str, ...]:
    """Every valid answer of a task, in a fixed order (digits ascending; lists as written).

    Args:
        task: A row of ``tasks``.

    Returns:
        |V| distinct texts, without the `lead`.

    Raises:
        AnswerProblem: If the set is empty, an answer is blank, repeated or has outer spaces, or its file
            cannot be read.

    Examples:
        >>> from calib_assets.study.tasks import DigitSumTask
        >>> answers_of(DigitSumTask(name="s", kind="digit_sum", prompt="p", completion="c", length=2, total=1))
        ('0, 1', '1, 0')
    """
    if isinstance(task, DigitSumTask):
        wanted = task.total
        return tuple(_join(digits, task) for digits in product(range(10), repeat=task.length) if sum(digits) == wanted)
    if isinstance(task, DigitsTask):
        return tuple(_join(digits, task) for digits in product(range(10), repeat=task.length))
    return _checked(*_listed(task), apart=not task.terminated)


def collapse_answers(row: CollapseRow) -> tuple[str, ...] | None:
    """The valid answers of a collapse row, as written; None where any answer is valid.

    Raises:
        AnswerProblem: As :func:`answers_of`; one answer may begin another here, since whole answers are compared.
    """
    return None if row.answers is None and row.answers_file is None else _checked(*_listed(row), apart=False)


def _join(digits: tuple[int, ...], task: DigitsTask) -> str:
    return task.separator.join(str(digit) for digit in digits)


def _listed(task: ListTask | CollapseRow) -> tuple[str, tuple[str, ...]]:
    if task.answers is not None:
        return "answers", task.answers
    try:
        text = Path(task.answers_file).read_text(encoding="utf-8")
    except OSError as error:
        raise AnswerProblem(
            "answers_file", task.answers_file, error.strerror or str(error), "name an existing text file"
        ) from error
    return "answers_file", tuple(line for line in text.splitlines() if line.strip())


def _checked(field: str, answers: tuple[str, ...], *, apart: bool) -> tuple[str, ...]:
    """The answers; with ``apart`` none may be the beginning of another."""
    if not answers:
        raise AnswerProblem(field, None, "the valid set is empty", "list at least one answer")
    for answer in answers:
        if not answer or answer != answer.strip():
            raise AnswerProblem(field, answer, "an answer is blank or has outer spaces", "write the bare answer")
    seen = set()
    for answer in answers:
        if answer in seen:
            raise AnswerProblem(field, answer, "an answer is listed twice", "remove one of the two")
        seen.add(answer)
    if apart:
        ordered = sorted(answers)
        for shorter, longer in zip(ordered, ordered[1:], strict=False):
            # In sorted order a text that begins another stands directly before one that it begins.
            if longer.startswith(shorter):
                raise AnswerProblem(
                    field,
                    shorter,
                    f"it is the beginning of another answer, {longer!r}, so the shorter could never be told apart",
                    "set `terminated: true` (the answer must then also end), or drop one of the two",
                )
    return answers
