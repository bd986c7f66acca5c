"""The action for other repositories: what it runs, and what the docs say of it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from idtd_cli.cli.app import app

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github/actions/reproduce/action.yml"
DOCS = {page: page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")}


@pytest.fixture(scope="module")
def action() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    return content


def parsed(words: list[str]) -> dict[str, Any]:
    """The parameters that `idtd WORDS` runs with; nothing is run."""
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    parameters: dict[str, Any] = command.make_context(words[0], words[1:]).params
    return parameters


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"source": None, "set_": ()}),
        ({"source": "ucf101:/a b"}, {"source": "ucf101:/a b", "set_": ()}),
        ({"students": "2", "full-students": "0"}, {"set_": ("evaluate.students=2", "evaluate.full_students=0")}),
        ({"set": "x/y; touch evil"}, {"published": "x/y; touch evil"}),
    ],
)
def test_it_runs_what_its_inputs_ask_for(
    action: dict[str, Any], tmp_path: Path, given: dict[str, str], expected: dict[str, object]
) -> None:
    """Its own script, by a shell, with a program in place of idtd that writes down its words."""
    inputs = {name: str(each.get("default", "owner/name@v1")) for name, each in action["inputs"].items()} | given
    program = tmp_path / "idtd/bin/idtd"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > words\n')
    program.chmod(0o755)
    [step] = [step for step in action["runs"]["steps"] if "bin/idtd" in step.get("run", "")]
    assert "${{" not in step["run"]  # inputs are words for the shell, and no code
    names = {name: re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", text)[1] for name, text in step["env"].items()}  # type: ignore[index]
    environment = {"RUNNER_TEMP": str(tmp_path), "PATH": "/usr/bin:/bin"}
    environment |= {name: inputs[key] for name, key in names.items()}
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=environment, check=True)
    found = parsed((tmp_path / "words").read_text().split("\0")[:-1])
    found["set_"] = tuple(found["set_"] or ())
    want = {"published": "owner/name@v1", "recipe": str(tmp_path / "reproduced"), "out": None} | expected
    assert {key: found[key] for key in want} == want
    assert not (tmp_path / "evil").exists()
    uploaded = next(step["with"]["path"] for step in action["runs"]["steps"] if "upload" in step.get("uses", ""))
    assert uploaded.replace("${{ runner.temp }}", str(tmp_path)).startswith(
        found["recipe"]
    )  # with --from, the first word is the folder


def test_it_is_whole(action: dict[str, Any]) -> None:
    """Each step has what GitHub asks for, each input is used and said what it is, and what it installs is there."""
    text = ACTION.read_text(encoding="utf-8")
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert "shell" in step or "uses" in step
    used = set(re.findall(r"inputs\.([\w-]+)", text))
    assert used == set(action["inputs"])
    assert all(each["description"] for each in action["inputs"].values())
    assert (ACTION.parent / "../../.." / "constraints.txt").resolve() == ROOT / "constraints.txt"


def test_the_docs_show_it_as_it_is(action: dict[str, Any]) -> None:
    text = DOCS[ROOT / "docs/reproducing.md"]
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    [jobs] = [block["jobs"] for block in blocks if "jobs" in block]
    [step] = jobs["reproduce"]["steps"]
    place = re.fullmatch(r"OWNER/idtd/([\w./-]+)@main", step["uses"])
    assert place
    assert (ROOT / place[1] / "action.yml") == ACTION
    needed = {name for name, each in action["inputs"].items() if each.get("required")}
    assert needed <= set(step["with"]) <= set(action["inputs"])
    for name in action["inputs"]:
        if name != "python":
            assert f"`{name}`" in text or f"{name}:" in text


def test_commands_for_published_sets_are_commands() -> None:
    lines = [
        line.strip().split("#")[0] for text in DOCS.values() for line in re.findall(r"^    (idtd .*)$", text, re.M)
    ]
    shown = [line.split()[1:] for line in lines if re.search(r"--from|publish|download|verify", line)]
    assert {words[0] for words in shown} == {"reproduce", "publish", "download", "verify"}
    for words in shown:
        assert parsed(words)
