"""Slices: the parts of a study that an asset reads, so that it depends on these and on nothing else.

Each slice is plain JSON data; its hash is the data version of the spec asset of the same name. Identity only: paths,
devices, licence notes and titles stay out, except in ``report_spec``, whose readers show them.
"""

from collections.abc import Callable
from pathlib import Path

from calib_assets.decoding import RULES
from calib_assets.study.answers import answers_of
from calib_assets.study.document import ListTask, MarkovSource, Study

Slice = dict[str, object]


def model_spec(study: Study, model: str) -> Slice:
    """What makes one model's numbers: weights, dtype and how contexts are built (not its family or licence)."""
    row = study.model(model)
    data = row.model_dump(
        mode="json",
        include={"variant", "dtype", "chat_template", "system_prompt", "answer_prefix", "thinking", "bos", "parity"},
    )
    source = row.source.model_dump(mode="json")
    if isinstance(row.source, MarkovSource) or "path" in source:
        source.pop("path", None)  # a path is circumstance; the weights' digest below is identity
        source.pop("markov", None)
    return {**data, "source": source}


def task_spec(study: Study, task: str) -> Slice:
    """What makes one task's valid set and prompt; a list file counts by its content."""
    row = study.task(task)
    data = row.model_dump(mode="json", exclude={"name", "answers_file"})
    if isinstance(row, ListTask):
        data["answers"] = list(answers_of(row))
    if row.tokenizations == "canonical":
        data.pop("max_nodes")
        data.pop("unexplored_mass")
    return data


def grid_spec(study: Study) -> Slice:
    """Temperatures, and each rule with its parameters."""
    grid = study.decoding.grid()
    return {
        "temperatures": list(grid.temperatures),
        "rules": {name: list(values) for name, values in sorted(grid.rules.items())},
    }


def floors_spec(study: Study) -> Slice:
    """The validity floors at which the best diversity is reported."""
    return {"validity_floors": list(study.decoding.validity_floors)}


def sequence_spec(study: Study) -> Slice:
    """The temperatures at which sequences and mass shares are listed."""
    return {"sequence_temperatures": list(study.decoding.sequence_temperatures)}


def fit_spec(study: Study) -> Slice:
    """Which conditionals get a piecewise logit fit."""
    return study.logit_fits.model_dump(mode="json")


def report_spec(study: Study) -> Slice:
    """The document, since the report prints it; of files only their names, since folders are circumstance."""
    return _file_names(study.model_dump(mode="json", exclude={"storage"}))


def _file_names(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: Path(item).name if key in {"path", "markov", "answers_file"} and item else _file_names(item)
            for key, item in value.items()
        }
    return [_file_names(item) for item in value] if isinstance(value, list) else value


def rules_in_use(study: Study) -> list[type]:
    """The rule classes that the grid names: their code is part of the sweep's identity."""
    return [RULES[name] for name in sorted(study.decoding.grid().rules)]


SLICES: dict[str, tuple[tuple[str, ...], Callable[..., Slice]]] = {
    "model_spec": (("model",), model_spec),
    "task_spec": (("task",), task_spec),
    "grid_spec": ((), grid_spec),
    "floors_spec": ((), floors_spec),
    "sequence_spec": ((), sequence_spec),
    "fit_spec": ((), fit_spec),
    "report_spec": ((), report_spec),
}
"""Name of each spec asset -> (its axes, the function that cuts its slice)."""
