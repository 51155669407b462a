"""Every field of the study file, changed alone: the slices that must change do, and so the cells that read them.

What follows from a field is written here by hand; the slices are cut by the project. Nothing is computed: without any
result a fingerprint holds what a cell reads of the study, of weights and of code.
"""

import base64
import copy
import dataclasses
import hashlib
import json

import pytest
from field_changes import ASKED, CHANGES, FOLDER, INHERITED, NOTHING, PROBLEMS, STUDY
from workplace import PROMPTS, external_rollouts, write_chain

from calib_assets.assets import GRAPH
from calib_assets.staleness.code_version import code_version
from calib_assets.staleness.identity import Context, Snapshot
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import Study, livecodebench, problem_sets, prompts
from calib_assets.study.reference import ROWS
from calib_assets.study.rows import Row
from calib_assets.study.slices import SLICES
from resources.judges import RUBRICS
from resources.services import LanguageModels, slicer_of, tools_of

READ_BY = {"PROMPTS": "71a5acc6a72b104c", "PROBLEMS": "8c5309124aa2fd1c"}  # code versions


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all files that the study names, and a package of weights."""
    folder = tmp_path_factory.mktemp("fields")
    for name, seed in (("chain", 0), ("same", 0), ("beta", 1)):
        write_chain(folder / f"{name}.json", seed)
    for parent in ("one", "two"):
        (folder / parent / "folder").mkdir(parents=True)
        for name, data in (
            ("config.json", b'{"model_type": "llama"}'),
            ("model.safetensors", b"w"),
            ("tokenizer.json", b"{}"),
            ("chat_template.jinja", b"t"),
            ("generation_config.json", b"{}"),
        ):
            (folder / parent / "folder" / name).write_bytes(data)
    lines = [*PROMPTS[:2], {**PROMPTS[2], "prompt": "n\n```"}]
    for name in ("prompts", "copy"):
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    (folder / "answers.txt").write_text("x\ny\n")
    (folder / "others.txt").write_text("x\nz\n")
    problem = {
        "id": "a",
        "prompt": "p",
        "entry_point": "f",
        "completion": "def f():\n",
        "tests": [{"args": [], "expected": 1}],
    }
    (folder / "problems.jsonl").write_text(json.dumps(problem))
    (folder / "more.jsonl").write_text(json.dumps({**problem, "prompt": "q"}))
    for name in ("test", "same"):
        (folder / f"{name}.jsonl").write_text("{}\n")
    for name in ("outside", "copy"):
        external_rollouts(2, 2).write_parquet(folder / f"{name}.parquet")
    (folder / "panel.csv").write_text("task,model_name,variant,prompt_id,D,R_bar,N_bar\nt,m,base,p,0.5,1.0,3\n")
    for name in ("people", "folk"):
        (folder / f"{name}.csv").write_text("item,annotator,grammar,semantic,overall\ni,a,1,2,3\n")
    for name in ("weights", "others"):
        data = b"GGUF weights" if name == "weights" else b"GGUF others"
        info = folder / "site" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / "site" / name[0]).mkdir()
        (folder / "site" / name[0] / "model.gguf").write_bytes(data)
        mark = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        (info / "RECORD").write_text(f"{name[0]}/model.gguf,sha256={mark},1\n")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    return folder


def study_of(folder, data) -> Study:
    """The document without its file, which takes longest to read; ``@`` in it is the folder."""
    text = json.dumps(data).replace('"@/', f'"{folder}/')
    return Study.model_validate(json.loads(text))


def snapshot_of(folder, data) -> Snapshot:
    """What a study without any result says of its cells."""
    store = ArtifactStore(folder / "store")
    tools = tools_of(LanguageModels(), store)
    return Snapshot(Context(GRAPH, study_of(folder, data), store, slicer_of(folder / "store"), tools))


def slices_of(snapshot) -> dict:
    """(spec, cell) -> hash of the slice."""
    return {(spec, cell): snapshot.slice_version(spec, cell) for spec in GRAPH.specs for cell in snapshot.cells(spec)}


def fingerprints_of(snapshot) -> dict:
    """(asset, cell) -> fingerprint."""
    return {(key, cell): snapshot.expected(key, cell) for key in GRAPH.nodes for cell in snapshot.cells(key)}


@pytest.fixture(scope="module")
def before(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place / "site")
        snapshot = snapshot_of(place, STUDY)
        yield slices_of(snapshot), fingerprints_of(snapshot)


READ = set()  # sets of slices whose readers have been compared: readers depend on slices, not on fields


def written(data, where, value):
    data = copy.deepcopy(data)
    *path, last = (int(part) if part.isdigit() else part for part in where.split("."))
    node = data
    for part in path:
        node = node[part] if isinstance(node, list) else node.setdefault(part, {})
    node[last] = value
    return data


def named(changed):
    return {spec + ("@" + "|".join(cell) if cell else "") for spec, cell in changed}


@pytest.mark.parametrize("field", CHANGES)
def test_a_field_changes_its_slices_and_the_cells_that_read_them(field, place, before):
    where, value, expected = CHANGES[field]
    if value == "DIGEST":
        value = slicer_digest(place)
    snapshot = snapshot_of(place, written(STUDY, where, value))
    slices = slices_of(snapshot)
    assert slices.keys() == before[0].keys()
    changed = frozenset(pair for pair in slices if slices[pair] != before[0][pair])
    assert named(changed) == (set() if expected is NOTHING else {*expected.split(), "report_spec"})
    if changed not in READ:
        cells = fingerprints_of(snapshot)
        readers = {(key, cell) for key, cell in cells if any(pair in changed for pair in snapshot.upstream(key, cell))}
        assert {pair for pair in cells if cells[pair] != before[1][pair]} == readers
        READ.add(changed)


def slicer_digest(place) -> str:
    """SHA-256 of a model folder, as its error says: of the list of its files' names and hashes."""
    files = sorted((place / "one" / "folder").iterdir())
    entries = [[file.name, hashlib.sha256(file.read_bytes()).hexdigest()] for file in files]
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


def test_no_field_of_the_study_file_is_forgotten():
    """Names become cells; lists of rows gain and lose cells (tests/assets/test_staleness.py); CHANGES has the rest."""
    fields = {f"{row.__name__}.{name}" for row in ROWS for name in row.model_fields if row is not ROWS[0]}
    scalars = {name for name, field in ROWS[0].model_fields.items() if field.annotation is str}
    fields |= {f"{ROWS[0].__name__}.{name}" for name in scalars}
    names = {name for name in fields if name.endswith(".name") and name != "Study.name"}
    assert fields - names - INHERITED - {"JudgeRow.rubric"} == set(CHANGES)  # the rubric: see the last test
    assert all(issubclass(row, Row) for row in ROWS)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("chain.json", "model_spec@chain speaker_spec@chain"),
        *(
            (f"one/folder/{name}", FOLDER)
            for name in (
                "config.json",
                "model.safetensors",
                "tokenizer.json",
                "chat_template.jinja",
                "generation_config.json",
            )
        ),
        ("site/w/model.gguf", None),  # a damaged package is an error
        ("prompts.jsonl", "prefix_spec@sweep rollout_count_spec@roll"),
        ("answers.txt", "task_spec@file collapse_answers_spec@ask"),
        ("outside.parquet", "external_spec@outside"),
        ("people.csv", "annotations_spec"),
        ("problems.jsonl", "coding_questions_spec@code"),  # another question, with the same tests
        ("test.jsonl", "coding_questions_spec@files coding_tests_spec@files"),
    ],
)
def test_files_count_by_their_content(file, expected, place, before):
    path, edits = (
        place / file,
        {
            "chain.json": lambda data: (place / "beta.json").read_bytes(),
            "one/folder/config.json": lambda data: data.replace(b"llama", b"gemma"),
            "prompts.jsonl": lambda data: data.replace(b'"prompt": "r"', b'"prompt": "s"'),
            "answers.txt": lambda data: data.replace(b"y", b"w"),
            "outside.parquet": lambda data: (external_rollouts(2, 3).write_parquet(path), path.read_bytes())[1],
            "people.csv": lambda data: data.replace(b",3", b",4"),
            "problems.jsonl": lambda data: (place / "more.jsonl").read_bytes(),
        },
    )
    data = path.read_bytes()
    try:
        path.write_bytes(edits.get(file, lambda data: data + b" ")(data))
        if expected is None:
            with pytest.raises(Exception, match="but the installer recorded"):
                slices_of(snapshot_of(place, STUDY))
            return
        slices = slices_of(snapshot_of(place, STUDY))
        assert named({pair for pair in slices if slices[pair] != before[0][pair]}) == set(expected.split())
    finally:
        path.write_bytes(data)


def test_a_rubric_counts_by_its_text(place, before, monkeypatch):
    """There is one rubric for each kind of judging, so what a study can change of it is which text it has."""
    rubric = RUBRICS["validity-v1"]
    monkeypatch.setitem(RUBRICS, "validity-v1", dataclasses.replace(rubric, instructions=rubric.instructions + " "))
    slices = slices_of(snapshot_of(place, STUDY))
    assert named({pair for pair in slices if slices[pair] != before[0][pair]}) == {ASKED}


@pytest.mark.parametrize(
    ("read", "where", "seen"),
    [
        (prompts, "calib_assets/study/prompts.py", "PROMPTS"),
        (problem_sets, "calib_assets/study/problem_sets.py", "PROBLEMS"),
    ],
)
def test_how_files_of_the_hub_are_read_is_part_of_their_identity(read, where, seen, place, before, monkeypatch):
    """No code version sees it: files of one's own count by what is read, these by their place."""
    root = {"PROMPTS": prompts.read_prompts, "PROBLEMS": livecodebench.read_livecodebench}[seen]
    assert code_version(root) == READ_BY[seen], (
        f"reading has changed: if the same file now gives something else, raise READING in {where}; then write the new "
        "code version here"
    )
    monkeypatch.setattr(read, "READING", read.READING + 1)
    slices = slices_of(snapshot_of(place, STUDY))
    changed = named({pair for pair in slices if slices[pair] != before[0][pair]})
    files = "coding_questions_spec@files coding_tests_spec@files"
    assert changed == set({"PROMPTS": "rollout_count_spec@away", "PROBLEMS": f"{PROBLEMS} {files}"}[seen].split())


def test_a_pin_is_no_part_of_a_model_and_rows_without_one_are_what_they_were(place):
    """Results that were made before pins were mere checks stay, where nothing was pinned."""
    study = study_of(place, written(STUDY, "models.3.source.sha256", "0" * 64))
    expected = {"package": "weights", "file": "*.gguf", "sha256": None}
    assert SLICES["model_spec"][1](study, "packed")["source"] == expected
    assert SLICES["model_spec"][1](study_of(place, STUDY), "packed")["source"] == expected
