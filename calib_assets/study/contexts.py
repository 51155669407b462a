"""How many contexts a task needs, whatever the tokenizer."""

from itertools import product

from calib_assets.study.answers import answers_of
from calib_assets.study.tasks import DigitsTask, DigitSumTask, ListTask


def fewest_contexts(task: DigitsTask | DigitSumTask | ListTask) -> int:
    """Contexts that a task needs with any tokenizer, at the least; with all tokenizations, what is asked for.

    Digits that a separator keeps apart are tokens of their own, so each beginning of an answer before a digit is a
    context. An answer that must also end is a context itself. Of other answers nothing is known: each may be one token.

    Raises:
        AnswerProblem: As :func:`~calib_assets.study.answers.answers_of`.

    Examples:
        >>> fewest_contexts(DigitsTask(name="d", kind="digits", prompt="p", completion="c", length=3))
        111
    """
    if task.tokenizations == "all":
        return task.max_nodes
    if isinstance(task, ListTask):
        return 1 + (len(answers_of(task)) if task.terminated else 0)
    if all(c.isdigit() for c in task.separator):
        sizes = [0]
    else:
        sizes = list(range(task.length))
    return sum(_begun(task, size) for size in [*sizes, *([task.length] if task.terminated else [])])


def _begun(task: DigitsTask | DigitSumTask, size: int) -> int:
    """How many beginnings of so many digits valid answers have."""
    if not isinstance(task, DigitSumTask):
        return 10**size
    rest = 9 * (task.length - size)
    return sum(0 <= task.total - sum(digits) <= rest for digits in product(range(10), repeat=size))
