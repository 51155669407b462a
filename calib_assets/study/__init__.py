"""The study file: one YAML document that names models, tasks, grids, sizes, judges, embedder and storage.

Belongs here: the document's types (``document``), reading it with errors a person can act on (``load``), the valid
sets it describes (``answers``), the slices that assets depend on (``slices``). Does not belong here: loading models
or anything of Dagster.
"""

from calib_assets.study.answers import answers_of
from calib_assets.study.document import Study
from calib_assets.study.errors import Problem, StudyError
from calib_assets.study.load import load_study, study_path

__all__ = ["Problem", "Study", "StudyError", "answers_of", "load_study", "study_path"]
