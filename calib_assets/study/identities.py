"""What a model's, a speaker's and a judge's row say that determines numbers; slices of several assets hold these."""

from calib_assets.study.document import Study
from calib_assets.study.models import MarkovSource
from calib_assets.study.speaking import ApiModelRow

JUDGE_FIELDS = {
    "llm": {"model", "rubric", "threshold", "temperature", "seed", "max_tokens", "structured"},
    "local": {"model", "rubric", "threshold", "max_tokens"},
    "verifier": {"matching"},
}


def model_spec(study: Study, model: str) -> dict[str, object]:
    """What makes one model's numbers: weights, dtype and how contexts are built (not its family or licence)."""
    row = study.model(model)
    data = row.model_dump(
        mode="json",
        include={"variant", "dtype", "chat_template", "system_prompt", "answer_prefix", "thinking", "bos", "parity"},
    )
    source = row.source.model_dump(mode="json")
    if "sha256" in source:
        source["sha256"] = None  # a pin is a check of what is hashed anyway; rows without one stay what they were
    if isinstance(row.source, MarkovSource) or "path" in source:
        source.pop("path", None)  # a path is circumstance; the weights' digest is added by the services
        source.pop("markov", None)
    if row.backend != "transformers":  # its version is added by the services
        data["backend"] = row.backend
    return {**data, "source": source}


def speaker_identity(study: Study, speaker: str) -> dict[str, object]:
    """What makes one speaker's answers; of an API model what its server is asked for, not where the server is."""
    row = study.speaker(speaker)
    if isinstance(row, ApiModelRow):
        asked = {"model", "system_prompt", "parameters", "fixed_sampling", "logprobs"}
        return {"api": row.model_dump(mode="json", include=asked)}
    return model_spec(study, speaker)


def judge_identity(study: Study, judge: str) -> dict[str, object]:
    """What determines one judge's verdicts (not where its server is or what it costs)."""
    row = study.judge(judge)
    data = row.model_dump(mode="json", include=JUDGE_FIELDS[row.kind] | {"name", "kind", "max_missing_share"})
    if row.kind == "local":
        data["model"] = model_spec(study, row.model)
    return data
