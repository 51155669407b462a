"""What a user reads when a study file is wrong: the file, the line, the field, the value, the remedy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a study file.

    Attributes:
        field: Path of the field, as in ``tasks[2].length`` (a row is also called by its name where it has one).
        value: The offending value, as it stands in the file.
        message: What is wrong with it.
        remedy: What to write instead.
        line: 1-based line in the file, or None where it is not known.
    """

    field: str
    value: object
    message: str
    remedy: str
    line: int | None = None

    def render(self, file: str) -> str:
        """One line: ``file:line: field: message (got value); remedy``."""
        place = f"{file}:{self.line}" if self.line else file
        got = "" if self.value is None else f" (got {_short(self.value)})"
        return f"{place}: {self.field}: {self.message}{got}; {self.remedy}"


class StudyError(ValueError):
    """A study file that cannot be used. Its text names every problem found, not only the first.

    Args:
        file: Path of the study file, as the user gave it.
        problems: At least one problem.
    """

    def __init__(self, file: str, problems: list[Problem]):
        self.file, self.problems = file, problems
        super().__init__("\n".join(problem.render(file) for problem in problems))


def _short(value: object, limit: int = 120) -> str:
    """Cut in the middle: a path says at its end which file it is."""
    text, half = repr(value), limit // 2
    return text if len(text) <= limit else f"{text[:half]}…{text[-half:]}"
