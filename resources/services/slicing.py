"""Spec slices with what the study's words stand for: digests of weights, the text of a rubric."""

from collections.abc import Callable
from pathlib import Path

from calib_assets.staleness.graph import Cell
from calib_assets.study import Study
from calib_assets.study.judging import JudgeRow
from calib_assets.study.models import ModelRow
from calib_assets.study.slices import SLICES
from resources.judges import RUBRICS, SettingsError, check_rubric
from resources.language_models.sources import content_digest
from resources.language_models.vllm_options import installed_vllm
from resources.services.embedders import Embedders
from resources.services.language_models import CACHE_FOLDER, source_of

# Spec asset with judges -> what they are asked to judge there.
JUDGED = {"judge_spec": "response", "similarity_spec": "pair"}


def slicer_of(root: Path) -> Callable[[Study, str, Cell], dict]:
    """How spec slices are cut: as the study says, with digests of weights and of the texts of rubrics.

    Args:
        root: Folder of the store, where digests of large files are remembered.
    """

    def cut(study: Study, spec: str, cell: Cell) -> dict:
        data = SLICES[spec][1](study, *cell)
        if spec == "model_spec" or (spec == "speaker_spec" and "api" not in data):
            data |= _model_identity(study.model(*cell), root)
        if spec in JUDGED:
            for judge in data.get("judges", ()):
                judge |= _judge_identity(study.judge(judge["name"]), study, root, JUDGED[spec])
        if spec == "embedder_spec" and study.embedder is not None:
            data["embedder"] = Embedders().open(study.embedder, root).identity()
        return data

    return cut


def _judge_identity(row: JudgeRow, study: Study, root: Path, judged: str) -> dict[str, str]:
    """What a judge's row stands for beyond its words: its rubric's text, a local judge's weights.

    Raises:
        SettingsError: If there is no such rubric, or it judges something else than what the judge is asked.
    """
    found = {}
    if row.kind != "verifier":
        if row.rubric not in RUBRICS:
            where = f"judge {row.name!r}, field rubric"
            raise SettingsError(where, repr(row.rubric), f"use one of {', '.join(sorted(RUBRICS))}")
        check_rubric(row.name, RUBRICS[row.rubric], judged)
        found["rubric_version"] = RUBRICS[row.rubric].version
    if row.kind == "local":
        found |= _model_identity(study.model(row.model), root)
    return found


def _model_identity(row: ModelRow, root: Path) -> dict[str, str]:
    """What a model's row stands for beyond its words: the digest of its weights, the version of its engine.

    transformers' version is that of a library which all model work names; vLLM's concerns its own rows.
    """
    found = {"weights": content_digest(source_of(row), root / CACHE_FOLDER)}
    if row.backend == "vllm":
        found["engine"] = " ".join(("vllm", (installed_vllm() or ("", "absent"))[1]))
    return found
