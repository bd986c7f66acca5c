"""The commands in the docs are commands: each is taken by the command line as it is, and those that need no more than
tiny sets are run, page by page, in the order in which a reader would.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer

from idtd_cli import recipe
from idtd_cli.cli.app import app
from idtd_cli.runlog import Quiet
from idtd_cli.stages import demo_data, prepare, tabulate
from tests import tiny
from tests.cli.conftest import idtd as idtd
from tests.cli.running import Done
from tests.docs.blocks import PAGES, REASONS, ROOT, Block, blocks
from tests.hub_server import Account, Hub

BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMANDS = [block for block in BLOCKS if block.commands]
#: What a page takes as given, beside `videos/`; all else its own commands make.
GIVEN: dict[str, tuple[str, ...]] = {
    "README.md": (),
    "docs/commands.md": ("sets/pixel", "other-report"),
    "docs/start.md": (),
    "docs/preparing.md": (),
    "docs/budget.md": ("prepared",),
    "docs/evaluation.md": ("prepared", "sets/idtd", "theirs.pt", "their-videos"),
    "docs/publishing.md": ("sets/idtd", "report"),
}
#: Pages with many commands.
LONG = ("docs/commands.md", "docs/start.md")
SETTING = re.compile(r"([A-Z_]+)=(.*)")
#: Python of these pages has tests of its own: test_docs, test_using.
PYTHON_ELSEWHERE = ("docs/distilled-sets.md", "docs/using.md")


def test_every_block_is_run_or_says_why_not() -> None:
    assert len(COMMANDS) > 20
    assert {reason for block in BLOCKS for reason in block.reasons} <= set(REASONS)
    assert [str(block) for block in BLOCKS if block.reasons and not block.commands] == []
    run = {block.page for block in COMMANDS if not block.reasons}
    assert run == set(GIVEN)
    unknown = [
        str(block)
        for block in COMMANDS
        if not block.reasons and {_without_settings(words)[0] for words in block.commands} != {"idtd"}
    ]
    assert unknown == [], "a line that no test runs, in a block without `<!-- not run: … -->`"


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_are_there(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for each in BLOCKS:
        if each.page == block.page and (named := re.match(r"# ([-\w]+\.yaml)\n", each.text)):
            Path(named[1]).write_text(each.text, encoding="utf-8")
    for words in map(_without_settings, block.commands):
        if "idtd_cli" in words:  # python -m idtd_cli, torchrun … -m idtd_cli
            words = ["idtd", *words[words.index("idtd_cli") + 1 :]]
        if check := CHECKS.get(words[0].rpartition("/")[2]):  # others are programs of the system
            check(words[1:])


def _without_settings(words: list[str]) -> list[str]:
    """A command without the `NAME=value` before it."""
    return words[next(place for place, word in enumerate(words) if not SETTING.match(word)) :]


def _idtd(arguments: list[str]) -> None:
    """Taken by the command line; the recipe is there, and so are the keys of --set and the cells of --only."""
    name, *others = arguments
    given = typer.main.get_command(app).commands[name].make_context(name, others).params  # type: ignore[attr-defined]
    if "set_" in given and not given.get("published"):
        chosen = recipe.load(given["recipe"] or "demo", given["set_"] or [])
        tabulate.choose(chosen, chosen.cells() if chosen.has_grid else [], given.get("only") or [])


def _make(targets: list[str]) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(targets) <= set(re.findall(r"^([-\w]+):", text, re.M))


def _python(arguments: list[str]) -> None:
    if arguments[:2] == ["-m", "pip"]:
        return _pip(arguments[2:])
    if arguments[:2] == ["-m", "venv"]:
        return None
    if arguments[:2] == ["-m", "pytest"]:
        assert [word for word in arguments[2:] if "/" in word and not (ROOT / word).exists()] == []
        return None
    script = ROOT / next(word for word in arguments if word.endswith(".py"))
    text = script.read_text(encoding="utf-8")
    if arguments[0] != "-m":
        assert [word for word in arguments if word.startswith("--") and word not in text] == []
    return None


def _pip(arguments: list[str]) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for extra in re.findall(r"\[([-\w]+)\]", " ".join(arguments)):
        assert f"\n{extra} = [" in text


CHECKS = {"idtd": _idtd, "make": _make, "python": _python, "python3": _python, "pip": _pip}

#: A demo set that is drawn in a second.
SMALL = {"classes": 3, "train": 6, "test": 2, "size": 32, "frames": 12}


@pytest.fixture(scope="module")
def small_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_recipe(tmp_path_factory.mktemp("recipe") / "demo.yaml")


@pytest.fixture(scope="module")
def things(small_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that a page may take as given, under the names that pages have for it."""
    folder = tmp_path_factory.mktemp("things")
    for seed, name in enumerate(("videos", "their-videos")):
        demo_data.run(folder / name, **SMALL, seed=seed, progress=Quiet())
    content = recipe.load(small_recipe)
    prepare.run(folder / "videos", folder / "prepared", content, Quiet())
    for method in ("idtd", "pixel"):
        section = content.distill.model_copy(update={"method": method})
        run = tiny.distil(
            folder / "prepared", folder / "runs" / method, content.model_copy(update={"distill": section})
        )
        tiny.export(run, folder / "sets" / method)
    tiny.evaluate([folder / "sets/idtd"], folder / "prepared", folder / "report", content)
    shutil.copytree(folder / "report", folder / "other-report")
    theirs = torch.randint(256, (3, 4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.save(theirs, folder / "theirs.pt")
    return folder


@pytest.fixture
def at_home(small_recipe: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of somebody who is logged in to the Hub, where `demo` is a recipe and a set of seconds."""
    hub.accounts["secret"] = Account("owner")
    monkeypatch.setenv("HF_TOKEN", "secret")
    load, draw = recipe.load, demo_data.run
    monkeypatch.setattr(
        recipe, "load", lambda source, overrides=(): load(small_recipe if source == "demo" else source, overrides)
    )
    monkeypatch.setattr(demo_data, "run", lambda out, **asked: draw(out, **asked | SMALL))
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("page", [pytest.param(page, marks=[pytest.mark.slow] * (page in LONG)) for page in GIVEN])
def test_a_page_runs(
    page: str, things: Path, at_home: Path, idtd: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("videos", *GIVEN[page]):
        if (things / name).is_dir():
            shutil.copytree(things / name, at_home / name)
        else:
            shutil.copy(things / name, at_home / name)
    for block in blocks(ROOT / page):
        if block.language == "python" and page not in PYTHON_ELSEWHERE:
            exec(block.text, {})
        for words in [] if block.reasons else block.commands:
            program, *arguments = _without_settings(words)
            assert program == "idtd"
            with monkeypatch.context() as given:
                for setting in filter(None, map(SETTING.match, words[: -len(arguments) - 1])):
                    given.setenv(*setting.groups())
                done = idtd(*arguments)
            assert done.code == 0, f"{block}: {' '.join(words)}\n{done.err}"
