"""The one place of the shape study where a model runs: next-token logits at every context of a task's valid set."""

import polars as pl

from calib_assets.decoding import PrefixTrie
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from calib_assets.study import Study, answers_of
from resources.artifacts.logit_cache import LogitCache, LogitCacheBuilder
from resources.language_models.exploration import explore
from resources.language_models.markov import MarkovModel
from resources.language_models.transformers_model import TransformersModel

FOLDER = "cache"


class BudgetExceeded(RuntimeError):
    """A cache larger than the study allows; found before the model runs."""
