"""Code that assets reach only at run time, through an interface: the classes of models, judges and encoders in use.

What a node's body calls by name is found in its syntax tree; what it is given as a service is not, and is named here,
with what makes settings of a row, so that editing a class makes stale exactly the cells whose rows use it.
"""

from collections.abc import Iterable

from calib_assets.staleness.graph import Cell
from calib_assets.study import Study
from calib_assets.study.models import MarkovSource, NgramSource
from calib_assets.study.speaking import ApiModelRow
from resources.embedders import HashedNgrams, SentenceEncoder
from resources.judges import LlmJudge, LocalJudge, VerifierJudge
from resources.language_models import MarkovModel, TransformersModel, VllmModel
from resources.services.judges import judge_settings
from resources.services.language_models import settings_of
from resources.services.speakers import api_settings
from resources.speakers import ApiSpeaker, LocalSpeaker
from resources.speakers.question_form import QuestionForm

# Distributions whose version changes what a model says, and how a text is embedded.
GENERATION_LIBRARIES = ("tokenizers", "torch", "transformers")
LOCAL_MODELS = (MarkovModel, TransformersModel, VllmModel)
ENCODER_LIBRARIES = ("sentence-transformers", *GENERATION_LIBRARIES)


def model_code(study: Study, cell: Cell) -> list[object]:
    """The class of the model of a cell, which is its first axis, and what its row says of it."""
    row = study.model(cell[0])
    if isinstance(row.source, MarkovSource):
        return [MarkovModel]
    return [VllmModel if row.backend == "vllm" else TransformersModel, settings_of]


def speaker_code(study: Study, cell: Cell) -> list[object]:
    """The classes behind the speaker of a cell, which is its last axis."""
    row = study.speaker(cell[-1])
    if isinstance(row, ApiModelRow):
        return [ApiSpeaker, QuestionForm, api_settings]
    return [LocalSpeaker, *model_code(study, (row.name,))]


def judge_code(kinds: Iterable[str]) -> list[object]:
    """The classes behind kinds of judges, and of the models that local ones run on."""
    known = {
        "llm": [LlmJudge, judge_settings],
        "verifier": [VerifierJudge],
        "local": [LocalJudge, *LOCAL_MODELS, settings_of],
    }
    return [code for kind in sorted(kinds) for code in known[kind]]


def encoder_code(study: Study, cell: Cell) -> list[object]:
    """The class of the study's encoder."""
    if study.embedder is None:
        return []
    return [HashedNgrams if isinstance(study.embedder.source, NgramSource) else SentenceEncoder]
