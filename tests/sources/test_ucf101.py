from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from idtd_cli.errors import InputError
from idtd_cli.prepared import PreparedSet
from idtd_cli.sources import miniucf, ucf101
from idtd_cli.sources.registry import find
from idtd_cli.stages import prepare
from idtd_cli.video import encode
from tests.sources.making import listing, touch, write
from tests.stages.test_prepare import Heard, recipe
from tests.video.making import shared_data

LISTS = {
    "classInd.txt": "1 YoYo\r\n2 HandstandPushups\r\n",
    # As the owner writes it: the clips of this class do not have its spelling.
    "trainlist01.txt": "HandstandPushups/v_HandStandPushups_g08_c01.avi 2\r\nYoYo/v_YoYo_g08_c01.avi 1\r\n"
    "YoYo/v_YoYo_g08_c02.avi 1\r\n",
    "testlist01.txt": "HandstandPushups/v_HandStandPushups_g01_c01.avi\r\nYoYo/v_YoYo_g01_c01.avi\r\n",
    "trainlist02.txt": "HandstandPushups/v_HandStandPushups_g01_c01.avi 2\nYoYo/v_YoYo_g01_c01.avi 1\n",
    "testlist02.txt": "HandstandPushups/v_HandStandPushups_g08_c01.avi\nYoYo/v_YoYo_g08_c01.avi\n",
}
CLIPS = (
    "HandstandPushups/v_HandStandPushups_g01_c01.avi",
    "HandstandPushups/v_HandStandPushups_g08_c01.avi",
    "YoYo/v_YoYo_g01_c01.avi",
    "YoYo/v_YoYo_g08_c01.avi",
    "YoYo/v_YoYo_g08_c02.avi",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Clips and lists as the owner's two archives unpack."""
    write(tmp_path / "ucf" / "ucfTrainTestlist", LISTS)
    return touch(tmp_path / "ucf" / "UCF-101", *CLIPS)


def test_the_official_split(root: Path) -> None:
    source = find(root)
    assert (source.name, source.kind, source.classes) == ("UCF-101", "ucf101", ("YoYo", "HandstandPushups"))
    assert listing(source) == [
        ("HandstandPushups/v_HandStandPushups_g01_c01.avi", "HandstandPushups", "test"),
        ("HandstandPushups/v_HandStandPushups_g08_c01.avi", "HandstandPushups", "train"),
        ("YoYo/v_YoYo_g01_c01.avi", "YoYo", "test"),
        ("YoYo/v_YoYo_g08_c01.avi", "YoYo", "train"),
        ("YoYo/v_YoYo_g08_c02.avi", "YoYo", "train"),
    ]
    assert [video.group for video in source.videos] == [
        "HandStandPushups_g01", "HandStandPushups_g08", "YoYo_g01", "YoYo_g08", "YoYo_g08",
    ]  # fmt: skip


def test_another_official_split(root: Path) -> None:
    splits = {video.id: video.split for video in find(root, fold=2).videos}
    assert splits == {
        "HandstandPushups/v_HandStandPushups_g01_c01.avi": "train",
        "HandstandPushups/v_HandStandPushups_g08_c01.avi": "test",
        "YoYo/v_YoYo_g01_c01.avi": "train",
        "YoYo/v_YoYo_g08_c01.avi": "test",
    }


@pytest.mark.parametrize("place", ["", "ucfTrainTestlist"])
def test_lists_inside_of_the_folder(tmp_path: Path, place: str) -> None:
    write(tmp_path / "set" / place, LISTS)
    assert find(touch(tmp_path / "set", *CLIPS)).kind == "ucf101"


def test_the_folder_above_both(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = find(root.parent)
    assert (source.name, source.kind) == ("ucf", "ucf101")
    assert listing(source) == listing(find(root))
    monkeypatch.chdir(root)
    assert listing(find(".")) == listing(source)


def test_a_neighbour_of_the_lists_is_not_taken_for_ucf101(root: Path) -> None:
    other = touch(root.parent / "other", "run/a.mp4", "jump/b.mp4", "YoYo/clip.avi")
    assert not ucf101.fits(other)
    assert find(other).kind == "folder"
    assert not ucf101.fits(other / "run" / "a.mp4")


@pytest.mark.parametrize("fold", [0, 4, -1])
def test_there_are_three_splits(root: Path, fold: int) -> None:
    with pytest.raises(
        InputError, match=rf"ucf101 has no split {fold}. Its official splits are 1, 2 and 3: set prepare"
    ):
        find(root, fold)


def test_a_missing_list_is_named_with_the_archive_that_holds_it(root: Path) -> None:
    with pytest.raises(
        InputError, match=r"has no trainlist03.txt.* UCF101TrainTestSplits-RecognitionTask.zip holds it"
    ):
        find(root, fold=3)
    (root.parent / "ucfTrainTestlist" / "classInd.txt").unlink()
    with pytest.raises(InputError, match=r"UCF-101 has no classInd.txt, nor has .*ucfTrainTestlist or "):
        find(f"ucf101:{root}")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "testlist01.txt",
            "YoYo/v_YoYo_g09_c01.avi",
            r"1 of 4 listed videos are missing in .*; the first is YoYo/v_Yo",
        ),
        (
            "testlist01.txt",
            "Yo/v_Yo_g01_c01.avi",
            r"testlist01.txt line 1 is of the class Yo, which is not in classInd",
        ),
        ("testlist01.txt", "v_YoYo_g01_c01.avi", r"line 1 is of the class \(none\), which is not in classInd.txt"),
        ("testlist01.txt", "YoYo/clip.avi", "testlist01.txt line 1 is not of the form `YoYo/v_YoYo_g08_c01.avi`"),
        ("testlist01.txt", "YoYo/v_YoYo_g08_c01.avi", "has YoYo/v_YoYo_g08_c01.avi in both train and test"),
        ("testlist01.txt", "../YoYo/v_YoYo_g01_c01.avi", "'../YoYo/v_YoYo_g01_c01.avi', which is not a path inside"),
        ("testlist01.txt", "/YoYo/v_YoYo_g01_c01.avi", "which is not a path inside"),
        ("testlist01.txt", "YoYo/v_YoYo_g01_c01.avi", "lists no test video of the class HandstandPushups"),
        ("trainlist01.txt", "\nYoYo/v_YoYo_g08_c01.avi 2", r"line 2 gives the class 2; in classInd.txt YoYo is 1"),
        (
            "classInd.txt",
            "1 YoYo\n1 HandstandPushups",
            "line 2 gives the class HandstandPushups or the index 1 a second",
        ),
        ("classInd.txt", "1 YoYo\n2 YoYo", "line 2 gives the class YoYo or the index 2 a second time"),
        ("classInd.txt", "YoYo\nHandstandPushups", "classInd.txt line 1 is not of the form `1 ApplyEyeMakeup`"),
        ("classInd.txt", "9" * 5000 + " YoYo", "line 1 is not of the form"),
        ("classInd.txt", LISTS["classInd.txt"] + "3 Archery", "has no video of the class Archery"),
    ],
)
def test_lists_that_do_not_hold_together(root: Path, name: str, text: str, message: str) -> None:
    write(root.parent / "ucfTrainTestlist", {name: text})
    with pytest.raises(InputError, match=message) as raised:
        find(root)
    assert "\n" not in str(raised.value)


def test_a_recording_on_both_sides_is_refused(root: Path) -> None:
    touch(root, "YoYo/v_YoYo_g08_c03.avi")
    write(root.parent / "ucfTrainTestlist", {"testlist01.txt": LISTS["testlist01.txt"] + "YoYo/v_YoYo_g08_c03.avi"})
    with pytest.raises(InputError, match="has the group YoYo_g08 in both train and test"):
        find(root)


def test_a_list_that_is_no_text(root: Path) -> None:
    (root.parent / "ucfTrainTestlist" / "testlist01.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"testlist01.txt is not a text file in UTF-8"):
        find(root)


def test_a_link_out_of_the_folder_is_refused(root: Path, tmp_path: Path) -> None:
    (root / CLIPS[0]).unlink()
    (root / CLIPS[0]).symlink_to(touch(tmp_path, "secret") / "secret")
    with pytest.raises(InputError, match=r"g01_c01.avi is a link that leads out of"):
        find(root)


def official(folder: Path, rows: list[dict[str, str]]) -> tuple[Path, list[str]]:
    """The owner's lists of split 1, from a table of it, and the clips that they name."""
    names = sorted({row["label"] for row in rows})
    lines: dict[str, list[str]] = {"train": [], "test": []}
    clips = []
    for row in rows:
        clip = f"{row['label']}/{row['folder_name'].replace('_HandstandP', '_HandStandP')}.avi"
        clips.append(clip)
        lines[row["split"]].append(f"{clip} {names.index(row['label']) + 1}" if row["split"] == "train" else clip)
    texts = {f"{split}list01.txt": "\n".join(of) for split, of in lines.items()}
    texts["classInd.txt"] = "\n".join(f"{number} {name}" for number, name in enumerate(names, start=1))
    return write(folder, texts), clips


def test_the_whole_of_it_and_the_50_classes_of_miniucf(tmp_path: Path) -> None:
    with open(shared_data("splits") / "ucf101_splits1.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    root, clips = official(tmp_path / "set", rows)
    touch(root, *clips)
    whole, mini = find(root), find(f"miniucf:{root}")
    assert (len(whole.videos), len(whole.classes)) == (13_320, 101)
    assert Counter(video.split for video in whole.videos) == {"train": 9_537, "test": 3_783}
    with open(shared_data("splits") / "ucf50_splits1.csv", encoding="utf-8") as file:
        expected = {(row["label"], row["folder_name"].lower(), row["split"]) for row in csv.DictReader(file)}
    assert mini.kind == "miniucf"
    assert {(label, Path(name).stem.lower(), split) for name, label, split in listing(mini)} == expected


def test_miniucf_never_stands_for_a_whole_ucf101(root: Path) -> None:
    assert not miniucf.fits(root)
    with pytest.raises(InputError, match=r"has no class ApplyEyeMakeup, which is one of miniucf"):
        find(f"miniucf:{root}")


def test_miniucf_takes_its_classes_and_no_others(tmp_path: Path) -> None:
    names = (Path(miniucf.__file__).parent / "data" / "miniucf_classes.txt").read_text(encoding="utf-8").split()
    assert (len(names), names) == (50, sorted(set(names)))
    rows = [
        {"label": name, "folder_name": f"v_{name}_g{number:02d}_c01", "split": split}
        for name in [*names, "NotOfIt"]
        for number, split in enumerate(("train", "test"), start=1)
    ]
    root, clips = official(tmp_path / "set", rows)
    touch(root, *(clip for clip in clips if not clip.startswith("NotOfIt")))  # what is not wanted need not be there
    source = find(f"miniucf:{root}")
    assert source.classes == tuple(names)
    assert len(source.videos) == 100
    with pytest.raises(InputError, match="miniucf has no split 4"):
        find(f"miniucf:{root}", fold=4)


def test_from_videos_to_a_prepared_set(tmp_path: Path) -> None:
    rows = [
        {
            "label": name,
            "folder_name": f"v_{name}_g{number:02d}_c{clip:02d}",
            "split": "test" if number == 1 else "train",
        }
        for name in ("Archery", "YoYo")
        for number in (1, 2, 3)
        for clip in (1, 2)
    ]
    root, clips = official(tmp_path / "set", rows)
    for number, clip in enumerate(clips):
        (root / clip).parent.mkdir(exist_ok=True)
        made = tmp_path / "clip.mp4"
        encode.write_lossless(made, np.full((10, 20, 24, 3), 10 * number, np.uint8), 25)
        made.rename(root / clip)
    document = prepare.run(root, tmp_path / "out", recipe(), Heard())
    assert (document.source_kind, document.classes) == ("ucf101", ("Archery", "YoYo"))
    assert document.counts["test"] == {"Archery": 2, "YoYo": 2}
    index = PreparedSet.open(tmp_path / "out").index
    splits: dict[str, set[str]] = {}
    for row in index:
        splits.setdefault(str(row.group), set()).add(row.split)
    # A recording of each class is held out as a whole.
    assert sorted(map(sorted, splits.values())) == [["test"]] * 2 + [["train"]] * 2 + [["val"]] * 2
