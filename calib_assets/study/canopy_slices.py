"""Slices of the canopy study (see :mod:`calib_assets.study.slices`)."""

from calib_assets.study.document import Study
from calib_assets.study.external import external_digest
from calib_assets.study.identities import judge_identity
from calib_assets.study.prompts import prompts_source

Slice = dict[str, object]


def rollout_spec(study: Study, rollout: str) -> Slice:
    """What one rollout is: how it is sampled, how long it may get, whose entropy is taken."""
    row = study.rollout(rollout)
    data = row.model_dump(mode="json", include={"seed", "max_new_tokens", "entropy_ranks"})
    return {**data, "temperature": row.sampling.temperature, "filters": [list(item) for item in row.filters()]}


def rollout_count_spec(study: Study, rollout: str) -> Slice:
    """Of which prompts, and how many: rollouts that are there stay when more are asked for."""
    row = study.rollout(rollout)
    return {
        "prompts": prompts_source(study.prompt_set(row.prompts)),
        "max_prompts": row.max_prompts,
        "rollouts": row.rollouts,
    }


def design_spec(study: Study, rollout: str) -> Slice:
    """The standard errors to plan for."""
    return {"relative_se": list(study.rollout(rollout).relative_se)}


def similarity_spec(study: Study, rollout: str) -> Slice:
    """Who says which rollouts mean the same, if anybody is asked."""
    row = study.rollout(rollout).semantic_entropy
    if row is None:
        return {"semantic_entropy": None}
    return {"semantic_entropy": row.model_dump(mode="json"), "judges": [judge_identity(study, row.judge)]}


def pairs_spec(study: Study) -> Slice:
    """What comparisons need to know of the models: which belong together, and what they are."""
    fields = {"name", "pair", "variant", "family"}
    return {"models": [row.model_dump(mode="json", include=fields) for row in study.models]}


def regression_spec(study: Study) -> Slice:
    """Formulas, reference levels and clipping; the order of tasks, whose first may be a reference level."""
    row = study.regression.model_dump(mode="json", include={"mean", "precision", "reference", "clip"})
    return {**row, "tasks": [item.name for item in study.rollouts]}


def diagnostics_spec(study: Study) -> Slice:
    """Simulations of the residual diagnostics."""
    return study.regression.model_dump(mode="json", include={"simulations", "seed"})


def external_spec(study: Study, external: str) -> Slice:
    """Data from elsewhere, by the content of their file."""
    row = study.external_data(external)
    data = row.model_dump(mode="json", include={"kind", "columns", "max_new_tokens", "entropy_ranks"})
    return {**data, "content": external_digest(row.file)}


CANOPY_SLICES = {
    "rollout_spec": (("rollout",), rollout_spec),
    "rollout_count_spec": (("rollout",), rollout_count_spec),
    "design_spec": (("rollout",), design_spec),
    "similarity_spec": (("rollout",), similarity_spec),
    "pairs_spec": ((), pairs_spec),
    "regression_spec": ((), regression_spec),
    "diagnostics_spec": ((), diagnostics_spec),
    "external_spec": (("external",), external_spec),
}
