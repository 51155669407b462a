"""What deploy/ holds names files, variables and commands that exist."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def test_every_variable_of_the_instance_is_explained_and_set_by_compose():
    instance = (DEPLOY / "dagster.yaml").read_text()
    named = set(re.findall(r"\{env: (CALIB_\w+)\}", instance))
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    documented = (ROOT / "docs" / "deployment.md").read_text()
    assert len(named) == 6 and named <= set(compose["x-calib"]["environment"])
    assert all(name in documented for name in named)


def test_compose_starts_scripts_that_exist_in_an_image_that_holds_them():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    scripts = [service["command"].split()[0] for service in compose["services"].values() if "command" in service]
    assert scripts == ["deploy/dagster.sh", "deploy/ray-head.sh"]
    image = (DEPLOY / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (.*) \S+$", image, re.M) for word in line.split()]
    assert "deploy" in copied and all((ROOT / name).exists() for name in copied)
    for script in DEPLOY.glob("*.sh"):
        assert script.stat().st_mode & 0o111, f"{script.name} is not executable"


def test_the_cluster_ends_lost_runs_as_one_machine_does():
    one, many = (yaml.safe_load((folder / "dagster.yaml").read_text()) for folder in (ROOT, DEPLOY))
    assert one["run_retries"] == many["run_retries"] and one["retention"] == many["retention"]
    assert many["concurrency"]["pools"] == one["concurrency"]["pools"]
    assert many["run_monitoring"].items() >= one["run_monitoring"].items()
