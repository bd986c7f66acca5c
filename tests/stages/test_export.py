from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from idtd_cli import documents
from idtd_cli.distilled import DistilledSet, SetDocument
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.recipe import ExportConfig
from idtd_cli.run_folder import RESULT, RunFolder
from idtd_cli.stages import export
from idtd_cli.video import encode
from tests import tiny
from tests.tiny import Heard, Impatient, contents, recipe


def test_a_set_holds_what_the_run_made(finished: Path, exported: Path) -> None:
    run, found = RunFolder.open(finished), DistilledSet.open(exported)
    videos, labels, _ = run.result()
    assert torch.equal(found.videos_NT3HW, videos)
    assert torch.equal(found.labels_N, labels)
    document, made = found.document, run.document
    assert document.parents == {"run": made.digest(), "prepared": made.parents["prepared"]}
    for name in ("method", "classes", "clip", "segments", "mean", "std"):
        assert getattr(document, name) == getattr(made, name)
    assert document.evaluate == recipe().evaluate
    assert (document.ipc, document.seed) == (1, 0)
    assert document.stored_frames == 3 * 4
    assert document.stored_bytes == 3 * 4 * 3 * 16 * 16
    assert str(finished.parent) not in (exported / "set.json").read_text()
    assert {path.name for path in exported.iterdir()} == {
        "set.json", "SHA256SUMS", "data", "videos", "poster.png", "preview.gif", "filmstrips", "croissant.json",
    }  # fmt: skip


def test_a_set_that_is_there_is_left_as_it_is(finished: Path, exported: Path) -> None:
    before = contents(exported)
    heard = Heard()
    export.run(finished, exported, ExportConfig(), heard)
    assert heard.notes == [f"{exported} already holds this run's set: nothing to do."]
    assert contents(exported) == before


def test_it_shows_how_far_it_is(finished: Path, tmp_path: Path) -> None:
    heard = Heard()
    export.run(finished, tmp_path / "set", ExportConfig(), heard)
    assert heard.advanced == 2 * 3
    with pytest.raises(KeyboardInterrupt):
        export.run(finished, tmp_path / "stopped", ExportConfig(), Impatient(4))
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_exporting_again_gives_the_same_bytes(finished: Path, exported: Path, tmp_path: Path) -> None:
    assert contents(tiny.export(finished, tmp_path / "set")) == contents(exported)


def test_a_set_with_other_settings_is_not_overwritten(finished: Path, exported: Path) -> None:
    before = contents(exported)
    with pytest.raises(InputError, match="was exported with payload video, shards of 1000 MB"):
        tiny.export(finished, exported, payload="tensor")
    assert contents(exported) == before


def test_clips_as_tensors_in_several_shards(finished: Path, exported: Path, tmp_path: Path) -> None:
    other = tiny.export(finished, tmp_path / "set", payload="tensor", shard_mb=0.016)
    assert len(list((other / "data").iterdir())) == DistilledSet.open(other).document.shards == 3
    assert torch.equal(DistilledSet.open(other).videos_NT3HW, DistilledSet.open(exported).videos_NT3HW)


def test_clips_that_are_smaller_as_tensors_are_noticed(finished: Path, exported: Path, tmp_path: Path) -> None:
    """Those of four frames of 16×16 are: what describes an MP4 outweighs them."""
    heard = Heard()
    export.run(finished, tmp_path / "video", ExportConfig(), heard)
    export.run(finished, tmp_path / "tensor", ExportConfig(payload="tensor"), heard)
    raw = DistilledSet.open(exported).videos_NT3HW.numel()
    assert documents.read(SetDocument, exported).payload_bytes > raw
    assert heard.notes == ["These clips are like noise: with `--payload tensor` the shards would be smaller."]


def test_forms_for_other_programs_go_beside_the_set(finished: Path, exported: Path, tmp_path: Path) -> None:
    out, heard = tmp_path / "set", Heard()
    export.run(finished, out, ExportConfig(), heard, ["tensors", "frames", "tensors"])
    assert contents(out) == contents(exported)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set-frames", "set-tensors"]
    before = contents(tmp_path)
    export.run(finished, out, ExportConfig(), heard, ["frames", "ddranking"])  # one is there, one is new
    assert {name: found for name, found in contents(tmp_path).items() if "ddranking" not in name} == before
    assert (tmp_path / "set-ddranking" / "images.pt").is_file()
    assert f"{tmp_path / 'set-frames'} already holds this set: nothing to do." in heard.notes


def test_a_form_of_another_set_is_not_overwritten(finished: Path, tmp_path: Path) -> None:
    export.run(finished, tmp_path / "set", ExportConfig(), Heard(), ["tensors"])
    before = contents(tmp_path / "set-tensors")
    shutil.rmtree(tmp_path / "set")
    with pytest.raises(InputError, match="set-tensors was made from another set"):
        export.run(finished, tmp_path / "set", ExportConfig(payload="tensor"), Heard(), ["tensors"])
    assert contents(tmp_path / "set-tensors") == before
    (tmp_path / "set-frames").mkdir()
    (tmp_path / "set-frames" / "thesis.tex").touch()
    with pytest.raises(InputError, match="set-frames already holds something else"):
        export.run(finished, tmp_path / "set", ExportConfig(payload="tensor"), Heard(), ["frames"])


def test_a_set_of_another_run_is_not_overwritten(prepared: Path, exported: Path, tmp_path: Path) -> None:
    other = tiny.distil(prepared, tmp_path / "run", recipe(distill__seed=1))
    before = contents(exported)
    with pytest.raises(InputError, match="was exported from another run"):
        export.run(other, exported, ExportConfig(), Heard())
    assert contents(exported) == before


def test_something_else_is_not_overwritten(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="already holds something else"):
        export.run(finished, tmp_path, ExportConfig(), Heard())
    assert list(contents(tmp_path)) == ["thesis.tex"]


def test_an_unfinished_run_is_not_exported(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        tiny.distil(prepared, tmp_path / "run", progress=Impatient(1))
    with pytest.raises(InputError, match=r"run is not finished. Go on with `idtd distill PREPARED RUN --resume`"):
        export.run(tmp_path / "run", tmp_path / "set", ExportConfig(), Heard())
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_result_that_was_changed_is_not_exported(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    data = bytearray((run / RESULT).read_bytes())
    data[-1] ^= 1
    (run / RESULT).write_bytes(data)
    with pytest.raises(IdtdError, match="was changed since the run wrote it"):
        export.run(run, tmp_path / "set", ExportConfig(), Heard())
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [IdtdError("ffmpeg failed."), OSError(28, "No space left on device")])
def test_an_export_that_fails_leaves_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(encode, "write_lossless", fail)
    with pytest.raises(type(error)):
        export.run(finished, tmp_path / "set", ExportConfig(), Heard())
    assert contents(tmp_path) == {}


def test_an_encoder_that_loses_a_value_is_found(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lossless = encode.write_lossless
    monkeypatch.setattr(encode, "write_lossless", lambda path, frames, fps: lossless(path, frames ^ 1, fps))
    with pytest.raises(IdtdError, match="in the shards does not read back as it was written"):
        export.run(finished, tmp_path / "set", ExportConfig(), Heard())
    assert contents(tmp_path) == {}
