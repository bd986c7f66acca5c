from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

import idtd_cli
from idtd_cli import documents
from idtd_cli.cli import app
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.recipe import load, shipped
from idtd_cli.report.document import ReportDocument
from idtd_cli.sources.registry import KINDS
from idtd_cli.stages import show
from tests import tiny
from tests.cli.running import Done

Idtd = Callable[..., Done]
COMMANDS = (
    "demo-data",
    "sources",
    "recipes",
    "prepare",
    "plan",
    "experts",
    "distill",
    "export",
    "evaluate",
    "compare",
    "reproduce",
    "show",
    "publish",
    "download",
    "verify",
    "doctor",
)
ROOT = Path(__file__).parents[2]
LOWER = (
    "Lower distill.batch_real, evaluate.fit.batch for students, or the number of --workers; `idtd plan` says what a "
    "recipe takes."
)


def test_version(idtd: Idtd) -> None:
    assert idtd("--version") == Done(0, f"idtd {idtd_cli.__version__}\n", "")


def test_help_lists_every_command_in_the_order_of_the_flow(idtd: Idtd) -> None:
    done = idtd("--help")
    assert (done.code, done.err) == (0, "")
    assert tuple(re.findall(r"^  ([a-z-]+)  ", done.out.partition("Commands:")[2], re.M)) == COMMANDS
    assert idtd("-h").out == done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(idtd: Idtd, command: str) -> None:
    done = idtd(command, "--help")
    assert (done.code, done.err) == (0, "")
    (example,) = re.findall(r"^ *Example: idtd (.*)$", done.out, re.M)
    assert example.split()[0] == command
    for flag in re.findall(r"--[a-z-]+", example):
        assert re.search(rf"^ +{flag} ", done.out, re.M)


def test_recipes_are_listed_with_what_they_show_and_cost(idtd: Idtd) -> None:
    done = idtd("recipes")
    assert (done.code, done.err) == (0, "")
    for name, path in shipped().items():
        told = load(path)
        assert f"{name}\n  {told.description}\n" in done.out
    assert done.out.count("Cost: ") == len(shipped())


def test_figures_are_compared_with_what_the_recipe_expects(idtd: Idtd, videos: Path, tmp_path: Path) -> None:
    def expect(of: str, top1: float | None, within: float | None) -> dict[str, object]:
        return {"of": of, "data": videos.name, "top1": top1, "within": within, "source": "a test"}

    path, out = tmp_path / "r.yaml", tmp_path / "out"
    settings = tiny.settings(distill__steps=2, methods=["idtd"])

    def reproduce(*expected: dict[str, object], more: tuple[str, ...] = ()) -> Done:
        path.write_text(yaml.safe_dump(settings | {"expect": list(expected)}))
        return idtd("reproduce", path, out, "--source", videos, *more)

    done = reproduce(expect("idtd", 0.5, 0.5), expect("full", None, None))
    assert done.code == 0
    assert "as expected" in done.err
    assert "nothing to compare with" in done.err
    done = reproduce(expect("idtd", 0.99, 0.001))
    assert done.code == 1
    assert "OUTSIDE" in done.err
    assert "1 of 1 figures are outside of what the recipe expects: idtd." in done.err
    assert "IDTD" in done.out  # the report is shown all the same
    done = reproduce(expect("idtd", 0.99, 0.001), more=("--set", "evaluate.students=3"))
    assert done.code == 0
    assert "what it expects is not compared" in done.err


def test_the_options_of_the_program_itself_are_frozen(idtd: Idtd) -> None:
    text = idtd("--help").out.partition("Options:")[2].partition("Commands:")[0]
    assert re.findall(r"--[a-z-]+", text) == ["--version", "--install-completion", "--show-completion", "--help"]


def tab(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What a shell is told when TAB is pressed."""
    return subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['idtd']; from idtd_cli.cli import app; app.main()"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("idtd di", ["distill"]),
        ("idtd prepare --eng", ["--engine"]),
        ("idtd prepare videos out --engine ", ["local", "ray"]),
        ("idtd reproduce ci/", ["ci/demo"]),
        ("idtd distill prepared run --recipe demo-", ["demo-16", "demo-table-16", "demo-table"]),
    ],
)
def test_bash_completes_commands_options_and_values(line: str, offered: list[str]) -> None:
    done = tab({"_IDTD_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))})
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, offered, "")


def test_zsh_completes_with_what_a_command_does() -> None:
    done = tab({"_IDTD_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "idtd distil"})
    assert (done.returncode, done.stderr) == (0, "")
    assert '"distill":"Distil a prepared set' in done.stdout


def test_without_a_command_there_is_help(idtd: Idtd) -> None:
    done = idtd()
    assert done.code == 2
    assert "Commands:" in done.out + done.err


@pytest.mark.parametrize(
    ("argument", "heavy"),
    [
        ("--help", {"torch", "numpy", "pydantic", "yaml", "PIL", "av", "matplotlib"}),
        ("sources", {"torch", "numpy", "fsspec"}),
    ],
)
def test_nothing_heavy_is_loaded_for_a_text(argument: str, heavy: set[str]) -> None:
    code = (
        f"import sys\nsys.argv = ['idtd', '{argument}']\nfrom idtd_cli.cli import app\n"
        "try:\n    app.main()\nexcept SystemExit as left:\n    assert left.code == 0\n"
        f"print('LOADED', *sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_the_kinds_of_source_are_listed_with_what_each_expects(idtd: Idtd) -> None:
    done = idtd("sources")
    assert (done.code, done.err) == (0, "")
    intro, *blocks = done.out.rstrip("\n").split("\n\n")
    assert "KIND:PLACE" in intro
    assert "bare path" in intro
    assert [block.split()[0] for block in blocks] == list(KINDS)
    width = max(map(len, KINDS)) + 2
    for block, kind in zip(blocks, KINDS.values(), strict=True):
        assert [line[width:] for line in block.splitlines()] == kind.EXPECTS.splitlines()


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "idtd_cli", "--version"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"idtd {idtd_cli.__version__}\n", "")


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(path: Path) -> str:
        raise error

    monkeypatch.setattr(show, "run", run)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("Wrong.", "Do this."), 2, "Wrong. Do this."),
        (InputError("Wrong."), 2, "Wrong."),
        (IdtdError("Failed.", "Do that."), 1, "Failed. Do that."),
        (
            KeyboardInterrupt(),
            130,
            "Stopped. The same command goes on where it can (distill: add --resume).",
        ),
        (
            OSError(28, "No space left on device", "/x/y"),
            1,
            "The disk is full (/x/y). Free some space and run the command again.",
        ),
        (
            OSError(28, "No space left on device"),
            1,
            "The disk is full (while writing). Free some space and run the command again.",
        ),
        (
            PermissionError(13, "Permission denied", "/x/y"),
            1,
            "/x/y cannot be used: Permission denied. Change its rights, or name another place.",
        ),
        (OSError(5, "Input/output error", "/x"), 1, "/x cannot be used: Input/output error. IDTD_DEBUG=1 shows where."),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes. Error code 12"),
            1,
            "There is too little memory: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes. "
            f"{LOWER}",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
            1,
            f"There is too little memory: CUDA out of memory. {LOWER}",
        ),
        (
            OSError(12, "Cannot allocate memory", "/x/y"),
            1,
            f"There is too little memory: Cannot allocate memory. {LOWER}",
        ),
        (
            RuntimeError("unable to mmap 8 bytes from file </x>: Cannot allocate memory (12)"),
            1,
            f"There is too little memory: unable to mmap 8 bytes from file </x>: Cannot allocate memory (12). {LOWER}",
        ),
        (MemoryError(), 1, f"There is too little memory. {LOWER}"),
        (
            MemoryError("Unable to allocate 3.00 GiB for an array"),
            1,
            f"There is too little memory: Unable to allocate 3.00 GiB for an array. {LOWER}",
        ),
        (
            RuntimeError("too many dimensions"),
            1,
            "Something that idtd did not foresee: RuntimeError: too many dimensions. "
            "IDTD_DEBUG=1 shows where; please report it.",
        ),
    ],
)
def test_errors_become_words_and_exit_codes(
    idtd: Idtd, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    failing(monkeypatch, error)
    done = idtd("show", ".")
    assert (done.code, done.out) == (code, "")
    # The argument parser ends the line of a terminal that shows ^C.
    assert done.err.lstrip("\n") == f"idtd: {words}\n"


@pytest.mark.parametrize("error", [InputError("Wrong."), IdtdError("Failed."), RuntimeError("x"), OSError(5, "y")])
def test_debugging_shows_where(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    failing(monkeypatch, error)
    monkeypatch.setenv("IDTD_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["idtd", "show", "."])
    with pytest.raises(type(error)) as raised:
        app.main()
    assert raised.value is error


@pytest.mark.parametrize(
    ("debug", "traceback"), [({}, False), ({"IDTD_DEBUG": "1"}, True), ({"IDTD_DEBUG": "0"}, False)]
)
def test_a_traceback_is_for_debugging_alone(tmp_path: Path, debug: dict[str, str], traceback: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "IDTD_DEBUG"} | debug
    done = subprocess.run(
        [sys.executable, "-m", "idtd_cli", "show", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    assert done.returncode == (1 if traceback else 2)
    assert ("Traceback" in done.stderr) == traceback
    assert done.stdout == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_a_letter_still_gets_the_rest(reported: Path, tmp_path: Path, encoding: str) -> None:
    documents.read(ReportDocument, reported).model_copy(update={"source": "跑步"}).write(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "idtd_cli", "show", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, env=os.environ | {"PYTHONIOENCODING": encoding},
        encoding="latin-1",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "full data" in done.stdout


def test_a_reader_that_leaves_early_sees_no_traceback(reported: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "idtd_cli", "show", str(reported)],
        cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60,
    )  # fmt: skip
    os.close(writing)
    assert done.stderr == ""
