"""Slices of the case studies (see :mod:`calib_assets.study.slices`)."""

from calib_assets.study.answers import collapse_answers
from calib_assets.study.document import Study
from calib_assets.study.identities import speaker_identity
from calib_assets.study.problem_sets import checks_source, questions_source

Slice = dict[str, object]


def speaker_spec(study: Study, speaker: str) -> Slice:
    """What makes one speaker's answers: a model's weights and template, or what is asked of a server."""
    return speaker_identity(study, speaker)


def collapse_spec(study: Study, collapse: str) -> Slice:
    """The question and how it is sampled."""
    fields = {"prompt", "completion", "answer_prefix", "temperature", "top_p", "max_new_tokens", "seed"}
    return study.collapse_row(collapse).model_dump(mode="json", include=fields)


def collapse_count_spec(study: Study, collapse: str) -> Slice:
    """How many answers: those that are there stay when more are asked for."""
    fields = {"samples", "history", "max_missing_share"}
    return study.collapse_row(collapse).model_dump(mode="json", include=fields)


def collapse_answers_spec(study: Study, collapse: str) -> Slice:
    """Which part of a text is the answer, which answers are one, and which are valid; a list counts by its content."""
    row = study.collapse_row(collapse)
    listed = collapse_answers(row)
    return {"answer": row.answer, "matching": row.matching, "answers": None if listed is None else list(listed)}


def coding_spec(study: Study, coding: str) -> Slice:
    """How programs are sampled."""
    fields = {"temperature", "top_p", "top_k", "max_new_tokens", "seed", "extraction", "ends_with"}
    return study.coding_row(coding).model_dump(mode="json", include=fields)


def coding_questions_spec(study: Study, coding: str) -> Slice:
    """What is asked: each problem apart from its tests."""
    return {"questions": questions_source(study.coding_row(coding))}


def coding_count_spec(study: Study, coding: str) -> Slice:
    """Of how many problems, and how many programs of each."""
    return study.coding_row(coding).model_dump(mode="json", include={"samples", "max_problems"})


def coding_tests_spec(study: Study, coding: str) -> Slice:
    """The tests, by their content, and how many verdicts may be missing."""
    row = study.coding_row(coding)
    return {"tests": checks_source(row), "max_missing_share": row.max_missing_share}


def coding_limits_spec(study: Study, coding: str) -> Slice:
    """What a program may use while its tests run: a program that needs more fails."""
    return study.coding_row(coding).limits.model_dump(mode="json")


def coding_scoring_spec(study: Study, coding: str) -> Slice:
    """At which k pass@k is reported."""
    return study.coding_row(coding).model_dump(mode="json", include={"ks"})


def speakers_spec(study: Study) -> Slice:
    """The speakers as comparisons show them."""
    fields = {"name", "family", "size", "variant"}
    rows = [row.model_dump(mode="json", include=fields) for row in study.speakers]
    hosted = {row.name for row in study.api_models}
    return {"speakers": [{**row, "api": row["name"] in hosted} for row in rows]}


CASE_SLICES = {
    "speaker_spec": (("speaker",), speaker_spec),
    "collapse_spec": (("collapse",), collapse_spec),
    "collapse_count_spec": (("collapse",), collapse_count_spec),
    "collapse_answers_spec": (("collapse",), collapse_answers_spec),
    "coding_spec": (("coding",), coding_spec),
    "coding_questions_spec": (("coding",), coding_questions_spec),
    "coding_count_spec": (("coding",), coding_count_spec),
    "coding_tests_spec": (("coding",), coding_tests_spec),
    "coding_limits_spec": (("coding",), coding_limits_spec),
    "coding_scoring_spec": (("coding",), coding_scoring_spec),
    "speakers_spec": ((), speakers_spec),
}
