"""Prompt sets: one JSON object a line (or one row of a Parquet file), checked before any work."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import polars as pl

from calib_assets.study.sweeps import PromptSet

# Of files that count by their place and not by what is in them: raise it when the same file gives other prompts.
READING = 1
FIELDS = ("id", "prompt", "completion", "answers", "pattern", "answer_prefix", "lead", "stop")


class PromptProblem(ValueError):
    """A prompt set that cannot be used; carries where (file and line), value, message and remedy."""

    def __init__(self, where: str, value: object, message: str, remedy: str):
        self.where, self.value, self.message, self.remedy = where, value, message, remedy
        super().__init__(f"{where}: {message} (got {value!r}); {remedy}")


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes:
        id: Name of it, unique in its set.
        prompt: What a chat model is asked.
        completion: What a base model continues; None means the prompt itself.
        answers: Closed list of right answers; None if there is none.
        pattern: Regular expression that a right answer matches as a whole; None if there is none. A prompt with
            neither is open.
        answer_prefix: Beginning of a chat model's answer, given to it.
        lead: Text between `completion` or `answer_prefix` and the answer.
        stop: Text that ends an answer, besides the model's own end tokens; empty for none.
    """

    id: str
    prompt: str
    completion: str | None = None
    answers: tuple[str, ...] | None = None
    pattern: str | None = None
    answer_prefix: str = ""
    lead: str = " "
    stop: str = ""

    @property
    def is_closed(self) -> bool:
        """Whether a program can tell a right answer."""
        return self.answers is not None or self.pattern is not None

    def record(self) -> dict:
        """Plain data, for digests."""
        return asdict(self)


def read_prompts(
    path: str | Path,
    select: str = "all",
    *,
    prompt_field: str = "prompt",
    first: int | None = None,
    strip_code_fence: bool = False,
) -> tuple[Prompt, ...]:
    """Read and check a prompt file.

    Args:
        path: A ``.parquet`` file, or JSON lines otherwise. Fields beyond those of :class:`Prompt` are left out.
        select: ``all``, ``open`` or ``closed`` (with answers or a pattern).
        prompt_field: Field that holds the prompt.
        first: Read the first so many prompts only.
        strip_code_fence: Drop a closing code fence at the end of a prompt, and the white space around it.

    Raises:
        PromptProblem: Naming file, line, value and remedy.
    """
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            lines = enumerate(pl.scan_parquet(path).head(first or 2**31).collect().to_dicts(), start=1)
        else:
            lines = islice(_json_lines(path, path.read_text(encoding="utf-8-sig")), first)
        renamed = ((line, _renamed(record, prompt_field)) for line, record in lines)
        prompts = [_prompt(record, f"{path.name}:{line}", line) for line, record in renamed]
        if strip_code_fence:
            prompts = [replace(prompt, prompt=without_fence(prompt.prompt)) for prompt in prompts]
    except UnicodeDecodeError as error:
        raise PromptProblem(path.name, str(error.reason), "the file is not UTF-8", "save it as UTF-8") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise PromptProblem(
            path.name, str(path), f"the file cannot be read: {reason}", "name an existing file"
        ) from None
    _check_ids(prompts, path.name)
    chosen = tuple(p for p in prompts if select == "all" or p.is_closed == (select == "closed"))
    if not chosen:
        raise PromptProblem(
            path.name, select, f"no prompt is left of {len(prompts)}", "add prompts, or change the set's `select`"
        )
    return chosen


def prompts_of(row: PromptSet, path: str | Path | None = None) -> tuple[Prompt, ...]:
    """Prompts of a set, checked against its expected digest.

    Args:
        row: The study's row.
        path: Where a hub file was fetched to; by default the row's own file.

    Raises:
        PromptProblem: As :func:`read_prompts`, or if the prompts are not those that the row expects.
    """
    prompts = read_prompts(
        path or row.file,
        row.select,
        prompt_field=row.prompt_field,
        first=row.first,
        strip_code_fence=row.strip_code_fence,
    )
    found = prompts_digest(prompts)
    if row.content is not None and row.content != found:
        raise PromptProblem(
            Path(path or row.file).name,
            found,
            f"these are not the prompts of {row.name!r}: their digest should be {row.content}",
            "restore the file, or correct `content`",
        )
    return prompts


def without_fence(text: str) -> str:
    """A text without outer white space and without one closing code fence at its end.

    >>> without_fence("Begin with:\\n```\\nimport os\\n```\\n")
    'Begin with:\\n```\\nimport os'
    """
    return text.strip().removesuffix("```").strip()


def prompts_digest(prompts: Iterable[Prompt]) -> str:
    """64 hexadecimal digits of everything that the prompts say.

    >>> prompts_digest([Prompt("a", "Hi.")]) != prompts_digest([Prompt("a", "Hi.", stop="."), ])
    True
    """
    text = json.dumps([prompt.record() for prompt in prompts], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def prompts_source(row: PromptSet) -> object:
    """What identifies the prompts of a set: their content, or the pinned file where a download would be needed."""
    if row.content is not None:
        return row.content
    if row.hub is not None:
        fields = {"select", "prompt_field", "first", "strip_code_fence"}
        place = {**row.hub.model_dump(mode="json"), **row.model_dump(mode="json", include=fields)}
        return place if READING == 1 else {**place, "reading": READING}
    return prompts_digest(prompts_of(row))


def prompt_count(row: PromptSet, most: int | None = None) -> int:
    """Prompts of a set, at the most; what a hub file holds is not known before it is fetched, and counts as one."""
    known = len(prompts_of(row)) if row.file is not None else row.first or most or 1
    return min(most or known, known)


def _json_lines(path: Path, text: str) -> Iterable[tuple[int, dict]]:
    # Not `splitlines`: a text in JSON may hold separators of lines that end none here, such as U+2028.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            record = json.loads(content)
        except ValueError as error:
            raise PromptProblem(
                f"{path.name}:{line}", content[:80], f"not JSON ({error})", "write one JSON object a line"
            ) from None
        if "\\ud" in content.lower() and not _is_text(record):
            message, remedy = "half a surrogate pair is no character", "remove the escape, or write the whole pair"
            raise PromptProblem(f"{path.name}:{line}", content[:80], message, remedy)
        if not isinstance(record, dict):
            raise PromptProblem(f"{path.name}:{line}", record, "not a JSON object", 'write {"prompt": "…"}')
        yield line, record


def _is_text(record: object) -> bool:
    """Whether everything in it can be written as UTF-8."""
    try:
        return bool(json.dumps(record, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        return False


def _renamed(record: dict, prompt_field: str) -> dict:
    if prompt_field == "prompt":
        return record
    return {**{key: value for key, value in record.items() if key != "prompt"}, "prompt": record.get(prompt_field)}


def _prompt(record: dict, where: str, line: int) -> Prompt:
    found = {name: record[name] for name in FIELDS if record.get(name) is not None}
    if "prompt" not in found:
        raise PromptProblem(where, sorted(record)[:8], "the field `prompt` is missing", "add it")
    if isinstance(found.get("id"), int):
        found["id"] = str(found["id"])
    answers = found.pop("answers", None)
    for name, value in found.items():
        if not isinstance(value, str):
            raise PromptProblem(where, value, f"`{name}` is no text", "write a JSON string")
    if not found["prompt"].strip():
        raise PromptProblem(where, found["prompt"], "`prompt` is blank", "write the prompt, or remove the line")
    for name in ("completion", "answer_prefix"):
        if found.get(name, "").endswith(" "):
            raise PromptProblem(
                where,
                found[name],
                f"`{name}` ends in a space, which tokenizers glue to the next word",
                "end it without one and put the space into `lead`",
            )
    if "pattern" in found:
        if answers is not None:
            raise PromptProblem(where, found["pattern"], "`answers` and `pattern` together", "keep one of the two")
        try:
            re.compile(found["pattern"])
        except re.error as error:
            raise PromptProblem(
                where, found["pattern"], f"`pattern` is no regular expression ({error})", "correct it"
            ) from None
    return Prompt(**{"id": f"line-{line}", **found}, answers=_answers(answers, where))


def _answers(answers: object, where: str) -> tuple[str, ...] | None:
    if answers is None:
        return None
    if not isinstance(answers, list) or not answers or not all(isinstance(answer, str) for answer in answers):
        raise PromptProblem(where, answers, "`answers` is no list of texts", 'write ["red", "blue"], or leave it out')
    for answer in answers:
        if not answer or answer != answer.strip():
            raise PromptProblem(where, answer, "an answer is blank or has outer spaces", "write the bare answer")
        if answers.count(answer) > 1:
            raise PromptProblem(where, answer, "an answer is listed twice", "remove one of the two")
    return tuple(answers)


def _check_ids(prompts: list[Prompt], file: str) -> None:
    seen = set()
    for prompt in prompts:
        if prompt.id in seen:
            raise PromptProblem(file, prompt.id, "an id is used twice", "give each prompt its own, or leave ids out")
        seen.add(prompt.id)
