from __future__ import annotations

from pathlib import Path

import pytest

import idtd_cli
from idtd_cli.errors import InputError
from idtd_cli.stages import demo_data, show
from tests import tiny
from tests.tiny import Heard, Impatient


def test_a_prepared_set(prepared: Path) -> None:
    text = show.run(prepared)
    assert text.startswith(f"{prepared}: prepared set, written by idtd {idtd_cli.__version__}\n")
    lines = [line.split() for line in text.splitlines()]
    assert ["source", "bars", "(folder)"] in lines
    assert ["class", "train", "val", "test"] in lines
    for name in tiny.CLASSES:
        assert [name, "5", "2", "4"] in lines
    assert ["all", "15", "6", "12"] in lines
    assert ["rejected", "0", "videos"] in lines


def test_a_finished_run(finished: Path) -> None:
    text = show.run(finished)
    assert "run, written by" in text
    assert "idtd, matching dm, 6 steps, seed 0" in text
    assert "1 a class of 3, 4 frames of 16x16, 2 segments" in text
    assert "state   finished" in text
    assert "idtd export" in text


def test_an_unfinished_run(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        tiny.distil(prepared, tmp_path / "run", progress=Impatient(2))
    text = show.run(tmp_path / "run")
    assert "unfinished; step 2 of 6" in text
    assert "--resume" in text


def test_a_set(exported: Path) -> None:
    text = show.run(exported)
    assert "distilled set, written by" in text
    assert "12 frames, 9.2 KB uncompressed" in text
    assert f'idtd_cli.load("{exported}")' in text


def test_a_report(reported: Path) -> None:
    text = show.run(reported)
    assert "report, written by" in text
    assert "bars: top-1 on 12 test videos of 3 classes (chance 33.3 %)" in text
    assert "full data" in text


def test_a_demo_set(tmp_path: Path) -> None:
    demo_data.run(tmp_path / "demo", classes=2, train=2, test=1, size=16, frames=8, progress=Heard())
    text = show.run(tmp_path / "demo")
    assert "demo set, written by" in text
    assert "2 classes, 2 training and 1 test videos each" in text
    assert f"idtd prepare {tmp_path / 'demo'} OUT" in text


def test_any_file_of_a_folder_stands_for_it(exported: Path) -> None:
    assert show.run(exported / "clips.safetensors") == show.run(exported)


def test_many_classes_fit_the_screen(tmp_path: Path) -> None:
    from idtd_cli.prepared import Writer

    content = tiny.recipe()
    writer = Writer(tmp_path / "p", content.prepare.clip)
    classes = tuple(f"class {number:02d}" for number in range(40))
    for split in ("train", "test"):
        for label in range(40):
            clip = tiny.draw_clip(0, label)
            writer.add(clip, id=f"{label}", label=label, split=split, group=None, frames=8, first=0, last=7)
    writer.finish(
        source="s", source_kind="folder", classes=classes, split=content.prepare.split, decoder="pyav",
        decoder_version="1", recipe_yaml="", parents={},
    )  # fmt: skip
    text = show.run(tmp_path / "p")
    assert "class 11" in text
    assert "class 12" not in text
    assert "28 more" in text
    assert len(text.splitlines()) < 25


def test_what_idtd_did_not_write(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no"):
        show.run(tmp_path / "missing")
    with pytest.raises(
        InputError, match=r"is nothing that idtd can describe: it holds none of prepared\.json, run\.json"
    ):
        show.run(tmp_path)


def test_a_damaged_folder(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="is not readable as JSON"):
        show.run(tmp_path)


def test_a_folder_of_folders(prepared: Path) -> None:
    with pytest.raises(InputError, match=r"Name one of its folders: .*prepared"):
        show.run(prepared.parent)
