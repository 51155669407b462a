"""Slices: the parts of a study that an asset reads, so that it depends on these and on nothing else.

Each slice is plain JSON data; its hash is the data version of the spec asset of the same name. Identity only: paths,
devices, licence notes and titles stay out, except in ``report_spec`` and ``title_spec``, whose readers show them.
"""

from collections.abc import Callable
from pathlib import Path

from calib_assets.decoding import RULES
from calib_assets.study.annotations import annotations_digest, read_annotations
from calib_assets.study.answers import answers_of
from calib_assets.study.canopy_slices import CANOPY_SLICES
from calib_assets.study.case_slices import CASE_SLICES
from calib_assets.study.document import Study
from calib_assets.study.identities import judge_identity, model_spec
from calib_assets.study.prompts import prompts_source
from calib_assets.study.speaking import API_CIRCUMSTANCE
from calib_assets.study.tasks import ListTask

Slice = dict[str, object]
# Fields that hold paths.
FILE_FIELDS = frozenset({"path", "markov", "answers_file", "file", "files", "problems"})


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


def prefix_spec(study: Study, sweep: str) -> Slice:
    """Which prompts and contexts a sweep starts from; a prompt file counts by its content."""
    row = study.sweep(sweep)
    return {
        "prompts": prompts_source(study.prompt_set(row.prompts)),
        "seeds": row.seeds,
        "seed": row.seed,
        "prefix": row.prefix.model_dump(mode="json"),
    }


def tree_spec(study: Study, sweep: str) -> Slice:
    """Depth, ranks and branches of the tree."""
    return study.sweep(sweep).model_dump(mode="json", include={"depth", "stride", "max_rank", "branches", "seed"})


def completion_spec(study: Study, sweep: str) -> Slice:
    """How long a completion may get."""
    return {"max_new_tokens": study.sweep(sweep).max_new_tokens}


def judge_spec(study: Study, sweep: str) -> Slice:
    """The sweep's judges, each with what determines its verdicts (not where its server is or what it costs)."""
    return {"judges": [judge_identity(study, name) for name in study.sweep(sweep).judges]}


def recall_spec(study: Study, sweep: str) -> Slice:
    """The precision at which recall is reported."""
    return {"precision": study.sweep(sweep).precision}


def robustness_spec(study: Study, sweep: str) -> Slice:
    """The sampled continuations beside the greedy ones, if any."""
    row = study.sweep(sweep).robustness
    return {"robustness": None if row is None else row.model_dump(mode="json")}


def comparison_spec(study: Study, sweep: str) -> Slice:
    """The decoding comparison, if any; the floor and the tokenization, which need no samples, are `scoring_spec`."""
    row = study.sweep(sweep).decoding
    if row is None:
        return {"decoding": None}
    data = row.model_dump(mode="json", include={"samples", "seeds", "temperatures", "oracle_steps"})
    return {"decoding": {**data, "settings": [list(setting) for setting in row.settings()]}}


def scoring_spec(study: Study, sweep: str) -> Slice:
    """How samples are scored: the validity floor and the words of Self-BLEU."""
    row = study.sweep(sweep).decoding
    fields = {"validity_floor", "tokenization"}
    return {"decoding": None if row is None else row.model_dump(mode="json", include=fields)}


def embedder_spec(study: Study) -> Slice:
    """The sentence encoder: its weights (by their digest, see the services) and its document prefix."""
    if study.embedder is None:
        return {"embedder": None}
    source = study.embedder.source.model_dump(mode="json")
    source.pop("path", None)
    return {"embedder": {"source": source, "document_prefix": study.embedder.document_prefix}}


def annotations_spec(study: Study) -> Slice:
    """Human judgments, by the content of their file, and the threshold of validity."""
    if study.annotations is None:
        return {"annotations": None}
    found = annotations_digest(read_annotations(study.annotations.file))
    return {"annotations": found, "threshold": study.annotations.threshold}


def catalogue_spec(study: Study) -> Slice:
    """The models as comparisons show them: family, size, variant."""
    rows = [row.model_dump(mode="json", include={"name", "family", "size", "variant"}) for row in study.models]
    return {"models": rows}


def title_spec(study: Study) -> Slice:
    """The heading of pages."""
    return {"title": study.title}


def report_spec(study: Study) -> Slice:
    """The document, since the report prints it; of files only their names, since folders are circumstance."""
    circumstance = {"endpoint", "concurrency", "timeout_s", "max_attempts", "price_per_million", "budget"}
    out = {
        "storage": True,
        "judges": {"__all__": circumstance},
        "api_models": {"__all__": set(API_CIRCUMSTANCE)},
    }
    return _file_names(study.model_dump(mode="json", exclude=out))


def _file_names(value: object) -> object:
    if isinstance(value, dict):
        return {key: _file_name(item) if key in FILE_FIELDS else _file_names(item) for key, item in value.items()}
    return [_file_names(item) for item in value] if isinstance(value, list) else value


def _file_name(value: object) -> object:
    if isinstance(value, list):
        return [_file_name(item) for item in value]
    return Path(value).name if value else value


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
    "prefix_spec": (("sweep",), prefix_spec),
    "tree_spec": (("sweep",), tree_spec),
    "completion_spec": (("sweep",), completion_spec),
    "judge_spec": (("sweep",), judge_spec),
    "recall_spec": (("sweep",), recall_spec),
    "robustness_spec": (("sweep",), robustness_spec),
    "comparison_spec": (("sweep",), comparison_spec),
    "scoring_spec": (("sweep",), scoring_spec),
    "embedder_spec": ((), embedder_spec),
    "annotations_spec": ((), annotations_spec),
    "catalogue_spec": ((), catalogue_spec),
    "report_spec": ((), report_spec),
    "title_spec": ((), title_spec),
    **CANOPY_SLICES,
    **CASE_SLICES,
}
"""Name of each spec asset -> (its axes, the function that cuts its slice)."""
