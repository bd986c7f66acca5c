from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import idtd_cli
from idtd_cli.errors import InputError
from idtd_cli.prepared import PreparedSet
from idtd_cli.stages import demo_data, show
from tests import tiny
from tests.tiny import Heard, Impatient, contents


def test_a_prepared_set(prepared: Path) -> None:
    text = show.run(prepared)
    assert text.startswith(f"{prepared}: prepared set, written by idtd {idtd_cli.__version__}\n")
    lines = [line.split() for line in text.splitlines()]
    assert ["source", "bars", "(folder)"] in lines
    assert ["class", "train", "val", "test"] in lines
    for name in tiny.CLASSES:
        assert [name, "5", "2", "4"] in lines
    assert ["all", "15", "6", "12"] in lines
    mean = " ".join(f"{value:.3f}" for value in PreparedSet.open(prepared).document.mean)
    assert f"mean {mean}, std " in text
    assert ["without", "0", "videos", "rejected,", "0", "missing"] in lines


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
    assert show.run(exported / "poster.png") == show.run(exported)


def test_many_classes_fit_the_screen(tmp_path: Path) -> None:
    classes = tuple(f"class {number:02d}" for number in range(40))
    clips = ((f"{label}", label, split, tiny.draw_clip(0, label)) for split in ("train", "test") for label in range(40))
    tiny.write_clips(tmp_path / "p", tiny.recipe().prepare.clip, classes, clips)
    text = show.run(tmp_path / "p")
    assert "class 11" in text
    assert "class 12" not in text
    assert "28 more" in text
    assert len(text.splitlines()) <= 25


def test_what_idtd_did_not_write(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no"):
        show.run(tmp_path / "missing")
    with pytest.raises(
        InputError, match=r"nothing that idtd can describe: it holds none of prepared\.json, experts\.json, run\.json"
    ):
        show.run(tmp_path)


def test_a_file_that_idtd_did_not_write(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"notes\.txt is nothing that idtd can describe, nor is its folder"):
        show.run(tmp_path / "notes.txt")


def test_a_damaged_folder(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="is not readable as JSON"):
        show.run(tmp_path)


def test_a_folder_of_folders(prepared: Path) -> None:
    with pytest.raises(InputError, match=r"Name one of its folders: .*prepared"):
        show.run(prepared.parent)


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return picture.size


def test_a_sheet_of_training_clips(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = tiny.splits_opened(monkeypatch)
    out = tmp_path / "sheet.png"
    assert show.sheet(prepared, out) == f"{out}: 3 of 3 classes, 2 training clips of each."
    assert set(opened) == {"train"}
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
    width, height = size(out)
    assert width > 2 * 8 * 96
    assert height > 3 * 96
    source = PreparedSet.open(prepared)
    first = source.read(source.rows("train")[:1])[0, 0].permute(1, 2, 0).numpy()
    with Image.open(out) as picture:  # 16 pixels enlarged to 96
        drawn = np.asarray(picture.crop((108, 26, 108 + 96, 26 + 96)))
    assert np.array_equal(drawn, first.repeat(6, 0).repeat(6, 1))
    before = out.read_bytes()
    show.sheet(prepared / "index.csv", out)
    assert out.read_bytes() == before


def test_a_sheet_of_classes_of_one_clip(tmp_path: Path) -> None:
    prepared = tiny.write_prepared(tmp_path / "p", counts={"train": 1, "val": 0, "test": 1})
    assert show.sheet(prepared, tmp_path / "s.PNG").endswith("3 of 3 classes, 1 training clip of each.")


def test_a_sheet_of_many_classes_says_how_many_are_left_out(tmp_path: Path) -> None:
    classes = tuple(f"class {number:03d}" for number in range(70))
    clips = ((f"{label}", label, split, tiny.draw_clip(0, label)) for split in ("train", "test") for label in range(70))
    tiny.write_clips(tmp_path / "p", tiny.recipe().prepare.clip, classes, clips)
    assert "60 of 70 classes" in show.sheet(tmp_path / "p", tmp_path / "s.png")
    assert size(tmp_path / "s.png")[1] == 26 + 60 * (96 + 6) + 26


def test_redundancy_as_a_table_and_a_plot(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = tiny.splits_opened(monkeypatch)
    text = show.redundancy(prepared, tmp_path / "plot.png", Heard())
    assert set(opened) == {"train"}
    head, _, _, header, _, *rows = text.splitlines()
    assert head == "bars: redundancy of the training clips, mean ± std over 3 random embeddings"
    assert header.split() == ["class", "clips", "inter-sample", "within-sample"]
    assert sorted(row.split()[0] for row in rows) == sorted(tiny.CLASSES)
    within = {row.split()[0]: float(row.split()[5]) for row in rows}
    assert within["rest"] > within["left"] + 0.1  # a bar that stays, and one that moves
    assert size(tmp_path / "plot.png")[0] > 500
    assert show.redundancy(prepared, None, Heard()) == text


@pytest.mark.parametrize("look", [show.sheet, lambda path, out: show.redundancy(path, out, Heard())])
def test_a_look_into_a_prepared_set_needs_one_and_a_place_for_the_picture(
    prepared: Path, finished: Path, tmp_path: Path, look: Callable[[Path, Path], str]
) -> None:
    (tmp_path / "folder.png").mkdir()
    before = contents(tmp_path)
    for path, out, words in (
        (prepared, tmp_path / "out.jpg", "is no name for a picture"),
        (prepared, tmp_path / "folder.png", "is no name for a picture"),
        (prepared, tmp_path / "missing" / "out.png", "there is no folder"),
        (finished, tmp_path / "out.png", "is no finished prepared set"),
        (tmp_path / "missing", tmp_path / "out.png", "There is no"),
    ):
        with pytest.raises(InputError, match=words):
            look(path, out)
    assert contents(tmp_path) == before
