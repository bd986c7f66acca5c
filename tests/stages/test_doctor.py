from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from idtd_cli.stages import clips, doctor
from idtd_cli.stages.doctor import Finding
from idtd_cli.video import encode


def found(folder: Path) -> dict[str, Finding]:
    return {finding.what: finding for finding in doctor.examine(folder)}


def test_what_the_suite_runs_with_works(tmp_path: Path) -> None:
    findings = found(tmp_path)
    assert [finding.what for finding in findings.values() if finding.state == "fail"] == []
    assert {"Python", "torch", "GPU", "encoder", "decoder pyav", "decoder decord", "disk", "memory", "Hub"} <= set(
        findings
    )
    assert "lossless" not in findings
    for finding in findings.values():
        assert finding.state == "ok" or finding.mend, finding


def test_an_encoder_that_does_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode.imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(tmp_path / "no-ffmpeg"))
    finding = found(tmp_path)["encoder"]
    assert finding.state == "fail"
    assert "imageio-ffmpeg" in finding.mend


def test_a_decoder_that_cannot_read_is_told_from_one_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = doctor.importlib.util.find_spec

    def without_decord(name: str, *more: Any) -> Any:
        return None if name == "decord" else real(name, *more)

    monkeypatch.setattr(doctor.importlib.util, "find_spec", without_decord)
    assert found(tmp_path)["decoder decord"] == Finding(
        "decoder decord", "note", "is not installed", "pip install decord"
    )


def test_a_folder_that_cannot_be_written_to_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = doctor.tempfile.TemporaryFile

    def refused(*given: Any, **options: Any) -> Any:
        if options.get("dir") == tmp_path:
            raise PermissionError(13, "Permission denied")
        return real(*given, **options)

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refused)
    assert found(tmp_path / "not" / "there")["disk"].state == "fail"


def test_little_room_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "free_bytes", lambda _: 1 << 20)
    monkeypatch.setattr(doctor, "_DISK", 1 << 60)
    findings = found(tmp_path)
    assert (findings["disk"].state, findings["memory"].state) == ("note", "note")


def test_a_token_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_secret")
    finding = found(tmp_path)["Hub"]
    assert finding.state == "ok"
    assert "secret" not in doctor.line(finding)


def test_another_python_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PYTHONS", ((3, 5), (3, 6)))
    assert found(tmp_path)["Python"].state == "note"
    assert sys.version_info >= (3, 10)
