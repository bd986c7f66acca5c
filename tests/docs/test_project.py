"""What the project offers besides code: workflows, the container, the security page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from idtd_cli import recipe

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def jobs(workflow: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return found


def steps(workflow: Path) -> list[dict[str, Any]]:
    """The steps of its jobs; a job that calls a workflow has none of its own."""
    return [step for job in jobs(workflow).values() for step in job.get("steps", [])]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_what_there_is(workflow: Path) -> None:
    """Its make targets, scripts, extras and the workflows it calls exist, and each job has a time limit."""
    targets = re.findall(r"^([-.\w/$()]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    targets = [target.replace("$(VENV)", ".venv") for target in targets]
    extras = re.findall(r"^([-\w]+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert commands
    for command in commands:
        for called in re.findall(r"\bmake ([^&|]+)", command):
            assert {word for word in called.split() if "=" not in word} <= set(targets)
        for path in re.findall(r"(?:python3?|pytest) (\.?[\w/]+\.py)", command):
            assert (ROOT / path).is_file()
        for extra in re.findall(r"\.\[([-\w]+)\]", command):
            assert extra in extras
    for job in jobs(workflow).values():
        if "uses" in job:
            assert "workflow_call:" in (ROOT / job["uses"]).read_text(encoding="utf-8")
        else:
            assert job["timeout-minutes"] <= 60
    assert yaml.safe_load(workflow.read_text(encoding="utf-8"))["permissions"] == {"contents": "read"}


def test_only_a_release_may_write_and_only_what_it_has_to() -> None:
    """No job that runs code of the project may; the two that may have what was built before them, and nothing more."""
    allowed = {
        f"{path.stem}/{name}": job["permissions"]
        for path in WORKFLOWS
        for name, job in jobs(path).items()
        if "permissions" in job
    }
    assert allowed == {"release/pypi": {"id-token": "write"}, "release/github": {"contents": "write"}}
    release = jobs(ROOT / ".github" / "workflows" / "release.yml")
    for name in ("pypi", "github"):
        assert "checkout" not in str(release[name]["steps"])
    assert release["pypi"]["environment"]["name"] == "pypi"
    order = ["agree", "test", "build", "pypi", "github"]
    assert [release[name].get("needs") for name in order] == [None, *order[:-1]]
    assert release["test"]["uses"] == "./.github/workflows/ci.yml"


def test_every_python_that_is_promised_is_tested() -> None:
    content = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    versions = content["jobs"]["test"]["strategy"]["matrix"]["python"]
    promised = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert versions == promised


def test_the_recipe_that_is_reproduced_each_week_is_there() -> None:
    text = (ROOT / ".github" / "workflows" / "reproduce.yml").read_text(encoding="utf-8")
    names = re.findall(r"\|\| '([^']+)'", text)
    assert names
    assert set(names) <= set(recipe.shipped())


def test_the_security_page_names_modules_that_there_are() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", page)
    assert len(named) > 5
    there = [name for name in named if (ROOT / "idtd_cli" / name).exists() or (ROOT / name).exists()]
    assert [name for name in named if name not in there and name != "../"] == []


def test_nothing_is_unpickled() -> None:
    """No module imports pickle but to name its errors, and torch.load reads tensors alone."""
    for path in (ROOT / "idtd_cli").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"pickle\.(load|loads|Unpickler)\b", text), path
        assert not re.search(r"\b(marshal|shelve|dill|cloudpickle|joblib)\b", text), path
        for call in re.findall(r"torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, path
        assert not re.search(r"allow_pickle=True|shell=True|os\.system|(?<![.\w])(eval|exec)\(", text), path
