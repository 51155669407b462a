"""Read a study file and say everything that is wrong with it, before any work starts."""

import codecs
import difflib
import os
import re
from itertools import product
from pathlib import Path

import yaml
from pydantic import ValidationError

from calib_assets.study.annotations import AnnotationProblem, read_annotations
from calib_assets.study.answers import AnswerProblem, answers_of, collapse_answers
from calib_assets.study.document import Study
from calib_assets.study.errors import Problem, StudyError
from calib_assets.study.external import ExternalProblem, read_external
from calib_assets.study.problem_sets import problem_count, problems_of
from calib_assets.study.problems import ProblemError
from calib_assets.study.prompts import PromptProblem, prompt_count, prompts_of
from calib_assets.study.tasks import DigitsTask, DigitSumTask, ListTask

DEFAULT_STUDY = "studies/first.yaml"
STUDY_VARIABLE = "CALIB_STUDY"


def study_path(path: str | None = None) -> Path:
    """The study file in use: the argument, else the variable ``CALIB_STUDY``, else ``studies/first.yaml``."""
    return Path(path or os.environ.get(STUDY_VARIABLE) or DEFAULT_STUDY)


def load_study(path: str | Path) -> Study:
    """Read, validate and cross-check one study file.

    Args:
        path: The YAML file; relative paths inside it are relative to its folder.

    Returns:
        The validated study, with the answers of every list task, every prompt file and the annotations checked too.

    Raises:
        StudyError: Naming file, line, field, value and remedy of every problem.
    """
    path = Path(path)
    data, lines = _parse(str(path), _text(path))
    if not isinstance(data, dict):
        problem = Problem("file", data, "a study is a mapping of fields", "begin with `name:`, `title:`, `models:`")
        raise StudyError(str(path), [problem])
    try:
        study = Study.model_validate(data)
    except ValidationError as error:
        problems = [_problem(item, data, lines) for item in _without_echoes(error.errors())]
        raise StudyError(str(path), problems) from None
    study = study.model_copy(update={"models": tuple(_anchor_model(row, path) for row in study.models)})
    study = study.model_copy(update={"tasks": tuple(_anchor_task(row, path) for row in study.tasks)})
    study = study.model_copy(update={"prompt_sets": tuple(_anchor(row, "file", path) for row in study.prompt_sets)})
    study = study.model_copy(update={"external": tuple(_anchor(row, "file", path) for row in study.external)})
    study = study.model_copy(update={"collapse": tuple(_anchor(row, "answers_file", path) for row in study.collapse)})
    study = study.model_copy(update={"coding": tuple(_anchor_coding(row, path) for row in study.coding)})
    if study.annotations is not None:
        study = study.model_copy(update={"annotations": _anchor(study.annotations, "file", path)})
    checks = (
        *(_answer_problems, _prompt_problems, _rollout_problems, _annotation_problems, _external_problems),
        *(_coding_problems, _context_problems),
    )
    problems = [problem for check in checks for problem in check(study, lines)]
    if problems:
        raise StudyError(str(path), problems)
    return study


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        remedy = f"name an existing study file, or set {STUDY_VARIABLE}"
        raise StudyError(str(path), [Problem("file", None, error.strerror or str(error), remedy)]) from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise StudyError(str(path), [Problem("file", None, "it is not UTF-8", "save it as UTF-8", line)]) from None


def _answer_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    problems = []
    for rows, read in (("tasks", answers_of), ("collapse", collapse_answers)):
        for index, row in enumerate(getattr(study, rows)):
            try:
                _check_encoding(getattr(row, "answers_file", None))
                read(row)
            except AnswerProblem as error:
                field, line = f"{rows}[{index}] ({row.name}).{error.field}", _line(lines, (rows, index, error.field))
                problems.append(Problem(field, error.value, error.message, error.remedy, line))
    return problems


def _check_encoding(file: str | None) -> None:
    """Refuse a list of answers that is not UTF-8, or whose mark of byte order would be part of its first answer."""
    try:
        data = Path(file).read_bytes() if file is not None else b""
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
            value, line = None if field == "answers" else getattr(row, field), _line(lines, ("tasks", index, field))
            problems.append(Problem(f"tasks[{index}] ({row.name}).{field}", value, message, remedy, line))
    return problems


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


def _coding_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    problems = []
    for index, row in enumerate(study.coding):
        try:
            if row.problems is not None:
                problems_of(row)
                problems += _coding_budget(study, index, lines)
            else:  # gigabytes: read by the asset
                for file in row.livecodebench.files or ():
                    if not Path(file).is_file():
                        raise ProblemError(Path(file).name, None, "no such file", "name a file of LiveCodeBench")
        except ProblemError as error:
            name = "problems" if row.problems is not None else "livecodebench"
            field, line = f"coding[{index}] ({row.name}).{name}", _line(lines, ("coding", index, name))
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
            line = _line(lines, ("coding", index, "samples"))
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
            problems.append(Problem(field, error.value, message, error.remedy, _line(lines, place)))
    for index, sweep in enumerate(study.sweeps):
        for judge in (study.judge(name) for name in sweep.judges):
            without = [p.id for p in prompts.get(sweep.prompts, ()) if not p.is_closed]
            if judge.kind == "verifier" and without:
                field, line = f"sweeps[{index}] ({sweep.name}).judges", _line(lines, ("sweeps", index, "judges"))
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
            field, line = f"rollouts[{index}] ({row.name})", _line(lines, ("rollouts", index))
            problems.append(Problem(field, None, message, remedy, line))
    return problems


def _external_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    problems = []
    for index, row in enumerate(study.external):
        try:
            read_external(row)
        except ExternalProblem as error:
            field, line = f"external[{index}] ({row.name}).file", _line(lines, ("external", index, "file"))
            problems.append(Problem(field, error.value, f"{error.where}: {error.message}", error.remedy, line))
    return problems


def _annotation_problems(study: Study, lines: dict[tuple, int]) -> list[Problem]:
    if study.annotations is None:
        return []
    try:
        read_annotations(study.annotations.file)
    except AnnotationProblem as error:
        place = _line(lines, ("annotations", "file"))
        return [Problem("annotations.file", error.value, f"{error.where}: {error.message}", error.remedy, place)]
    return []


def _anchor_model(row, path: Path):
    """Paths in a study file are relative to the file, so that a study can be run from anywhere."""
    for field in ("path", "markov"):
        value = getattr(row.source, field, None)
        if value is not None:
            anchored = _placed(value, path)
            row = row.model_copy(update={"source": row.source.model_copy(update={field: anchored})})
    return row


def _anchor_task(row, path: Path):
    return _anchor(row, "answers_file", path)


def _anchor_coding(row, path: Path):
    bench = row.livecodebench
    if bench is not None and bench.files is not None:
        files = tuple(_placed(file, path) for file in bench.files)
        row = row.model_copy(update={"livecodebench": bench.model_copy(update={"files": files})})
    return _anchor(row, "problems", path)


def _anchor(row, field: str, path: Path):
    value = getattr(row, field, None)
    return row if value is None else row.model_copy(update={field: _placed(value, path)})


def _placed(value: str, path: Path) -> str:
    """A path of the study file from the root on, with links followed; ``~`` is the home.

    A link keeps its own name where what it leads to has another kind of name: in the hub's cache a ``model.gguf`` is a
    link to a file whose name says nothing.
    """
    place = path.parent / Path(value).expanduser()
    found = place.resolve()
    return str(found if found.is_dir() or found.suffix == place.suffix else place.parent.resolve() / place.name)


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here the second is an error."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is no text", key_node.start_mark)
            merges = key_node.tag == "tag:yaml.org,2002:merge"  # `<<: *row`, whose keys the mapping's own go before
            key = "<<" if merges else self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} appears twice in one mapping; remove one", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _parse(file: str, text: str):
    lines: dict[tuple, int] = {}
    try:
        loader = _UniqueKeys(text)
        root = loader.get_single_node()
        if root is not None:
            _index(root, (), lines, {})
        data = None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or str(error).splitlines()[0]
        problem = Problem("file", None, message, _yaml_remedy(message), mark.line + 1 if mark else None)
        raise StudyError(file, [problem]) from None
    except RecursionError:
        problem = Problem("file", None, "lists or mappings lie too deep in each other", "correct the YAML")
        raise StudyError(file, [problem]) from None
    except ValueError as error:  # a number that Python refuses to read
        raise StudyError(file, [Problem("file", None, str(error), "write a shorter number")]) from None
    return data, lines


def _yaml_remedy(message: str) -> str:
    """What usually is behind the words of the YAML parser."""
    for words, remedy in (
        ("'\\t'", "indent with spaces: YAML takes no tabs"),
        ("mapping values are not allowed", "put a text that holds `: ` in quotes; begin each field on its own line"),
        ("expected <block end>", "begin the fields of one row in the same column"),
        ("but got", "close the bracket, brace or quote that was opened on this line or before"),
        ("a key is no text", "write `field: value`; a text that holds brackets or braces needs quotes"),
        ("special characters are not allowed", "remove the control characters, or write them as escapes in quotes"),
        ("expected a single document", "keep one study in one file"),
        ("but found another document", "keep one study in one file"),
        ("found undefined alias", "define it before with `&name`; a text that begins with `*` needs quotes"),
        ("could not determine a constructor", "remove the tag; a text that begins with `!` needs quotes"),
        ("unexpected end of stream", "close the bracket, brace or quote that was opened on this line or before"),
    ):
        if words in message:
            return remedy
    return "correct the YAML"


def _index(node, place: tuple, lines: dict[tuple, int], open_nodes: dict[int, bool]) -> None:
    """Line of every place. What an alias repeats is not entered again: aliases of aliases grow without bound.

    Args:
        open_nodes: Nodes that were entered, by id -> whether one is inside of it now.

    Raises:
        yaml.composer.ComposerError: If an alias stands inside of what it repeats.
    """
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.ScalarNode):
        if any("\ud800" <= c <= "\udfff" for c in node.value):
            raise yaml.composer.ComposerError(None, None, "half a surrogate pair is no character", node.start_mark)
        return
    if id(node) in open_nodes:
        if open_nodes[id(node)]:
            raise yaml.composer.ComposerError(None, None, "an alias stands inside of what it repeats", node.start_mark)
        return
    open_nodes[id(node)] = True
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            _index(value, (*place, name), lines, open_nodes)
            lines[(*place, name)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _index(value, (*place, index), lines, open_nodes)
    open_nodes[id(node)] = False


def line_of(path: str | Path, *place: str | int) -> int | None:
    """1-based line of a place in a study file that could be read, such as ``("models", 0, "source")``."""
    _, lines = _parse(str(path), Path(path).read_text(encoding="utf-8"))
    return _line(lines, place)


def _line(lines: dict[tuple, int], place: tuple) -> int | None:
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place)


def _problem(item: dict, data: dict, lines: dict[tuple, int]) -> Problem:
    place, value = _real_place(item["loc"], data)
    field, node = "", data
    for part in place:
        field += f"[{part}]" if isinstance(part, int) else (f".{part}" if field else str(part))
        node = node[part] if _has(node, part) else None
        if isinstance(part, int) and isinstance(node, dict) and isinstance(node.get("name"), str):
            field += f" ({node['name']})"
    message, remedy = item["msg"].removeprefix("Value error, "), "correct the value"
    kind = item["type"]
    if kind == "invalid_key":
        field, value = field.rpartition("[" if field.endswith("]") else ".")[0], place[-1] if place else None
        message, remedy = "a key is no text", "write the name of a field"
    elif kind == "extra_forbidden":
        message, value = "unknown field", None
        allowed = _siblings(item["loc"])
        near = difflib.get_close_matches(str(place[-1]), allowed, n=1)
        remedy = f"did you mean `{near[0]}`?" if near else "remove it"
        if allowed:
            remedy += f" (fields here: {', '.join(sorted(allowed))})"
    elif kind == "missing":
        message, value, remedy = "required field is missing", None, "add it"
    elif kind == "union_tag_invalid":
        value = value.get("kind") if isinstance(value, dict) else value
        field, message = f"{field}.kind", "unknown kind of task"
        remedy = f"write one of {item['ctx']['expected_tags']}"
    elif kind == "union_tag_not_found":
        field, value, message = f"{field}.kind", None, "required field is missing"
        remedy = "write digits, digit_sum or list"
    elif kind == "unknown_source":
        remedy = "write for example {id: organisation/name, revision: <commit>}"
    elif kind.startswith("literal_error"):
        message, remedy = "not an allowed value", f"write {item['ctx']['expected']}"
    elif kind == "value_error":
        message, _, tail = message.partition("; ")
        remedy = tail or remedy
        if not place:
            place, field = _named_place(message, data)
        value = value if not isinstance(value, dict | list) else None
    elif kind.endswith(("_type", "_parsing")):
        said = item["msg"][0].lower() + item["msg"][1:]
        message, remedy = "wrong type", "write " + said.removeprefix("input should be ").replace("valid tuple", "list")
    elif "than" in kind or kind in {"finite_number", "too_short", "string_too_short", "string_pattern_mismatch"}:
        message, remedy = "out of range", item["msg"][0].lower() + item["msg"][1:]
    return Problem(field or "study", value, message, remedy, _line(lines, place) if place else None)


_ROW = re.compile(r"(model|judge|sweep|rollouts|collapse) '([^']*)'(?: (?:names?|runs on) '([^']*)')?")
_LISTS = {"model": "models", "judge": "judges", "sweep": "sweeps"}


def _named_place(message: str, data: dict) -> tuple[tuple, str]:
    """Place and words of the row, and of the field with the wrong name, that an error of the whole study speaks of."""
    found = _ROW.match(message)
    key = _LISTS.get(found[1], found[1]) if found else ""
    rows = data.get(key)
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        if isinstance(row, dict) and row.get("name") == found[2]:
            place, field = (key, index), f"{key}[{index}] ({found[2]})"
            wrong = [name for name, value in row.items() if name != "name" and found[3] and found[3] in _texts(value)]
            return ((*place, wrong[0]), f"{field}.{wrong[0]}") if wrong else (place, field)
    return (), ""


def _texts(value) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def _has(node, part) -> bool:
    if isinstance(node, dict):
        return part in node
    return isinstance(node, list) and isinstance(part, int) and part < len(node)


def _real_place(loc: tuple, data):
    """Drop the parts of a pydantic location that name a union member rather than a place in the file."""
    place, node = [], data
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if _has(node, part):
            place.append(part)
            node = node[part]
        elif last and isinstance(node, dict) and isinstance(part, str) and part.islower() and part.isidentifier():
            # a missing field (or a task kind, which is also lower case: those are not last)
            place.append(part)
            node = None
    return tuple(place), node


def _siblings(loc: tuple) -> list[str]:
    """Names of the fields allowed where an unknown one stands, by walking the document's own schema."""
    schema = Study.model_json_schema()
    node = schema
    for part in loc[:-1]:
        node = _resolve(schema, node)
        if isinstance(part, int):
            node = node.get("items", {})
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        else:
            options = [_resolve(schema, option) for option in node.get("oneOf", []) + node.get("anyOf", [])]
            wanted = [
                option
                for option in options
                if option.get("title") == part or option.get("properties", {}).get("kind", {}).get("const") == part
            ]
            node = wanted[0] if wanted else node
    return list(_resolve(schema, node).get("properties", {}))


def _resolve(schema: dict, node: dict) -> dict:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _without_echoes(errors: list[dict]) -> list[dict]:
    """Drop "too short" of a list whose items failed: the list is short only because they did."""
    places = [error["loc"] for error in errors if error["type"] != "too_short"]
    return [
        error
        for error in errors
        if error["type"] != "too_short" or not any(place[: len(error["loc"])] == error["loc"] for place in places)
    ]
