"""Every error has its entry in troubleshooting.md, and says what to do next."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sentences

from idtd_cli import recipe, storage
from idtd_cli.documents import read
from idtd_cli.errors import IdtdError
from idtd_cli.prepared import PreparedDocument
from idtd_cli.sources import registry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
SOURCE = sentences.the_package()
#: Errors without a hint, and why they need none.
SAY_IT_THEMSELVES = {"OPTION must be RULE.": "the rule is what to do"}


def entries(text: str) -> list[str]:
    """The sentences of the page, as they are read there."""
    return [re.sub(r"\\(.)", r"\1", entry) for entry in re.findall(r"^- \*\*(.*?)\*\*", text, re.M)]


def package(folder: Path, **modules: str) -> sentences.Source:
    (folder / "idtd_cli").mkdir()
    for name, text in modules.items():
        (folder / "idtd_cli" / f"{name}.py").write_text(text, encoding="utf-8")
    return sentences.Source(folder / "idtd_cli")


def test_every_sentence_has_its_entry() -> None:
    written = set(entries(PAGE.read_text(encoding="utf-8")))
    lacking = [each for each in SOURCE.sentences() if not each.repeats and each.message not in written]
    assert lacking == [], "run `python docs/generate.py`"


def test_no_place_that_makes_an_error_is_left_out() -> None:
    """Found another way: by a look at the text, line by line."""
    made = re.compile(r"(?<!class )\b(InputError|IdtdError|NoDatasetError)\(")
    seen = {(each.module, each.line) for each in SOURCE.sentences()}
    places = [
        (path.relative_to(ROOT / "idtd_cli").as_posix(), number)
        for path in sorted((ROOT / "idtd_cli").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if made.search(line)
    ]
    assert len(places) > 250
    assert [place for place in places if place not in seen] == []


def test_of_everything_that_is_raised_it_is_known_where_it_is_made() -> None:
    assert SOURCE.unaccounted() == []


def test_every_error_says_what_to_do() -> None:
    silent = {
        each.message
        for each in SOURCE.sentences()
        if SOURCE.is_shown(each.kind) and not (each.hints and all(each.hints))
    }
    assert silent == set(SAY_IT_THEMSELVES)


def test_the_marks_name_modules_that_there_are() -> None:
    named = re.findall(r"<!-- sentences of (.*) -->", PAGE.read_text(encoding="utf-8"))
    names = [name for each in named for name in each.split()]
    assert names[-1] == "others"
    assert [name for name in names[:-1] if not (ROOT / "idtd_cli" / name).exists()] == []
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda folder: recipe.load("nosuch"),
        lambda folder: recipe.load("demo", ["distill.ipc"]),
        lambda folder: recipe.load("demo", ["distill.ipc=[1"]),
        lambda folder: registry.find("ucf:somewhere"),
        lambda folder: read(PreparedDocument, folder / "nothing"),
        lambda folder: storage.make_folder(Path(__file__) / "folder"),
    ],
)  # fmt: skip
def test_what_a_user_reads_is_on_the_page(tmp_path: Path, wrong: Callable[[Path], object]) -> None:
    with pytest.raises(IdtdError) as raised:
        wrong(tmp_path)
    # Words in capitals and dots stand for anything, brackets for nothing or something.
    patterns = [
        re.sub(r"(\\\[.*?\\\])", "(.*)", re.sub(r"\b[A-Z_]{2,}\b|…", ".+", re.escape(entry)))
        for entry in entries(PAGE.read_text(encoding="utf-8"))
    ]
    fitting = [pattern for pattern in patterns if re.fullmatch(pattern, raised.value.message)]
    assert fitting, raised.value.message


def test_a_new_error_makes_the_page_stale(tmp_path: Path) -> None:
    source = package(tmp_path, errors="class IdtdError(Exception): ...", more='raise IdtdError("It rains.", "Wait.")')
    text = "# Page\n\nBy hand.\n\n<!-- sentences of others -->\n- **Old.** Gone.\n<!-- end -->\n\nBy hand."
    once = sentences.page(text, source)
    assert once == (
        "# Page\n\nBy hand.\n\n<!-- sentences of others -->\n\n"
        "- **It rains.** Wait. *(exit code 1)*\n\n<!-- end -->\n\nBy hand."
    )
    assert sentences.page(once, source) == once


def test_messages_are_followed_to_where_they_are_made(tmp_path: Path) -> None:
    source = package(
        tmp_path,
        errors="class IdtdError(Exception): ...\nclass InputError(IdtdError): ...",
        words='AGAIN = "Do it again."\nMOST = 7',
        a="""
from idtd_cli.errors import InputError
from idtd_cli.words import AGAIN, MOST
from idtd_cli import words


def made(path, why, hint):
    return InputError(f"{path} is wrong: {why}.", hint)


def lose(path, hint=""):
    raise InputError(f"{path} is lost.", hint)


def check(path, count, late):
    if count > MOST:
        raise InputError(f"{path} has {count} of at most {MOST}.", AGAIN)
    whose = f" of {path.owner}" if path else ""
    if late:
        raise InputError("It is late" + (", too late." if late > 1 else "."), words.AGAIN)
    lose(path)
    lose(path, hint="Look for it.")
    raise made(path, f"too small{whose}", "Take a larger one." if count else f"Take {count + 1}.")
""",
    )
    assert [(each.message, each.hints) for each in source.sentences()] == [
        ("PATH is wrong: too small[ of OWNER].", ("Take a larger one.", "Take COUNT.")),
        ("PATH is lost.", ("", "Look for it.")),
        ("PATH has COUNT of at most 7.", ("Do it again.",)),
        ("It is late, too late.", ("Do it again.",)),
        ("It is late.", ("Do it again.",)),
    ]
    assert source.unaccounted() == []


@pytest.mark.parametrize(
    "text",
    [
        "raise IdtdError(said())",
        "def f(said):\n    raise IdtdError(said)",
        "def f(x):\n    raise IdtdError(f'{x}: {x}.')",
        "raise IdtdError('It rains.', table[0])",
        "raise IdtdError(*both)",
        "raise IdtdError('It rains.', because='of clouds')",
    ],
)
def test_a_message_that_cannot_be_followed_is_not_passed_over(tmp_path: Path, text: str) -> None:
    source = package(tmp_path, errors="class IdtdError(Exception): ...", more=text)
    with pytest.raises(sentences.UnfollowedError, match=r"more\.py:"):
        source.sentences()


@pytest.mark.parametrize("text", ["raise found[0]", "raise library.Error('x')", "raise made_elsewhere()"])
def test_what_is_raised_and_made_nowhere_is_told(tmp_path: Path, text: str) -> None:
    source = package(tmp_path, errors="class IdtdError(Exception): ...", more=text)
    assert [place.partition(": ")[0] for place in source.unaccounted()] == ["more.py:1"]
