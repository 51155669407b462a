"""What is wrong with the files that a study names, and with what it asks for beside its budgets."""

import codecs
from pathlib import Path

from calib_assets.study.annotations import AnnotationProblem, read_annotations
from calib_assets.study.answers import AnswerProblem, answers_of, collapse_answers
from calib_assets.study.contexts import fewest_contexts
from calib_assets.study.document import Study
from calib_assets.study.errors import Problem
from calib_assets.study.external import ExternalProblem, read_external
from calib_assets.study.problem_sets import problem_count, problems_of
from calib_assets.study.problems import ProblemError
from calib_assets.study.prompts import PromptProblem, prompt_count, prompts_of
from calib_assets.study.yaml_lines import line_at


def content_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    """Everything wrong with a study whose fields are right, and whose paths begin at the root.

    Args:
        lines: Line of each place of the study file.
    """
    checks = (
        *(_answer_problems, _prompt_problems, _rollout_problems, _annotation_problems, _external_problems),
        *(_coding_problems, _context_problems),
    )
    return [problem for check in checks for problem in check(study, lines)]


def _answer_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    problems = []
    for rows, read in (("tasks", answers_of), ("collapse", collapse_answers)):
        for index, row in enumerate(getattr(study, rows)):
            try:
                _check_encoding(getattr(row, "answers_file", None))
                read(row)
            except AnswerProblem as error:
                field, line = f"{rows}[{index}] ({row.name}).{error.field}", line_at(lines, (rows, index, error.field))
                problems.append(Problem(field, error.value, error.message, error.remedy, line))
    return problems


def _check_encoding(file: str | None) -> None:
    """Refuse a list of answers that is not UTF-8, or whose mark of byte order would be part of its first answer."""
    if file is None:
        return
    try:
        data = Path(file).read_bytes()
        data.decode("utf-8")
    except OSError:
        return  # its reader says what is wrong
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"line {line} of the file is not UTF-8"
        raise AnswerProblem("answers_file", Path(file).name, message, "save it as UTF-8") from None
    text = data.decode("utf-8")
    for line, content in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if len(content.splitlines()) > 1:
            message = f"line {line} of the file holds a separator of lines that is no line break"
            raise AnswerProblem("answers_file", content[:80], message, "write one answer a line")
    if data.startswith(codecs.BOM_UTF8):
        message = "the file begins with a byte order mark, which would be part of its first answer"
        raise AnswerProblem("answers_file", Path(file).name, message, "save it as UTF-8 without BOM")


def _context_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    """Tasks that need more contexts than the budget has, whatever the tokenizer; the rest is found before scoring."""
    problems, limit = [], study.budgets.trie_nodes
    for index, row in enumerate(study.tasks):
        try:
            needed = fewest_contexts(row)
        except AnswerProblem:
            continue  # said of the answers themselves
        if needed > limit:
            field, remedy = ("answers" if row.kind == "list" else "length"), "raise the budget, or shorten the task"
            message = f"it needs logits at {needed:,} contexts or more, and budgets.trie_nodes is {limit:,}"
            if row.tokenizations == "all":
                field, remedy = "max_nodes", "raise the budget, or lower max_nodes"
                message = f"it may need logits at so many contexts, and budgets.trie_nodes is {limit:,}"
            value, line = None if field == "answers" else getattr(row, field), line_at(lines, ("tasks", index, field))
            problems.append(Problem(f"tasks[{index}] ({row.name}).{field}", value, message, remedy, line))
    return problems


def _coding_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    problems = []
    for index, row in enumerate(study.coding):
        try:
            if row.problems is not None:
                problems_of(row)
                problems += _coding_budget(study, index, lines)
            elif row.livecodebench is not None:  # gigabytes: read by the asset
                for file in row.livecodebench.files or ():
                    if not Path(file).is_file():
                        raise ProblemError(Path(file).name, None, "no such file", "name a file of LiveCodeBench")
        except ProblemError as error:
            name = "problems" if row.problems is not None else "livecodebench"
            field, line = f"coding[{index}] ({row.name}).{name}", line_at(lines, ("coding", index, name))
            message = f"{error.where}: {error.message}"
            problems.append(Problem(field, error.value, message, error.remedy, line))
    return problems


def _coding_budget(study: Study, index: int, lines: dict[tuple, int]) -> list[Problem]:
    row, problems = study.coding[index], []
    programs = problem_count(row) * row.samples
    limits = {"rollout_tokens": programs * row.max_new_tokens if study.models else 0}
    limits["api_calls"] = programs if study.api_models else 0
    for name, needed in limits.items():
        limit = getattr(study.budgets, name)
        if needed > limit:
            message = f"it needs {needed:,} for budgets.{name}, which is {limit:,}"
            remedy = "raise the budget, or take fewer problems, samples or tokens"
            line = line_at(lines, ("coding", index, "samples"))
            problems.append(Problem(f"coding[{index}] ({row.name}).samples", row.samples, message, remedy, line))
    return problems


def _prompt_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    """What is wrong with prompt files on this machine; a hub set is checked once it has been fetched."""
    problems, prompts = [], {}
    for index, row in enumerate(study.prompt_sets):
        try:
            prompts[row.name] = () if row.file is None else prompts_of(row)
        except PromptProblem as error:
            field, place = f"prompt_sets[{index}] ({row.name}).file", ("prompt_sets", index, "file")
            message = f"{error.where}: {error.message}"
            problems.append(Problem(field, error.value, message, error.remedy, line_at(lines, place)))
    for index, sweep in enumerate(study.sweeps):
        for judge in (study.judge(name) for name in sweep.judges):
            without = [p.id for p in prompts.get(sweep.prompts, ()) if not p.is_closed]
            if judge.kind == "verifier" and without:
                field, line = f"sweeps[{index}] ({sweep.name}).judges", line_at(lines, ("sweeps", index, "judges"))
                message = f"a verifier needs `answers` or a `pattern`; {without[0]!r} of {sweep.prompts!r} has neither"
                remedy = "set `select: closed` in the prompt set, or take another judge"
                problems.append(Problem(field, judge.name, message, remedy, line))
    return problems


def _rollout_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    """Rows that ask for more tokens than the budget has; a hub set counts as its row says."""
    problems = []
    for index, row in enumerate(study.rollouts):
        try:
            prompts = prompt_count(study.prompt_set(row.prompts), row.max_prompts)
        except PromptProblem:
            continue  # said of the prompt set itself
        tokens = prompts * row.rollouts * row.max_new_tokens
        if tokens > study.budgets.rollout_tokens:
            message = f"{tokens:,} tokens at the most, and budgets.rollout_tokens is {study.budgets.rollout_tokens:,}"
            remedy = "raise the budget, or take fewer prompts, rollouts or new tokens"
            field, line = f"rollouts[{index}] ({row.name})", line_at(lines, ("rollouts", index))
            problems.append(Problem(field, None, message, remedy, line))
    return problems


def _external_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    problems = []
    for index, row in enumerate(study.external):
        try:
            read_external(row)
        except ExternalProblem as error:
            field, line = f"external[{index}] ({row.name}).file", line_at(lines, ("external", index, "file"))
            problems.append(Problem(field, error.value, f"{error.where}: {error.message}", error.remedy, line))
    return problems


def _annotation_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    if study.annotations is None:
        return []
    try:
        read_annotations(study.annotations.file)
    except AnnotationProblem as error:
        place = line_at(lines, ("annotations", "file"))
        return [Problem("annotations.file", error.value, f"{error.where}: {error.message}", error.remedy, place)]
    return []
