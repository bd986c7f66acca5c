"""All that idtd prints: data to stdout, talk to stderr, bars on a terminal and plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from idtd_cli.errors import IdtdError
from idtd_cli.runlog import duration

if TYPE_CHECKING:
    from idtd_cli.report.comparison import Comparison
    from idtd_cli.report.document import ReportDocument
    from idtd_cli.report.expectation import Compared
    from idtd_cli.report.plan import Plan
    from idtd_cli.report.table import TableDocument

#: Characters that terminals take for commands, and those that turn the direction of writing, as JSON writes them.
_COMMANDS = {
    code: f"\\u{code:04x}"
    for code in (
        *range(0x20),
        *range(0x7F, 0xA0),
        0x061C,
        *range(0x200E, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
    )
    if chr(code) not in "\n\t"
}
#: Characters of a line of an error; a name in it may be as long as the file that it is from.
_LONGEST = 2000
#: Seconds between two plain lines of a stage where there is no terminal.
_QUIET = 15.0


def say(text: str) -> None:
    """A result, on stdout."""
    typer.echo(_printable(text))


def complain(message: str, hint: str = "") -> None:
    """What went wrong and what to do next, on stderr."""
    message = "\n".join(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…" for line in message.split("\n"))
    space = "" if hint.startswith("\n") else " "  # a hint after a list begins a line
    _tell(f"idtd: {message}" + (space + hint if hint else ""))


def _tell(text: str) -> None:
    typer.echo(_printable(text), err=True)


def _printable(text: str) -> str:
    """Text without what would change the terminal: names of classes and files come from anybody."""
    return text.translate(_COMMANDS)


def on_terminal() -> bool:
    """Whether bars can be drawn."""
    return sys.stderr.isatty()


class Terminal:
    """A `runlog.Progress` on stderr."""

    @contextmanager
    def stage(self, name: str, total: int | None, done: int = 0) -> Iterator[_Bar | _Lines]:
        task: _Bar | _Lines = _Bar(name, total, done) if on_terminal() else _Lines(name, total, done)
        try:
            yield task
        finally:
            task.close()

    def note(self, text: str) -> None:
        _tell(text)


class _Bar:
    """A tqdm bar, which knows rate and time left, with the latest facts beside it."""

    def __init__(self, name: str, total: int | None, done: int) -> None:
        from tqdm import tqdm

        name = _printable(name)
        self._bar = tqdm(total=total, initial=done, desc=name, file=sys.stderr, dynamic_ncols=True, smoothing=0.1)

    def advance(self, n: int = 1, **facts: object) -> None:
        if facts:
            self._bar.set_postfix_str(_printable(_words(facts)), refresh=False)
        self._bar.update(n)

    def close(self) -> None:
        self._bar.close()


class _Lines:
    """A line now and then, with the time left, and one at the end."""

    def __init__(self, name: str, total: int | None, done: int) -> None:
        self._name, self._total, self._first, self._done, self._facts = name, total, done, done, ""
        self._began = self._said = time.monotonic()

    def advance(self, n: int = 1, **facts: object) -> None:
        self._done += n
        self._facts = _words(facts)
        if time.monotonic() - self._said > _QUIET:
            self._line(going_on=True)

    def close(self) -> None:
        self._line(going_on=False)

    def _line(self, going_on: bool) -> None:
        self._said = time.monotonic()
        took, new = self._said - self._began, self._done - self._first
        parts = [f"{self._name}: {self._done}" + (f" of {self._total}" if self._total else ""), duration(took)]
        rest = (self._total or 0) - self._done
        if going_on and new and rest > 0:
            parts.append(f"{duration(took / new * rest)} left")
        _tell(", ".join([*parts, *([self._facts] if self._facts else [])]))


def _words(facts: dict[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in facts.items()
    )


def show_report(report: ReportDocument, folder: Path, as_json: bool) -> None:
    """A report on stdout: the document itself, or the summary and where the files are."""
    from idtd_cli.report import text

    if as_json:
        say((folder / report.FILE).read_text(encoding="utf-8").rstrip("\n"))
        return
    say(text.render(report))
    say(f"\nOpen {folder / 'report.html'} in a browser; all figures are in {folder / report.FILE}.")


def show_expected(compared: Sequence[Compared], changed: bool) -> None:
    """What a recipe expects beside what was found, on stderr: it is no part of the result.

    Args:
        compared: for the data that was reproduced on.
        changed: whether `--set` made another recipe of it, of which nobody expects anything.

    Raises:
        IdtdError: a figure is outside of what is expected.
    """
    if changed and compared:
        _tell("\nThe recipe was changed by --set: what it expects is not compared.")
    else:
        _show_compared(
            compared, "what the recipe expects", "Its `expect` says who measured what it expects, and on what."
        )


def show_published(compared: Sequence[Compared]) -> None:
    """Figures that came with a set beside those that were found for it, on stderr.

    Raises:
        IdtdError: chance alone does not explain how far apart they are.
    """
    _show_compared(
        compared,
        "what was published, by more than chance",
        "Other videos, other versions of what decodes or trains, or a figure that was changed can do that.",
    )


def _show_compared(compared: Sequence[Compared], what: str, hint: str) -> None:
    from idtd_cli.report.expectation import render

    if not compared:
        return
    _tell(f"\n{render(compared)}")
    outside = [one.expected.of for one in compared if one.is_outside]
    if outside:
        raise IdtdError(f"{len(outside)} of {len(compared)} figures are outside of {what}: {', '.join(outside)}.", hint)


def show_comparison(found: Comparison, as_json: bool) -> None:
    """A comparison on stdout: as JSON, or as a table."""
    from idtd_cli.report.comparison import render

    say(json.dumps(found.as_json()) if as_json else render(found))


def show_plan(plan: Plan, as_json: bool) -> None:
    """A plan on stdout: its figures as JSON, or a line for each."""
    from idtd_cli.report.plan import text

    say(json.dumps(asdict(plan)) if as_json else text(plan))


def show_table(table: TableDocument, folder: Path, as_json: bool) -> None:
    """A table on stdout: the document itself, or the table as text and where the files are."""
    from idtd_cli.report.table import CSV, MARKDOWN, render

    if as_json:
        say((folder / table.FILE).read_text(encoding="utf-8").rstrip("\n"))
        return
    say(render(table))
    say(f"\nThe table is in {folder / MARKDOWN} and {folder / CSV}; all figures are in {folder / table.FILE}.")
