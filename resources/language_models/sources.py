"""From a :class:`~.spec.ModelSource` to files on this machine, and to the identity of their content.

No weights are loaded and neither torch nor transformers is imported here, so that a study whose results are
all up to date can compute every fingerprint in milliseconds (hashes are remembered by path, size and mtime).
"""

import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from resources.artifacts.atomic import file_sha256, write_json
from resources.language_models.errors import ChecksumError, CorruptFileError, SourceError
from resources.language_models.spec import ModelSource
from resources.language_models.terms import show_terms

_PART = re.compile(r"(?P<stem>.+)\.part(?P<number>\d+)$")
# The files of a model directory that can change what the model computes or how text becomes tokens.
_MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")  # reading such a file can run what is written in it


@dataclass(frozen=True)
class ResolvedSource:
    """Files of a source; several ``parts`` where one file was cut, ``name`` is then the joined file's."""

    name: str
    label: str
    parts: tuple[Path, ...]
    is_directory: bool = False


def remembered_sha256(paths: Sequence[Path], cache_dir: str | Path) -> str:
    """SHA-256 of the concatenated files; recomputed only if a path, size or mtime (ns) changed.

    Args:
        paths: Files, in order.
        cache_dir: The memo lives in its ``digests`` folder; deleting it costs only time.
    """
    stats = [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in paths]
    memo = (
        Path(cache_dir)
        / "digests"
        / f"{hashlib.sha256(json.dumps([s[0] for s in stats]).encode()).hexdigest()[:32]}.json"
    )
    try:
        known = json.loads(memo.read_text())
        if known["files"] == stats:
            return known["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # a missing or unreadable memo only costs the time to hash again
    digest = file_sha256(*paths)
    with suppress(OSError):  # a read-only store can be read
        memo.parent.mkdir(parents=True, exist_ok=True)
        write_json(memo, {"files": stats, "sha256": digest})
    return digest


def _distribution_files(package: str) -> list[metadata.PackagePath]:
    """Files of an installed distribution and of the ones that it requires without a condition."""
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        raise SourceError(f"package {package!r}", "not installed", f"pip install {package}") from None
    files = list(distribution.files or ())
    for requirement in distribution.requires or ():
        if ";" not in requirement:
            name = re.match(r"[A-Za-z0-9._-]+", requirement).group()
            try:
                files += metadata.distribution(name).files or ()
            except metadata.PackageNotFoundError:
                continue  # if the weights are in it, the glob below finds too few files and says so
    return files


def _package_files(source: ModelSource) -> ResolvedSource:
    where = f"package {source.package!r}, file {source.file!r}"
    found = {
        Path(file.locate()): file
        for file in _distribution_files(source.package)
        if fnmatch.fnmatchcase(str(file), source.file) or fnmatch.fnmatchcase(file.name, source.file)
    }
    missing = [str(path) for path in found if not path.is_file()]
    if missing:
        raise SourceError(
            where, f"{missing} listed but absent", f"pip install --force-reinstall {source.package}"
        )
    parts = sorted((path for path in found if _PART.match(path.name)), key=lambda path: path.name)
    stems = {_PART.match(path.name)["stem"] for path in parts}
    if not found:
        raise SourceError(
            where, "no file matches", f"pip install --force-reinstall {source.package}, or correct the glob"
        )
    if (parts and len(parts) != len(found)) or len(stems) > 1 or (not parts and len(found) > 1):
        names = ", ".join(sorted(path.name for path in found))
        raise SourceError(where, f"{len(found)} files match ({names})", "narrow the glob to one file")
    if parts:
        numbers = [int(_PART.match(path.name)["number"]) for path in parts]
        if numbers not in (list(range(len(numbers))), list(range(1, len(numbers) + 1))):
            raise SourceError(
                where,
                f"parts {numbers} do not follow each other",
                f"pip install --force-reinstall {source.package}",
            )
    version = metadata.version(source.package)
    name = stems.pop() if parts else next(iter(found)).name
    return ResolvedSource(name, f"package:{source.package}=={version}:{name}", tuple(parts or found))


def resolve(source: ModelSource) -> ResolvedSource:
    """Find a package's or a path's files without reading them.

    Raises:
        SourceError: Naming the package or path, what is there instead, and the remedy.
    """
    if source.kind == "package":
        return _package_files(source)
    if source.kind != "path":
        raise SourceError(
            f"{source.kind} source", "has no local files", "resolve only path and package sources"
        )
    path = Path(source.path).expanduser()
    if path.is_file():
        return ResolvedSource(path.name, f"path:{path.name}", (path,))
    if not path.is_dir():
        raise SourceError(
            f"path {str(path)!r}", "neither a file nor a directory", "correct the path or download the model"
        )
    _refuse_pickled(path)
    files = sorted({file for pattern in _MODEL_FILES for file in path.glob(pattern) if file.is_file()})
    for pattern, what in (("config.json", "config.json"), ("*.safetensors", "safetensors weights")):
        if not any(fnmatch.fnmatchcase(file.name, pattern) for file in files):
            raise SourceError(
                f"path {str(path)!r}",
                f"no {what} in it",
                "point to a transformers model directory or a GGUF file",
            )
    refuse_own_code(path, f"path {str(path)!r}")
    return ResolvedSource(path.name, f"path:{path.name}", tuple(files), is_directory=True)


def _refuse_pickled(directory: Path) -> None:
    """Refuse weights that only unpickling would read, in the directory or in a module's folder below it."""
    for folder in (directory, *sorted(path for path in directory.iterdir() if path.is_dir())):
        pickled = sorted({file.name for pattern in _PICKLED for file in folder.glob(pattern)})
        names = {file.name for file in folder.glob("*.safetensors*")}
        # Beside weights of another name the libraries would take the pickled ones.
        taken = [name for name in pickled if name.startswith("pytorch_model")]
        if (taken and not names & {"model.safetensors", "model.safetensors.index.json"}) or (
            folder == directory and pickled and not names
        ):
            raise SourceError(
                f"path {str(folder)!r}",
                f"weights as pickled files only ({', '.join(pickled[:3])}), which can run any program when read",
                "write them as safetensors, on a machine where their maker is trusted: "
                "AutoModelForCausalLM.from_pretrained(…).save_pretrained(…); or get a copy that has safetensors",
            )


def refuse_own_code(directory: Path, where: str) -> None:
    """Refuse a model that transformers has no code for and that brings its own (``auto_map`` in its config.json).

    transformers would ask at the terminal whether to run it. No study can ask for that: there is no such field.

    Raises:
        SourceError: Naming the code, and the remedy.
    """
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        asked = config.get("auto_map") or {}
    except (OSError, ValueError, AttributeError):
        return  # its reader says what is wrong with it
    if not isinstance(asked, dict) or not asked:
        return
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    for name, known in (
        ("AutoConfig", CONFIG_MAPPING_NAMES),
        ("AutoModelForCausalLM", MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    ):
        if name in asked and config.get("model_type") not in known:
            raise SourceError(
                f"{where}, config.json, field auto_map",
                f"model type {config.get('model_type')!r} needs a program that comes with the weights ({asked[name]}), "
                "and programs of models are never run (trust_remote_code)",
                "use a model whose type the installed transformers knows, or a copy converted to such a type",
            )


def _recorded_sha256(source: ModelSource) -> dict[str, str]:
    """The installer's hashes (RECORD: urlsafe base64 without padding), in hex by file name."""
    import base64

    return {
        file.name: base64.urlsafe_b64decode(file.hash.value + "=" * (-len(file.hash.value) % 4)).hex()
        for file in _distribution_files(source.package)
        if file.hash is not None and file.hash.mode == "sha256"
    }


def verified_sha256(source: ModelSource, cache_dir: str | Path) -> str:
    """SHA-256 of a package's or path's weights, held against the pin and against the installer's record.

    For a directory: the SHA-256 of the JSON list of ``[name, sha256]`` of its model files.

    Raises:
        ChecksumError: If the content differs from ``source.sha256`` or from the distribution's RECORD.
    """
    resolved = resolve(source)
    if source.kind == "package":
        show_terms(source.package, [*_distribution_files(source.package)], cache_dir)
        recorded = _recorded_sha256(source)
        for part in resolved.parts:
            found = remembered_sha256([part], cache_dir)
            if recorded.get(part.name, found) != found:
                raise ChecksumError(
                    str(part),
                    f"sha256 {found}, but the installer recorded {recorded[part.name]}",
                    f"the file is damaged: pip install --force-reinstall {source.package}",
                )
    if resolved.is_directory:
        entries = [[part.name, remembered_sha256([part], cache_dir)] for part in resolved.parts]
        digest = hashlib.sha256(json.dumps(entries).encode()).hexdigest()
    else:
        digest = remembered_sha256(resolved.parts, cache_dir)
    if source.sha256 is not None and digest != source.sha256:
        raise ChecksumError(
            f"{resolved.label}, field sha256",
            f"the study pins {source.sha256}, the content is {digest}",
            "install the pinned version, or update the pin if the change is wanted",
        )
    return digest


def content_digest(source: ModelSource, cache_dir: str | Path) -> str:
    """The identity of a model's weights and tokenizer, without loading them.

    Returns:
        ``hub:id@commit``, ``package:name==version:file:sha256:…``, ``path:name:sha256:…`` (the folder that a
        path stands in is circumstance and not part of it) or ``markov:sha256:…``.
    """
    if source.kind == "hub":
        return f"hub:{source.hub}@{source.revision or 'main'}"
    if source.kind == "markov":
        from resources.language_models.markov import load_chain

        return f"markov:sha256:{load_chain(source.markov).digest()}"
    return f"{resolve(source).label}:sha256:{verified_sha256(source, cache_dir)}"


def check_safetensors(path: Path) -> None:
    """Check a safetensors file's header against its length, without reading the weights.

    Raises:
        CorruptFileError: If the file is cut, longer than its header says, or has no readable header.
    """
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 0 < length <= size - 8 else None
        expected = (
            8
            + length
            + max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise CorruptFileError(
            str(path), f"{size:,} bytes without a safetensors header", "download the file again"
        ) from error
    if size != expected:
        raise CorruptFileError(
            str(path), f"{size:,} bytes where its header says {expected:,}", "download the file again"
        )


def hub_cache(cache_dir: str | Path) -> Path | None:
    """Where downloads go: under the one folder of all caches, unless the environment names a shared hub cache."""
    named = {"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"} & set(os.environ)
    return None if named else Path(cache_dir) / "hub"


def hub_snapshot(source: ModelSource, cache_dir: str | Path) -> Path:
    """Folder of a hub model's files at its revision, downloaded if they are not at hand.

    Raises:
        SourceError: If the download fails, with the reason and the remedy.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.safetensors", "*.json", "*.jinja", "tokenizer.model"]
    try:
        hub = hub_cache(cache_dir)
        folder = Path(
            snapshot_download(source.hub, revision=source.revision, allow_patterns=patterns, cache_dir=hub)
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise SourceError(
            f"hub model {source.hub!r} at revision {source.revision!r}",
            f"not in the local hub cache, and the download failed ({type(error).__name__}: {reason})",
            "check id, revision, network and HF_TOKEN, or download it elsewhere and use a path source",
        ) from error
    refuse_own_code(folder, f"hub model {source.hub!r}")
    return folder
