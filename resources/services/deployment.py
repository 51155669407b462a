"""The study file in use and the store of its results."""

import hashlib
import os
import re
from pathlib import Path

import dagster as dg

from calib_assets.staleness.remote_store import RemoteStore
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import Study, load_study, study_path
from resources.artifacts.objects import Objects, is_url

STORE_VARIABLE, CACHE_VARIABLE = "CALIB_STORE", "CALIB_CACHE"
_opened: dict[tuple[str, str, int], RemoteStore] = {}  # one for each place: what it has listed serves all assets


class StudyService(dg.ConfigurableResource):
    """The study file, read anew at every launch, so that an edit needs no reload.

    Attributes:
        path: The YAML file; empty means ``CALIB_STUDY``, then ``studies/first.yaml``.
    """

    path: str = ""

    def load(self) -> Study:
        """The validated study; StudyError names everything that is wrong with it."""
        return load_study(study_path(self.path or None))


class StoreService(dg.ConfigurableResource):
    """The artifact store.

    Attributes:
        root: Its folder, or a URL such as ``s3://bucket/prefix``; empty means ``CALIB_STORE``, then the study's
            ``storage.root``.
        keep_previous: Results of earlier fingerprints kept for each cell.
    """

    study: dg.ResourceDependency[StudyService]
    root: str = ""
    keep_previous: int = 1

    def open(self) -> ArtifactStore:
        """The store; its folder need not exist yet.

        Raises:
            StorageError: If it is on object storage and the package for that is missing.
        """
        root = self.root or os.environ.get(STORE_VARIABLE) or self.study.load().storage.root
        if not is_url(root):
            return ArtifactStore(Path(root.removeprefix("file://")).resolve(), self.keep_previous)
        key = root.rstrip("/"), str(working_folder(root)), self.keep_previous
        if key not in _opened:
            _opened[key] = RemoteStore(Objects(root), working_folder(root), self.keep_previous)
        return _opened[key]


def working_folder(url: str) -> Path:
    """This machine's folder for a store on object storage, one for each URL: in ``CALIB_CACHE``, or the user's cache.

    >>> working_folder("s3://bucket/study").name
    'bucket-study-0dbbb281'
    """
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "calib-assets"
    url = url.rstrip("/")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", url.partition("://")[2])[-60:]
    digest = hashlib.sha256(url.encode()).hexdigest()[:8]
    return Path(os.environ.get(CACHE_VARIABLE) or user).resolve() / f"{name}-{digest}"
