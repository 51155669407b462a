"""The pages of the study in use, side by side in one folder of the store, since they link to each other."""

import fnmatch
import shutil
from pathlib import Path

from calib_assets.staleness.manifest import Manifest
from calib_assets.staleness.store import ArtifactStore
from resources.artifacts.atomic import file_sha256, replacing

PAGES = ("report", "explorer")
FOLDER = "pages"


def side_by_side(store: ArtifactStore) -> dict[str, Path]:
    """Copy the pages in use into the store's ``pages/``, and remove what is in use no more.

    Each file is replaced at once, the page itself after what it reads; a file that is the same is left alone. Copies,
    since the results themselves are never written to again.

    Returns:
        Asset -> its page, for the pages that there are.
    """
    folder, found = store.root / FOLDER, {}
    for asset in PAGES:
        page, manifest = f"{asset}.html", store.current(asset, ())
        if manifest:
            _copy(store, manifest, page, folder)
            found[asset] = folder / page
        for path in folder.iterdir() if folder.is_dir() else ():
            is_page = path.name == page or fnmatch.fnmatch(path.name, f"{asset}-*.js")
            if is_page and not (manifest and path.name in manifest.files):
                path.unlink(missing_ok=True)
    return found


def _copy(store: ArtifactStore, manifest: Manifest, page: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(manifest.files, key=lambda name: name == page):
        target = folder / name
        if not target.is_file() or file_sha256(target) != manifest.files[name]["sha256"]:
            with (store.files(manifest, [name]) / name).open("rb") as source, replacing(target) as copy:
                shutil.copyfileobj(source, copy)
