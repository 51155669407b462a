"""GGUF, once, to a safetensors directory; and every source to a directory that loads fast.

Loading a GGUF takes four to ten times longer than loading safetensors, so a GGUF is converted once into
``<cache_dir>/models/<key>/`` (float32 master weights, config, tokenizer.json, chat template). The key is the
SHA-256 of the GGUF and this file's ``CONVERTER`` version. The directory appears by one rename, after
everything in it is on disk, under a lock that dies with its holder: two processes convert once, and a killed
conversion leaves nothing that could be taken for a model.
"""

import hashlib
import json
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from resources.artifacts.atomic import (
    DiskSpaceError,
    exclusive,
    explain_full_disk,
    file_sha256,
    fsync_directory,
    require_free_space,
    write_json,
)
from resources.language_models.errors import CorruptFileError, SourceError
from resources.language_models.sources import (
    check_safetensors,
    hub_cache,
    hub_snapshot,
    remembered_sha256,
    resolve,
    verified_sha256,
)
from resources.language_models.spec import ModelSource

CONVERTER = 1  # raise it when the same GGUF must be converted anew
MANIFEST = "conversion.json"
# GGUF files name the pre-tokenizer that the merges were learned with. transformers 5.23 knows most names and
# falls back to GPT-2's splitting for the others without a word. For these llama.cpp isolates every digit
# first; GPT-2's splitting then differs where several spaces or newlines precede a digit.
_SINGLE_DIGITS = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
_LIKE_GPT2 = {"gpt-2", "default", "phi-2", "mpt", "olmo", "jais", "gigachat"}
_TOKENIZER_BYTES = 64 << 20
_CONVERTING = threading.Lock()
_log = logging.getLogger(__name__)


def prepare_model(source: ModelSource, cache_dir: str | Path) -> Path:
    """Return a directory with config.json, tokenizer.json and safetensors; convert a GGUF if needed.

    Hub snapshots and local directories are used where they are; a converted GGUF is found again.

    Args:
        source: Any source but a Markov chain.
        cache_dir: Root of the caches; converted models live in its ``models`` folder.

    Raises:
        SourceError: Missing package, file or hub model (offline), ambiguous glob.
        ChecksumError: The weights are not the pinned or recorded ones.
        CorruptFileError: A truncated or unreadable weights file.
        DiskSpaceError: Not enough room for the converted weights.
    """
    if source.kind == "hub":
        return hub_snapshot(source, cache_dir)
    resolved = resolve(source)
    digest = verified_sha256(source, cache_dir)
    if resolved.is_directory:
        for part in resolved.parts:
            if part.suffix == ".safetensors":
                check_safetensors(part)
        return resolved.parts[0].parent
    if not resolved.name.endswith(".gguf"):
        raise SourceError(
            resolved.label, "not a GGUF file", "give a .gguf file or a directory of safetensors"
        )
    models = Path(cache_dir) / "models"
    models.mkdir(parents=True, exist_ok=True)
    target = _target(models, digest)
    with exclusive(models / f"{target.name}.lock"):
        for leftover in models.glob(
            f"{target.name}.partial-*"
        ):  # of a killed conversion: we hold the lock, nobody uses it
            shutil.rmtree(leftover)
        if target.exists() and (fault := _fault(target, cache_dir)):
            _log.warning("%s: %s; it is derived data and is converted again", target, fault)
            shutil.rmtree(target)
        if not target.exists():
            _convert(resolved.parts, resolved.name, target, {"gguf_sha256": digest, "source": resolved.label})
    return target


def is_prepared(source: ModelSource, cache_dir: str | Path) -> bool:
    """Whether :func:`prepare_model` would find its result at hand, without a conversion or a download."""
    if source.kind == "hub":
        from huggingface_hub import try_to_load_from_cache

        hub = hub_cache(cache_dir)
        return isinstance(try_to_load_from_cache(source.hub, "config.json", hub, revision=source.revision), str)
    if resolve(source).is_directory:
        return True
    return _target(Path(cache_dir) / "models", verified_sha256(source, cache_dir)).exists()


def _target(models: Path, digest: str) -> Path:
    """Directory of a converted GGUF: another content or another converter is another directory."""
    return models / hashlib.sha256(f"gguf {digest} converter {CONVERTER}".encode()).hexdigest()[:32]


def _fault(directory: Path, cache_dir: str | Path) -> str | None:
    """What is wrong with a converted directory, or None. Hashes are remembered: cheap if nothing changed."""
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        for name, entry in manifest["files"].items():
            if remembered_sha256([directory / name], cache_dir) != entry["sha256"]:
                return f"{name} has changed since it was written (sha256)"
    except (OSError, ValueError, KeyError) as error:
        return f"unreadable manifest or file ({error})"
    return None


def _convert(parts: tuple[Path, ...], name: str, target: Path, provenance: dict) -> None:
    """Convert one GGUF (maybe in parts) into ``target``, which must not exist; all or nothing."""
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    size = sum(part.stat().st_size for part in parts)
    require_free_space(target.parent, size)  # for a file joined from parts; _write_model asks for the weights
    partial.mkdir()
    try:
        with explain_full_disk(target):
            gguf = parts[0]
            if len(parts) > 1:
                gguf = partial / name
                with open(gguf, "wb") as joined:
                    for part in parts:
                        with open(part, "rb") as file:
                            shutil.copyfileobj(file, joined, 1 << 22)
            notes = _write_model(gguf, partial)
            if len(parts) > 1:
                gguf.unlink()
            files = {
                file.name: {"size": file.stat().st_size, "sha256": file_sha256(file)}
                for file in sorted(partial.iterdir())
            }
            for file in partial.iterdir():
                with open(file, "rb") as handle:
                    os.fsync(handle.fileno())
            libraries = {
                name: metadata.version(name) for name in ("gguf", "tokenizers", "torch", "transformers")
            }
            write_json(
                partial / MANIFEST,
                {
                    "converter": CONVERTER,
                    "files": files,
                    "libraries": libraries,
                    "notes": notes,
                    **provenance,
                },
            )
            os.rename(partial, target)
            fsync_directory(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_model(gguf: Path, directory: Path) -> list[str]:
    """Write config, tokenizer and float32 weights into ``directory``; return the manifest's notes."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with _CONVERTING, _gguf_read_once() as read:
            reader = read(str(gguf))
            field = reader.get_field("tokenizer.ggml.pre")
            pre = None if field is None else field.contents()
            require_free_space(
                directory, sum(4 * int(t.n_elements) for t in reader.tensors) + _TOKENIZER_BYTES
            )
            where = {"gguf_file": gguf.name, "local_files_only": True}
            tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), **where)
            model = AutoModelForCausalLM.from_pretrained(str(gguf.parent), dtype=torch.float32, **where)
    except DiskSpaceError:
        raise
    except Exception as error:  # the readers raise whatever the damaged bytes lead them to
        found = f"{gguf.stat().st_size:,} bytes that cannot be read as GGUF ({type(error).__name__}: {error})"
        raise CorruptFileError(str(gguf), found, "install or download the file again") from error
    notes = _mend_pre_tokenizer(tokenizer, pre)
    # transformers refuses to save a model that came from a GGUF, although its weights are plain float32 now.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config.name_or_path = ""
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return notes


@contextmanager
def _gguf_read_once() -> Iterator[Callable]:
    """Parse a GGUF's metadata once instead of once each for configuration, tokenizer and weights.

    transformers 5.23 makes a new ``gguf.GGUFReader`` for each of them, which takes seconds over a large
    vocabulary. Inside this block the readers of one path are the same object.
    """
    import gguf

    reader_class = gguf.GGUFReader
    read = lru_cache(maxsize=1)(lambda path, *mode: reader_class(path, *mode))
    gguf.GGUFReader = read
    try:
        yield read
    finally:
        gguf.GGUFReader = reader_class


def _mend_pre_tokenizer(tokenizer, pre: str | None) -> list[str]:
    """Give the tokenizer the pre-tokenizer that the GGUF names, where transformers ignores the name."""
    from tokenizers import pre_tokenizers
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    backend = tokenizer.backend_tokenizer
    if pre in _SINGLE_DIGITS:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        return [f"pre-tokenizer {pre}: every digit isolated, then GPT-2's splitting"]
    if pre is None or pre in GGUF_PRE_TOKENIZER_SPLITS or pre in _LIKE_GPT2:
        return []
    note = f"pre-tokenizer {pre!r} is unknown to transformers; GPT-2's stands in: check the tokenization"
    _log.warning("%s", note)
    return [note]
