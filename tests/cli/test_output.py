from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from idtd_cli import documents
from idtd_cli.cli import output
from idtd_cli.report.document import ReportDocument

Written = pytest.CaptureFixture[str]


def test_data_goes_to_stdout_and_talk_to_stderr(capsys: Written) -> None:
    output.say("data")
    output.complain("Wrong.", "Do this.")
    output.Terminal().note("by the way")
    assert capsys.readouterr() == ("data\n", "idtd: Wrong. Do this.\nby the way\n")


def test_without_a_terminal_a_stage_is_a_line_at_its_end(capsys: Written) -> None:
    with output.Terminal().stage("distil", 300) as task:
        task.advance(100, matching=0.123456, note="x")
        task.advance(200, matching=1e-9, trained_on="idtd")
        assert capsys.readouterr() == ("", "")
    assert capsys.readouterr() == ("", "distil: 300 of 300, 0 s, matching 1e-09, trained_on idtd\n")


def test_a_long_stage_says_a_line_now_and_then(capsys: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with output.Terminal().stage("decode", None) as task:
        for _ in range(40):
            now += 1
            task.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["decode: 16, 16 s", "decode: 32, 32 s", "decode: 40, 40 s"]


def test_a_stage_that_fails_says_how_far_it_came(capsys: Written) -> None:

    def run() -> None:
        with output.Terminal().stage("distil", 9) as task:
            task.advance(4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert capsys.readouterr().err == "distil: 4 of 9, 0 s\n"


def test_a_terminal_gets_a_bar(capsys: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with output.Terminal().stage("distil", 4) as task:
        task.advance(4, matching=0.5)
    out, err = capsys.readouterr()
    assert out == ""
    assert "distil: 100%" in err
    assert "4/4" in err


def test_a_report_as_data_is_the_document(reported: Path, capsys: Written) -> None:
    report = documents.read(ReportDocument, reported)
    output.show_report(report, reported, as_json=True)
    out, err = capsys.readouterr()
    assert (out, err) == ((reported / "report.json").read_text(encoding="utf-8"), "")
    assert json.loads(out)["kind"] == "report"


def test_a_report_for_people_says_where_the_rest_is(reported: Path, capsys: Written) -> None:
    output.show_report(documents.read(ReportDocument, reported), reported, as_json=False)
    out, err = capsys.readouterr()
    assert err == ""
    assert "full data" in out
    assert str(reported / "report.html") in out
    assert str(reported / "report.json") in out


@pytest.mark.parametrize(
    ("done", "lines"),
    [
        (0, ["distil: 40 of 150, 16 s, 44 s left, matching 0.5", "distil: 80 of 150, 32 s, 28 s left, matching 0.5"]),
        (10, ["distil: 50 of 150, 16 s, 40 s left, matching 0.5", "distil: 90 of 150, 32 s, 24 s left, matching 0.5"]),
    ],
)
def test_a_long_stage_says_the_time_left(
    capsys: Written, monkeypatch: pytest.MonkeyPatch, done: int, lines: list[str]
) -> None:
    """By its own speed: steps that another process took do not count."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with output.Terminal().stage("distil", 150, done) as task:
        for _ in range(4):
            now += 8
            task.advance(20, matching=0.5)
    assert capsys.readouterr().err.splitlines() == [*lines, f"distil: {done + 80} of 150, 32 s, matching 0.5"]


def test_a_bar_goes_on_where_a_run_was_stopped(capsys: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with output.Terminal().stage("distil", 4, 3) as task:
        task.advance(1, matching=0.5)
    assert "75%" in (err := capsys.readouterr().err)
    assert "4/4" in err


def test_names_from_anywhere_do_not_command_the_terminal(capsys: Written) -> None:
    name = "\x1b]0;owned\x07\x9b2J\u202etxt\r"
    shown = r"\u001b]0;owned\u0007\u009b2J\u202etxt\u000d"
    output.say(name)
    output.complain(name, name)
    output.Terminal().note(f"é跑 \u200d {name}")
    with output.Terminal().stage(name, 1) as task:
        task.advance(what=name)
    written = capsys.readouterr()
    assert written.out == f"{shown}\n"
    assert written.err.startswith(f"idtd: {shown} {shown}\né跑 \u200d {shown}\n{shown}: 1 of 1, 0 s, what {shown}")


def test_a_line_of_an_error_has_an_end(capsys: Written) -> None:
    output.complain(f"There is no {'a' * 70_000}.\nNor is there this.", "Look.")
    first, second = capsys.readouterr().err.splitlines()
    assert len(first) < 2100
    assert second == "Nor is there this. Look."
