"""Services that assets are given: the study file, the store, the language models. Deployments and tests swap them.

They are thin: opening one is cheap, and nothing loads a model until a body asks for it.
"""

import os
from pathlib import Path

import dagster as dg

from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import Study, load_study, study_path
from calib_assets.study.slices import SLICES

STORE_VARIABLE = "CALIB_STORE"


class StudyService(dg.ConfigurableResource):
    """The study file, read anew at every launch, so that an edit needs no reload.

    Attributes:
        path: The YAML file; empty means ``CALIB_STUDY``, then ``studies/demo.yaml``.
    """

    path: str = ""

    def load(self) -> Study:
        """The validated study; StudyError names everything that is wrong with it."""
        return load_study(study_path(self.path or None))


class StoreService(dg.ConfigurableResource):
    """The artifact store.

    Attributes:
        root: Its folder; empty means ``CALIB_STORE``, then the study's ``storage.root``.
        keep_previous: Results of earlier fingerprints kept for each cell.
    """

    root: str = ""
    study: dg.ResourceDependency[StudyService]
    keep_previous: int = 1

    def open(self) -> ArtifactStore:
        """The store; its folder need not exist yet."""
        return ArtifactStore(store_root(self.root, self.study), self.keep_previous)


def store_root(root: str, study: StudyService) -> Path:
    """Folder of the store, by the order of precedence that :class:`StoreService` documents."""
    return Path(root or os.environ.get(STORE_VARIABLE) or study.load().storage.root).resolve()
