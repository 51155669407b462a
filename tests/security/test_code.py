"""What the code never calls: readers that run what they read, and programs that come with models."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for room in ("calib_assets", "resources", "jobs", "deploy") for path in (ROOT / room).rglob("*.py"))

MODULES = {"pickle", "cPickle", "joblib", "dill", "shelve", "marshal", "cloudpickle"}
CALLS = {"eval", "exec", "compile", "__import__"}
READERS = {"torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen"}
SHELL = {"shell", "allow_pickle", "trust_remote_code"}

JUDGED = {
    # Programs that models wrote are what is run here: in a process of its own, behind the sandbox's walls.
    ("resources/sandbox/inside/tests.py", "exec"),
    ("resources/sandbox/inside/tests.py", "compile"),
}


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name or attribute; other expressions give an empty text."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found += [module] if module.split(".")[0] in MODULES else []
            found += [f"{module}.{name.name}" for name in node.names if f"{module}.{name.name}" in READERS]
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            found += [name] if name in CALLS | READERS or name.endswith(".read_pickle") else []
            found += [
                word.arg
                for word in node.keywords
                if word.arg in SHELL and not (isinstance(word.value, ast.Constant) and word.value.value is False)
            ]
    return found


def test_nothing_is_unpickled_evaluated_or_handed_to_a_shell_outside_the_judged_places():
    assert len(FILES) > 200
    found = {(path.relative_to(ROOT).as_posix(), danger) for path in FILES for danger in dangers(path.read_text())}
    assert found == JUDGED


@pytest.mark.parametrize(
    ("source", "danger"),
    [
        ("import pickle", "pickle"),
        ("from joblib import load", "joblib"),
        ("import torch\ntorch.load(p)", "torch.load"),
        ("from torch import load", "torch.load"),
        ("np.load(p, allow_pickle=True)", "allow_pickle"),
        ("pd.read_pickle(p)", "pd.read_pickle"),
        ("subprocess.run(c, shell=True)", "shell"),
        ("f(m, trust_remote_code=flag)", "trust_remote_code"),
        ("eval(t)", "eval"),
        ("yaml.load(t, Loader=L)", "yaml.load"),
    ],
)
def test_the_search_finds_each_danger(source, danger):
    assert dangers(source) == [danger]


@pytest.mark.parametrize("harmless", ["import pickletools", "model.eval()", "re.compile(t)", "f(allow_pickle=False)"])
def test_the_search_leaves_the_harmless_alone(harmless):
    assert dangers(harmless) == []


def test_the_study_files_loader_builds_plain_data_only():
    import yaml

    from calib_assets.study.yaml_lines import UniqueKeys

    assert issubclass(UniqueKeys, yaml.SafeLoader)
    with pytest.raises(yaml.constructor.ConstructorError):
        yaml.load("a: !!python/object/apply:os.system ['true']", Loader=UniqueKeys)


def test_a_pickle_is_not_hidden_in_the_repository():
    """Files of data in the repository are not pickles under another name."""
    for path in (ROOT / "studies").rglob("*"):
        if path.is_file():
            data = path.read_bytes()[:2]
            assert not (data[:1] == b"\x80" and data[1:2] in b"\x02\x03\x04\x05"), path
