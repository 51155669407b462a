"""Services that assets are given: the study file, the store, language models, judges, encoders, prompts.

Rows of the study become what they describe here and nowhere else. Services are thin: opening one is cheap, and nothing
loads a model or calls a server until an asset's body asks for it. Deployments and tests swap them.
"""

from calib_assets.staleness.store import ArtifactStore
from resources.services.deployment import CACHE_VARIABLE, STORE_VARIABLE, StoreService, StudyService
from resources.services.embedders import Embedders
from resources.services.judges import ENDPOINT_VARIABLE, Judges
from resources.services.language_models import CACHE_FOLDER, LanguageModels, settings_of, source_of
from resources.services.problem_sets import ProblemSets
from resources.services.prompt_sets import PromptSets
from resources.services.sandboxes import Sandboxes
from resources.services.slicing import slicer_of
from resources.services.speakers import Speakers

__all__ = [
    "CACHE_FOLDER",
    "CACHE_VARIABLE",
    "ENDPOINT_VARIABLE",
    "STORE_VARIABLE",
    "Embedders",
    "Judges",
    "LanguageModels",
    "ProblemSets",
    "PromptSets",
    "Sandboxes",
    "Speakers",
    "StoreService",
    "StudyService",
    "settings_of",
    "slicer_of",
    "source_of",
    "tools_of",
]


def tools_of(models: LanguageModels, store: ArtifactStore) -> dict[str, object]:
    """Every service that assets are given, by name."""
    objects = getattr(store, "objects", None)
    return {
        "language_models": models,
        "judges": Judges(models, objects),
        "embedders": Embedders(models.device),
        "prompt_sets": PromptSets(),
        "problem_sets": ProblemSets(),
        "speakers": Speakers(models, objects),
        "sandboxes": Sandboxes(),
    }
