"""Terms of use that come with weights: said before the weights are first read, once for each store.

A package of weights may carry the terms that its maker asks users to accept (Gemma's does). Whoever plans or computes
with it sees them on the terminal or in the log, before a byte of the weights is read; nothing waits for an answer, so
that scheduled runs go on. No number depends on it.
"""

import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from resources.artifacts.atomic import write_json

_log = logging.getLogger("calib_assets.terms")
_NAME = re.compile(r"(?i)(^|[_-])terms([_-]|\.|$)")
_SAID: set[str] = set()  # in this process, where a store cannot keep the mark


def terms_of(files: Sequence[metadata.PackagePath]) -> tuple[str, str, Path] | None:
    """Name of the terms among a distribution's files, the address that its notice names, and the file; or None."""
    found = next((file for file in files if _NAME.search(file.name)), None)
    if found is None:
        return None
    address = ""
    for file in files:
        if file.name.upper().startswith("NOTICE"):
            with suppress(OSError):
                lines = Path(file.locate()).read_text(encoding="utf-8", errors="replace").splitlines()
                said = " ".join(line for line in lines if found.name in line)
                address = (re.findall(r"https://[^\s)>]+", said) or [""])[0]
    return Path(found.name).stem.replace("_", " ").title(), address, Path(found.locate())


def show_terms(package: str, files: Sequence[metadata.PackagePath], cache_dir: str | Path) -> None:
    """Log the terms of a package's weights, unless this store's mark says that they were shown.

    Args:
        package: Name of the distribution.
        files: Its files, and those of the distributions that it requires.
        cache_dir: The mark is ``terms/<package>-<version>.json`` in it; delete it to see the terms again.
    """
    found = terms_of(files)
    if found is None:
        return
    name, address, file = found
    shown = f"{package}-{metadata.version(package)}"
    mark = Path(cache_dir) / "terms" / f"{shown}.json"
    if mark.exists() or shown in _SAID:
        return
    where = f"{address} (a copy: {file})" if address else str(file)
    _log.warning("%s: its weights come under the %s: %s. Using them means accepting these terms.", shown, name, where)
    _SAID.add(shown)
    with suppress(OSError):  # a read-only store can be read
        mark.parent.mkdir(parents=True, exist_ok=True)
        write_json(mark, {"package": shown, "terms": name, "address": address})
