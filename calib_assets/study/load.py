"""Read a study file and say everything that is wrong with it, before any work starts."""

import os
from pathlib import Path

from pydantic import ValidationError

from calib_assets.study.content_problems import content_problems
from calib_assets.study.document import Study
from calib_assets.study.errors import Problem, StudyError
from calib_assets.study.field_problems import field_problems
from calib_assets.study.yaml_lines import parse

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
    data, lines = parse(str(path), _text(path))
    if not isinstance(data, dict):
        problem = Problem("file", data, "a study is a mapping of fields", "begin with `name:`, `title:`, `models:`")
        raise StudyError(str(path), [problem])
    try:
        study = Study.model_validate(data)
    except ValidationError as error:
        raise StudyError(str(path), field_problems(error.errors(), data, lines)) from None
    study = study.model_copy(update={"models": tuple(_anchor_model(row, path) for row in study.models)})
    study = study.model_copy(update={"tasks": tuple(_anchor_task(row, path) for row in study.tasks)})
    study = study.model_copy(update={"prompt_sets": tuple(_anchor(row, "file", path) for row in study.prompt_sets)})
    study = study.model_copy(update={"external": tuple(_anchor(row, "file", path) for row in study.external)})
    study = study.model_copy(update={"collapse": tuple(_anchor(row, "answers_file", path) for row in study.collapse)})
    study = study.model_copy(update={"coding": tuple(_anchor_coding(row, path) for row in study.coding)})
    if study.annotations is not None:
        study = study.model_copy(update={"annotations": _anchor(study.annotations, "file", path)})
    problems = content_problems(study, lines)
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
