"""What is released: a wheel that is small and whole, and runs the demo where nothing else of this project lies."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import idtd_cli
from idtd_cli.recipe import shipped
from tests.test_pipeline import SMALL

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
Installed = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that must succeed, and to which nothing says where this checkout is."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "IDTD"))}
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=240, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # Where the backend is not installed, the builder fetches it.
    alone = [] if importlib.util.find_spec("hatchling") is None else ["--no-isolation"]
    run(sys.executable, "-m", "build", "--wheel", *alone, "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Runs a program of a new environment that holds the wheel, in a folder; the dependencies are those that run this.

    They are lent and not installed, since torch alone would take minutes. A line of a .pth file makes a folder's
    packages known and does not read its own .pth files: an editable installation beside them stays out.
    """
    venv = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    programs = venv / ("Scripts" if os.name == "nt" else "bin")
    install = ("install", "--quiet", "--no-deps", "--no-index", wheel)
    run(sys.executable, "-m", "pip", "--python", programs / "python", *install, cwd=venv.parent)
    (packages,) = {path.parent.parent for path in venv.rglob("idtd_cli/__init__.py")}
    lent = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "dependencies.pth").write_text("\n".join(lent), encoding="utf-8")

    def program(name: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        return run(programs / name, *arguments, cwd=cwd)

    found = program("python", "-c", "import idtd_cli; print(idtd_cli.__file__)", cwd=venv.parent).stdout
    assert Path(found.strip()).resolve() == (packages / "idtd_cli" / "__init__.py").resolve()
    return program


def test_it_is_small_and_whole(wheel: Path) -> None:
    assert wheel.name == f"idtd_cli-{idtd_cli.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < 1_000_000
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    package = ROOT / "idtd_cli"
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and (package / "recipes") not in path.parents
    }
    recipes = {f"idtd_cli/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "recipes").rglob("*.yaml")}
    assert "idtd_cli/py.typed" in ours
    assert len(recipes) >= len(shipped())
    meta = {name for name in names if ".dist-info/" in name}
    assert names - meta == ours | recipes
    assert {name.partition(".dist-info/")[2] for name in meta} >= {"METADATA", "entry_points.txt", "licenses/LICENSE"}


def test_it_says_what_it_is(installed: Installed, tmp_path: Path) -> None:
    assert installed("idtd", "--version", cwd=tmp_path).stdout == f"idtd {idtd_cli.__version__}\n"
    listed = installed("idtd", "recipes", cwd=tmp_path).stdout
    assert [name for name in shipped() if f"{name}\n" not in listed] == []
    assert f"idtd {idtd_cli.__version__}" in installed("idtd", "doctor", cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


def test_it_runs_the_demo(installed: Installed, tmp_path: Path) -> None:
    """`idtd reproduce demo`, with few clips, steps and students."""
    size = ("--classes", 2, "--train", 4, "--test", 2, "--size", 32, "--frames", 16)
    installed("idtd", "demo-data", "data", *size, cwd=tmp_path)
    said = installed("idtd", "reproduce", "demo", "out", "--source", "data", *SMALL, cwd=tmp_path)
    assert "IDTD" in said.stdout
    report = json.loads((tmp_path / "out" / "report" / "report.json").read_text(encoding="utf-8"))
    assert {result["method"] for result in report["results"]} == {"idtd", "pixel", "random", "full"}
    assert (tmp_path / "out" / "report" / "report.html").is_file()  # made from a template of the package
    load = "import idtd_cli; print(tuple(idtd_cli.load('out/sets/idtd').videos_NT3HW.shape))"
    assert installed("python", "-c", load, cwd=tmp_path).stdout == "(2, 16, 3, 32, 32)\n"
