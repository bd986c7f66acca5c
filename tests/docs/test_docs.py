"""The documentation says what the code does: an undocumented command or key, a stale page and a dead link fail here."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from idtd_cli import recipe
from idtd_cli.distilled import DistilledSet

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

#: The frozen command line: arguments, then options. Recipes grow, flags do not: a new setting is a key of the recipe.
SURFACE = {
    "demo-data": ("OUT", "--classes", "--train", "--test", "--size", "--frames", "--seed"),
    "sources": (),
    "recipes": (),
    "prepare": (
        "SOURCE",
        "OUT",
        "--recipe",
        "--set",
        "--workers",
        "--limit",
        "--engine",
        "--download",
        "--accept-licence",
    ),
    "compare": ("REPORT...", "--json"),
    "plan": ("RECIPE", "PREPARED", "--set", "--device", "--experts", "--json"),
    "experts": ("PREPARED", "OUT", "--recipe", "--set", "--device"),
    "distill": (
        "PREPARED",
        "RUN",
        "--recipe",
        "--set",
        "--seed",
        "--device",
        "--experts",
        "--resume",
        "--tensorboard",
    ),
    "export": ("RUN", "OUT", "--payload", "--shard-size", "--also"),
    "evaluate": (
        "SET...",
        "--on",
        "--out",
        "--recipe",
        "--set",
        "--protocol",
        "--students",
        "--seeds",
        "--workers",
        "--engine",
        "--device",
        "--json",
    ),
    "reproduce": (
        "RECIPE",
        "OUT",
        "--from",
        "--source",
        "--set",
        "--only",
        "--device",
        "--json",
        "--endpoint",
        "--max-gb",
    ),
    "doctor": ("[FOLDER]", "--json"),
    "show": ("PATH", "--sheet", "--redundancy", "--plot"),
    "publish": (
        "DISTILLED",
        "OWNER/NAME",
        "--report",
        "--license",
        "--terms",
        "--private",
        "--tag",
        "--dry-run",
        "--endpoint",
    ),
    "download": ("OWNER/NAME", "OUT", "--endpoint", "--max-gb"),
    "verify": ("SET", "--endpoint", "--max-gb"),
}


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


generate = _load(DOCS / "generate.py")


def _pages() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


def test_generated_pages_are_up_to_date() -> None:
    assert generate.stale() == [], "run `python docs/generate.py`"


def test_check_names_the_stale_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["generate.py", "--check"])
    with pytest.raises(SystemExit, match=r"commands\.md, recipes\.md"):
        generate.main()
    monkeypatch.setattr(sys, "argv", ["generate.py"])
    generate.main()
    assert generate.stale() == []


def test_the_command_line_is_frozen() -> None:
    found = {
        name: tuple(parameter.name for parameter in generate.parameters(command))
        for name, command in generate.commands().items()
    }
    assert found == SURFACE


@pytest.mark.parametrize("name", SURFACE)
def test_every_command_is_documented(name: str) -> None:
    command = generate.commands()[name]
    summary, example = generate.summary_and_example(command)
    assert summary.endswith(".")
    assert re.match(rf"idtd {name}( |$)", example)
    assert all(parameter.help for parameter in generate.parameters(command))
    for page in (DOCS / "commands.md", ROOT / "README.md"):
        assert re.search(rf"idtd {name}[ `\n]", page.read_text(encoding="utf-8")), page


def test_every_recipe_key_is_described() -> None:
    parts = list(generate.parts_of_a_recipe())
    page = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert [part.name for part in parts if not part.about] == []
    for key in (key for part in parts for key in part.keys):
        assert key.field.description, key.name
        assert f"| `{key.name}` |" in page


@pytest.mark.parametrize("name", recipe.shipped())
def test_every_shipped_recipe_loads(name: str) -> None:
    loaded = recipe.load(name)
    assert loaded.name == name
    assert loaded.description


@pytest.mark.parametrize(
    "page", [*_pages(), *sorted(ROOT.glob("*.md"))], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    here = [target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")]
    assert [target for target in here if not (page.parent / target).is_file()] == []


def test_the_documented_loop_over_a_set_runs(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DOCS / "distilled-sets.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "OUT").symlink_to(exported)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    videos, labels = zip(*names["clips"], strict=True)
    opened = DistilledSet.open(exported)
    assert list(labels) == opened.labels_N.tolist()
    assert (np.stack(videos).transpose(0, 1, 4, 2, 3) == opened.videos_NT3HW.numpy()).all()


def test_every_page_is_in_the_navigation() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(_leaves(navigation)) == [page.relative_to(DOCS).as_posix() for page in _pages()]


def _leaves(item: Any) -> list[str]:
    if isinstance(item, dict):
        return [leaf for value in item.values() for leaf in _leaves(value)]
    return [leaf for value in item for leaf in _leaves(value)] if isinstance(item, list) else [item]


def test_every_decision_is_listed() -> None:
    listed = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    for path in sorted((DOCS / "decisions").glob("0*.md")):
        number, title = re.fullmatch(r"# (\d+)\. (.+)", path.read_text(encoding="utf-8").splitlines()[0]).groups()  # type: ignore[union-attr]
        assert path.name.startswith(f"{int(number):04d}-")
        assert f"[{number}. {title}]({path.name})" in listed


def test_the_tree_in_the_architecture_is_the_code() -> None:
    """Every module has its line, and every line its module; the thin files of the commands share one."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    block = text.split("    idtd_cli/\n")[1].split("\n\n")[0]
    told, folders = set(), ["idtd_cli"]
    for line in block.splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2 - 2, line.split()[0]
        folders[depth:] = [name.rstrip("/")]
        if name.endswith(".py"):
            told.add("/".join([*folders[:depth], name]))
    package = ROOT / "idtd_cli"
    modules = {path.relative_to(ROOT).as_posix() for path in package.rglob("*.py") if path.parent.name != "commands"}
    empty = {name for name in modules if name.endswith("/__init__.py") and name != "idtd_cli/__init__.py"}
    assert told == modules - empty
