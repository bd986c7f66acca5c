from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from idtd_cli.errors import InputError
from idtd_cli.recipe import SplitConfig
from idtd_cli.sources.registry import find
from idtd_cli.sources.splits import assign
from tests.sources.making import listing, touch, write
from tests.video.making import shared_data

LISTS = {
    "climb_test_split1.txt": "A_climb_up_climb_f_cm_np1_ba_med_0.avi 1 \nA_climb_up_climb_f_cm_np1_ba_med_1.avi 1 \n"
    "Film_climb_f_cm_np1_ba_med_0.avi 2 \nunused_climb_f_cm_np1_ba_med_0.avi 0 \n",
    "hug_test_split1.txt": "Film_hug_u_nm_np2_fr_goo_3.avi 1 \n[x]_&_#1!_hug_u_nm_np2_fr_goo_0.avi 2 \n",
    "climb_test_split2.txt": "A_climb_up_climb_f_cm_np1_ba_med_0.avi 2 \nFilm_climb_f_cm_np1_ba_med_0.avi 1 \n",
    "hug_test_split2.txt": "Film_hug_u_nm_np2_fr_goo_3.avi 2 \n[x]_&_#1!_hug_u_nm_np2_fr_goo_0.avi 1 \n",
}
CLIPS = (
    "climb/A_climb_up_climb_f_cm_np1_ba_med_0.avi",
    "climb/A_climb_up_climb_f_cm_np1_ba_med_1.avi",
    "climb/Film_climb_f_cm_np1_ba_med_0.avi",
    "hug/Film_hug_u_nm_np2_fr_goo_3.avi",
    "hug/[x]_&_#1!_hug_u_nm_np2_fr_goo_0.avi",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "testTrainMulti_7030_splits", LISTS)
    return touch(tmp_path / "hmdb51_org", *CLIPS)


def test_the_official_split(root: Path) -> None:
    source = find(root)
    assert (source.name, source.kind, source.classes) == ("hmdb51_org", "hmdb51", ("climb", "hug"))
    assert listing(source) == [
        ("climb/A_climb_up_climb_f_cm_np1_ba_med_0.avi", "climb", "train"),
        ("climb/A_climb_up_climb_f_cm_np1_ba_med_1.avi", "climb", "train"),
        ("climb/Film_climb_f_cm_np1_ba_med_0.avi", "climb", "test"),
        ("hug/Film_hug_u_nm_np2_fr_goo_3.avi", "hug", "train"),
        ("hug/[x]_&_#1!_hug_u_nm_np2_fr_goo_0.avi", "hug", "test"),
    ]


def test_a_film_is_a_group_within_its_split(root: Path) -> None:
    """The film in both train and test is no error: the official split rules."""
    assert [video.group for video in find(root).videos] == [
        "train:A_climb_up", "train:A_climb_up", "test:Film", "train:Film", "test:[x]_&_#1!",
    ]  # fmt: skip


def test_another_official_split(root: Path) -> None:
    assert [video.split for video in find(root, fold=2).videos] == ["test", "train", "test", "train"]


@pytest.mark.parametrize("place", ["", "testTrainMulti_7030_splits"])
def test_lists_inside_of_the_folder(tmp_path: Path, place: str) -> None:
    write(tmp_path / "set" / place, LISTS)
    assert find(touch(tmp_path / "set", *CLIPS)).kind == "hmdb51"


def test_a_neighbour_of_the_lists_is_not_taken_for_hmdb51(root: Path) -> None:
    assert find(touch(root.parent / "other", "run/a.mp4", "jump/b.mp4")).kind == "folder"


def test_a_clip_whose_name_says_no_film_is_one_of_its_own(root: Path) -> None:
    touch(root, "hug/x.avi", "hug/y.avi")
    lists = root.parent / "testTrainMulti_7030_splits"
    write(lists, {"hug_test_split1.txt": LISTS["hug_test_split1.txt"] + "x.avi 1\ny.avi 1\n"})
    assert [video.group for video in find(root).videos[-2:]] == ["train:x.avi", "train:y.avi"]


@pytest.mark.parametrize("fold", [0, 4])
def test_there_are_three_splits(root: Path, fold: int) -> None:
    with pytest.raises(InputError, match=f"hmdb51 has no split {fold}"):
        find(root, fold)


def test_missing_lists_are_named(root: Path) -> None:
    lists = root.parent / "testTrainMulti_7030_splits"
    (lists / "hug_test_split1.txt").unlink()
    with pytest.raises(
        InputError, match=r"has no hug_test_split1.txt, though it has another split of hug. The owner's"
    ):
        find(root)
    for path in lists.iterdir():
        path.unlink()
    with pytest.raises(
        InputError, match=r"no lists like brush_hair_test_split2.txt, nor .* test_train_splits.rar holds"
    ):
        find(f"hmdb51:{root}", fold=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Film_hug_u_nm_np2_fr_goo_3.avi",
            r"hug_test_split1.txt line 1 is not of the form `NAME.avi 1`, with 1 for train",
        ),
        ("Film_hug_u_nm_np2_fr_goo_3.avi 3", "line 1 is not of the form"),
        ("\nFilm_hug_u_nm_np2_fr_goo_3 1", "line 2 is not of the form"),
        ("hug/Film_hug_u_nm_np2_fr_goo_3.avi 1", "line 1 is not of the form"),
        ("../x.avi 1", r"'../x.avi', which is not a path inside the folder"),
        ("/x.avi 1", "which is not a path inside"),
        (
            "no.avi 1\nFilm_hug_u_nm_np2_fr_goo_3.avi 2",
            r"1 of 5 listed videos are missing in .*; the first is hug/no.avi",
        ),
        ("Film_hug_u_nm_np2_fr_goo_3.avi 1", "lists no test video of the class hug"),
        ("Film_hug_u_nm_np2_fr_goo_3.avi 0", "has no video of the class hug"),
        ("Film_hug_u_nm_np2_fr_goo_3.avi 1\nFilm_hug_u_nm_np2_fr_goo_3.avi 2", "in both train and test"),
    ],
)
def test_lists_that_do_not_hold_together(root: Path, text: str, message: str) -> None:
    write(root.parent / "testTrainMulti_7030_splits", {"hug_test_split1.txt": text})
    with pytest.raises(InputError, match=message) as raised:
        find(root)
    assert "\n" not in str(raised.value)


def test_a_list_that_is_no_text(root: Path) -> None:
    (root.parent / "testTrainMulti_7030_splits" / "hug_test_split1.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"hug_test_split1.txt is not a text file in UTF-8"):
        find(root)


def test_the_whole_of_it_and_validation_without_a_film_in_train(tmp_path: Path) -> None:
    with open(shared_data("splits") / "hmdb51_splits.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    lines = defaultdict(list)
    for row in rows:
        lines[row["label"]].append(f"{row['folder_name']}.avi {1 if row['split'] == 'train' else 2} ")
    root = write(tmp_path, {f"{name}_test_split1.txt": "\n".join(of) for name, of in lines.items()})
    touch(root, *(f"{row['label']}/{row['folder_name']}.avi" for row in rows))
    source = find(root)
    assert (len(source.videos), len(source.classes)) == (6_766, 51)
    done = assign(source, SplitConfig(validation=0.15))
    films = defaultdict(set)
    for video in done.videos:
        assert video.group is not None
        films[video.group].add(video.split)
    assert all(len(splits) == 1 for splits in films.values())
    counts = Counter((video.label, video.split) for video in done.videos)
    shares = [counts[i, "val"] / (counts[i, "val"] + counts[i, "train"]) for i in range(51)]
    assert min(shares) > 0.05
    assert max(shares) < 0.5  # films span classes: a class may give more than its share
