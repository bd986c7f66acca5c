from __future__ import annotations

import time
from pathlib import Path

import pytest

from idtd_cli.errors import InputError
from idtd_cli.sources import kinetics
from idtd_cli.sources.registry import find
from tests.sources.making import listing, touch, write

HEADER = "label,youtube_id,time_start,time_end,split\n"
LISTS = {
    "train.csv": f"{HEADER}air drumming,-a_bcdefghi,59,69,train\nabseiling,xyz,0,10,train\nabseiling,xyz,100,110,train",
    "val.csv": f'{HEADER}"air drumming",val1,1,11,val\nabseiling,val2,2,12,val\n',
}
CLIPS = (
    "train/air drumming/-a_bcdefghi_000059_000069.mp4",
    "train/abseiling/xyz_000000_000010.mp4",
    "train/abseiling/xyz_000100_000110.mp4",
    "val/air drumming/val1_000001_000011.mp4",
    "val/abseiling/val2_000002_000012.mp4",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return touch(write(tmp_path / "k400", LISTS), *CLIPS)


def test_the_validation_list_is_test(root: Path) -> None:
    source = find(root)
    assert (source.name, source.kind, source.classes) == ("k400", "kinetics", ("abseiling", "air drumming"))
    assert listing(source) == [
        ("train/abseiling/xyz_000000_000010.mp4", "abseiling", "train"),
        ("train/abseiling/xyz_000100_000110.mp4", "abseiling", "train"),
        ("train/air drumming/-a_bcdefghi_000059_000069.mp4", "air drumming", "train"),
        ("val/abseiling/val2_000002_000012.mp4", "abseiling", "test"),
        ("val/air drumming/val1_000001_000011.mp4", "air drumming", "test"),
    ]
    assert source.missing == ()
    assert source.videos[0].group == source.videos[1].group == "train:xyz"


def test_the_form_of_the_mirror(tmp_path: Path) -> None:
    """Lists in annotations/ with a column more, and clips that do not lie in class folders."""
    lists = {f"annotations/{name}": text.replace("split\n", "split,is_cc\n") for name, text in LISTS.items()}
    lists["annotations/test.csv"] = "youtube_id,time_start,time_end,split\nnone,0,10,test\n"
    write(tmp_path, lists)
    flat = [f"{Path(clip).parts[0]}/{Path(clip).name}" for clip in CLIPS]
    source = find(touch(tmp_path, *flat))
    assert source.kind == "kinetics"
    assert [video.id for video in source.videos] == sorted(flat)


def test_other_names_for_the_same(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": LISTS["train.csv"], "validate.csv": LISTS["val.csv"]})
    names = "train/-a_bcdefghi.mp4", "train/abseiling/xyz_000000_000010.mp4", "validate/val1.mp4", "validate/x/val2.mp4"
    source = find(touch(tmp_path, *names))
    assert [video.id for video in source.videos] == sorted(names)
    assert source.missing == ("train/xyz_000100_000110.mp4",)


def test_missing_clips_are_counted_and_the_rest_goes_on(root: Path) -> None:
    before = find(root).digest()
    (root / CLIPS[1]).unlink()
    source = find(root)
    assert len(source.videos) == 4
    assert source.missing == ("train/xyz_000000_000010.mp4",)
    assert source.digest() != before


def test_a_class_that_lost_all_its_clips_is_said(root: Path) -> None:
    (root / CLIPS[4]).unlink()
    with pytest.raises(InputError, match="lists no test video of the class abseiling"):
        find(root)


def test_no_clip_at_all(root: Path) -> None:
    for clip in CLIPS:
        (root / clip).unlink()
    with pytest.raises(
        InputError, match=r"none of the 5 clips that its lists name; the first is train/-a_bcdefghi_0000"
    ):
        find(root)


def test_an_ordinary_folder_is_not_taken_for_kinetics(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": "path,label\n", "val.csv": "path,label\n"})
    assert find(touch(tmp_path, "train/a.mp4", "val/b.mp4")).kind == "folder"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("val.csv", "label,youtube_id\nx,y\n", r"val.csv has no column time_start; its columns are label, youtube_id"),
        ("val.csv", HEADER, "val.csv lists no videos"),
        ("val.csv", f"{HEADER}abseiling,,0,10,val\n", r"val.csv line 2 has no youtube_id"),
        (
            "val.csv",
            f"{HEADER}abseiling,a,0,10,val\nabseiling,b,,10,val\n",
            r"line 3 is from '' to '10', which are not whole",
        ),
        ("val.csv", f"{HEADER}abseiling,a,0,1.5,val\n", "which are not whole seconds"),
        ("val.csv", f"{HEADER}abseiling,a,0,{'9' * 5000},val\n", "which are not whole seconds"),
        ("val.csv", f"{HEADER},val1,1,11,val\n", "has a class without a name"),
        ("val.csv", f"{HEADER}parkour,val1,1,11,val\n", "lists no train video of the class parkour"),
        ("val.csv", f"{HEADER}abseiling,val2,2,12,val\nair drumming,val2,2,12,val\n", "val2_000002_000012.mp4 twice"),
    ],
)
def test_lists_that_do_not_hold_together(root: Path, name: str, text: str, message: str) -> None:
    write(root, {name: text})
    with pytest.raises(InputError, match=message) as raised:
        find(f"kinetics:{root}")
    assert "\n" not in str(raised.value)


def test_a_missing_list_is_named(root: Path) -> None:
    (root / "val.csv").unlink()
    with pytest.raises(
        InputError, match=r"k400 has no val.csv, nor has .*annotations. The owner's archive of the annot"
    ):
        find(f"kinetics:{root}")


def test_a_list_that_is_no_text(root: Path) -> None:
    (root / "val.csv").write_bytes(HEADER.encode() + b"\xff\xfe,a,0,10,val")
    with pytest.raises(InputError, match=r"val.csv is not readable as CSV in UTF-8"):
        find(root)


def test_no_id_leads_out_of_the_folder(root: Path) -> None:
    touch(root.parent, "secret_000000_000010.mp4", "secret.mp4")
    write(root, {"train.csv": f"{LISTS['train.csv']}\nabseiling,../../secret,0,10,train\n"})
    assert find(root).missing == ("train/../../secret_000000_000010.mp4",)
    (root / CLIPS[0]).unlink()
    (root / CLIPS[0]).symlink_to(root.parent / "secret.mp4")
    with pytest.raises(InputError, match="is a link that leads out of"):
        find(root)


def test_the_folders_are_looked_through_once(root: Path) -> None:
    """240,000 rows must list in seconds: what is not there costs no look at the disk for each row."""
    rows = "".join(f"abseiling,gone{number},0,10,train\n" for number in range(60_000))
    write(root, {"train.csv": LISTS["train.csv"] + "\n" + rows})
    began = time.process_time()
    assert len(kinetics.read(str(root), 1).missing) == 60_000
    assert time.process_time() - began < 10
