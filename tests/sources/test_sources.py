from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from idtd_cli.errors import InputError
from idtd_cli.sources.registry import find
from idtd_cli.video.medium import Address, File
from tests.sources.making import listing, touch
from tests.video.making import shared_data


def lists(root: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (root / f"{name}.txt").write_text(text)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    return folder


def test_a_folder_of_class_folders(root: Path) -> None:
    touch(root, "run/b.mp4", "run/a b.AVI", "jump/1.webm", "jump/notes.txt", "jump/.hidden.mp4", ".cache/x.mp4")
    touch(root, "empty folder/readme.md", "jump/deeper/x.mp4")
    source = find(root)
    assert (source.name, source.kind, source.classes) == ("set", "folder", ("jump", "run"))
    assert listing(source) == [("jump/1.webm", "jump", None), ("run/a b.AVI", "run", None), ("run/b.mp4", "run", None)]
    assert source.videos[1].medium == File(root / "run/a b.AVI")


def test_lists_name_the_videos_of_each_split(root: Path) -> None:
    touch(root, "run/a.mp4", "run/clip 3", "run/unlisted.mp4", "jump/a.mp4", "jump/b 2.mp4", "jump/b")
    lists(root, train="run/a.mp4 1\n\n./jump//a.mp4 0\n", test="run/clip 3\njump/b 2.mp4 0\r\njump/b 0\n")
    assert listing(find(root)) == [
        ("jump/a.mp4", "jump", "train"),
        ("jump/b", "jump", "test"),
        ("jump/b 2.mp4", "jump", "test"),
        ("run/a.mp4", "run", "train"),
        ("run/clip 3", "run", "test"),
    ]


def test_a_val_list_is_kept(root: Path) -> None:
    touch(root, *[f"{c}/{i}.mp4" for c in "ab" for i in range(3)])
    lists(root, train="a/0.mp4\nb/0.mp4", val="a/1.mp4\nb/1.mp4", test="a/2.mp4\nb/2.mp4")
    assert [video.split for video in find(root).videos] == ["train", "val", "test"] * 2


def test_classes_txt_gives_order_and_indices(root: Path) -> None:
    touch(root, *[f"{c}/{i}.mp4" for c in ("run", "jump", "2 hands") for i in range(2)])
    lists(root, classes="1 run\n3 2 hands\n2 jump\n")
    assert find(root).classes == ("run", "jump", "2 hands")
    rows = "{0}/{i}.mp4 1\n{1}/{i}.mp4 2\n{2}/{i}.mp4 3\n"
    text = [rows.format("run", "jump", "2 hands", i=i) for i in range(2)]
    assert listing(find(lists(root, train=text[0], test=text[1])))[0] == ("2 hands/0.mp4", "2 hands", "train")
    lists(root, classes="run\n2 hands\njump\n")
    assert find(
        lists(
            root,
            train=text[0].replace(" 1\n", "\n").replace(" 2\n", "\n").replace(" 3\n", "\n"),
            test=text[1].replace(" 1\n", "\n").replace(" 2\n", "\n").replace(" 3\n", "\n"),
        )
    ).classes == (
        "run",
        "2 hands",
        "jump",
    )


def test_an_index_alone_names_the_class_where_folders_do_not(root: Path) -> None:
    touch(root, "videos/a.mp4", "videos/b.mp4", "videos/c.mp4", "videos/d.mp4")
    lists(
        root, classes="0 run\n1 jump\n", train="videos/a.mp4 0\nvideos/b.mp4 1", test="videos/c.mp4 0\nvideos/d.mp4 1"
    )
    assert [name for _, name, _ in listing(find(root))] == ["run", "jump", "run", "jump"]


@pytest.mark.parametrize(
    ("files", "texts", "message"),
    [
        ([], {}, "holds no videos"),
        (
            ["run/1.png", "run/2.png"],
            {},
            r"holds pictures, as run/1\.png, and no videos\. If they are frames",
        ),
        (["readme.md"], {}, r"holds no videos. Expected one folder a class, as in SOURCE/bend/clip.mp4"),
        (["a.mp4"], {}, r"has videos but no classes: a.mp4 lies at its top. Expected one folder a class"),
        (["a/1.mp4"], {"classes": "a\nb"}, "no video of the class b"),
        (["a/1.mp4", "c/1.mp4"], {"classes": "a"}, "is of the class c, which is not in classes.txt"),
        (["a/1.mp4"], {"classes": "a\na"}, "has the class 'a' twice"),
        (["a/1.mp4"], {"classes": ""}, r"classes.txt is empty"),
        (["a/1.mp4"], {"train": "a/1.mp4"}, r"has train.txt but no test.txt"),
        (["a/1.mp4"], {"train": "", "test": ""}, "lists no videos"),
        (
            ["a/1.mp4"],
            {"train": "a/1.mp4\na/2.mp4\na/3.mp4", "test": "a/4.mp4"},
            r"3 of 4 listed videos are missing in .*; the first is a/2.mp4",
        ),
        (["a/1.mp4"], {"train": "a/1.mp4 0", "test": "a/1.mp4 0"}, "has a/1.mp4 in both train and test"),
        (["a/1.mp4", "a/2.mp4"], {"train": "a/1.mp4\n./a/1.mp4", "test": "a/2.mp4"}, "lists a/1.mp4 twice"),
        (
            ["a/1.mp4", "a/2.mp4"],
            {"train": "a/1.mp4 7", "test": "a/2.mp4"},
            r"train.txt line 1 gives the class 7; the classes are 0 to 0",
        ),
        (
            ["a/1.mp4", "b/2.mp4"],
            {"train": "a/1.mp4 1", "test": "b/2.mp4 1"},
            r"line 1 gives the class 1 \(b\) to a video in the folder a",
        ),
        (["a/1.mp4", "b/2.mp4"], {"train": "a/1.mp4", "test": "b/2.mp4"}, "lists no train video of the class b"),
        (["a/1.mp4"], {"train": f"a/1.mp4 {'9' * 5000}", "test": "a/1.mp4"}, "File name too long"),
        (["a/1.mp4"], {"classes": f"{'9' * 5000} a"}, "no video of the class|is of the class a"),
        (["a/1.mp4"], {"train": "../x.mp4 0", "test": "a/1.mp4"}, r"'../x.mp4', which is not a path inside"),
        (["a/1.mp4"], {"train": "/etc/passwd", "test": "a/1.mp4"}, "'/etc/passwd', which is not a path inside"),
    ],
)
def test_a_folder_that_does_not_hold_together(
    root: Path, files: list[str], texts: dict[str, str], message: str
) -> None:
    lists(touch(root, *files), **texts)
    with pytest.raises(InputError, match=message) as raised:
        find(root)
    assert "\n" not in str(raised.value)


def test_links_out_of_the_folder_are_refused(root: Path, tmp_path: Path) -> None:
    touch(tmp_path, "outside/secret.mp4")
    touch(root, "a/1.mp4", "b/1.mp4")
    (root / "a" / "link.mp4").symlink_to(root / "b" / "1.mp4")
    with pytest.raises(InputError, match="twice"):
        find(root)  # a link within the folder is the same video again
    (root / "a" / "link.mp4").unlink()
    (root / "a" / "link.mp4").symlink_to(tmp_path / "outside" / "secret.mp4")
    with pytest.raises(InputError, match=r"link.mp4 is a link that leads out of"):
        find(root)


def test_lists_that_are_no_text(root: Path) -> None:
    touch(root, "a/1.mp4")
    (root / "train.txt").write_bytes(b"\xff\xfe\x00")
    (root / "test.txt").touch()
    with pytest.raises(InputError, match="not a text file in UTF-8"):
        find(root)


def test_a_missing_source_and_an_unknown_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no"):
        find(tmp_path / "nothing")
    (tmp_path / "x.zip").touch()
    with pytest.raises(InputError, match="no source of videos"):
        find(tmp_path / "x.zip")


def csv_file(root: Path, text: str, *files: str) -> Path:
    touch(root, *files)
    (root / "list.csv").write_text(text)
    return root / "list.csv"


def test_a_csv_with_splits_and_groups(root: Path) -> None:
    rows = ['"v/a, b.mp4",x,run,train,p1', "v/c,,run,test,p2", "v/d,,jump,train,", "v/e,,jump,test,p2"]
    text = "\n".join(["\ufeffpath,note,label,split,group", *rows, ""])
    source = find(csv_file(root, text, "v/a, b.mp4", "v/c", "v/d", "v/e"))
    assert (source.name, source.kind, source.classes) == ("list.csv", "csv", ("jump", "run"))
    assert [(v.id, v.label, v.split, v.group) for v in source.videos] == [
        ("v/a, b.mp4", 1, "train", "p1"),
        ("v/c", 1, "test", "p2"),
        ("v/d", 0, "train", None),
        ("v/e", 0, "test", "p2"),
    ]


def test_csv_labels_that_are_numbers_sort_by_value(root: Path) -> None:
    assert find(csv_file(root, "path,label\na,10\nb,9\n", "a", "b")).classes == ("9", "10")


def test_a_csv_of_parts(root: Path) -> None:
    rows = ["a,x,0,1.5", "a,y,1.5,", "a,x,,3.25", "b,y,-0.0,2", "c,x,,", "d,y,,"]
    source = find(csv_file(root, "\n".join(["path,label,start,end", *rows]), "a", "b", "c", "d"))
    assert [(v.id, v.start, v.end, v.group) for v in source.videos] == [
        ("a#-3.25", None, 3.25, "a"),
        ("a#0-1.5", 0, 1.5, "a"),
        ("a#1.5-", 1.5, None, "a"),
        ("b#0-2", 0, 2, None),
        ("c", None, None, None),
        ("d", None, None, None),
    ]
    assert [v.medium for v in source.videos[:3]] == [File(root / "a")] * 3


def test_parts_of_one_file_are_a_group_within_the_split_that_the_csv_gives(root: Path) -> None:
    rows = ["a,x,train,,0,1", "a,x,train,,1,2", "a,x,test,,2,3", "b,x,train,p,0,1", "b,x,train,p,1,2"]
    source = find(csv_file(root, "\n".join(["path,label,split,group,start,end", *rows]), "a", "b"))
    assert [v.group for v in source.videos] == ["train:a", "train:a", "test:a", "p", "p"]


def test_a_file_whose_name_is_that_of_a_part(root: Path) -> None:
    text = "path,label,end\na,x,1\na#-1,x,\n"
    with pytest.raises(InputError, match="lists a#-1 twice"):
        find(csv_file(root, text, "a", "a#-1"))


def test_a_csv_of_addresses(root: Path) -> None:
    with fsspec.open("memory://videos/a b.mp4", "wb") as file:
        file.write(b"12345")
    rows = ["memory://videos/a b.mp4,x,0,1", "memory://videos/a b.mp4,x,1,2", "b,x,,"]
    source = find(csv_file(root, "\n".join(["path,label,start,end", *rows]), "b"))
    address = Address("memory://videos/a b.mp4", 5)
    assert [(v.id, v.medium, v.group) for v in source.videos] == [
        ("b", File(root / "b"), None),
        ("memory://videos/a b.mp4#0-1", address, address.url),
        ("memory://videos/a b.mp4#1-2", address, address.url),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column path; its columns are none"),
        ("file,label\na,b\n", "has no column path; its columns are file, label"),
        ("path,label\n", "lists no videos"),
        ("path,label\na,x\nb,\n", "a class without a name"),
        ("path,label\n,x\n", "line 2 has no path"),
        ("path,label\na,x\na,x\n", "lists a twice"),
        ("path,label\na,x\na,y\n", "lists a twice"),
        ("path,label,split\na,x,train\na,x,test\n", "in both"),
        ("path,label,split\na,x,train\nb,x,\n", "gives a split to some videos and none to b"),
        ("path,label,split\na,x,training\n", "has the split 'training'"),
        ("path,label,split,group\na,x,train,p\nb,x,test,p\n", "has the group p in both train and test"),
        ("path,label\n../a,x\n", "not a path inside"),
        ("path,label\nmissing,x\na,x\n", "1 of 2 listed videos are missing"),
        (
            "path,label,start,end\na,x,0,1\nb,x,soon,2\n",
            r"list.csv line 3 has the start 'soon'. Give seconds from 0 on",
        ),
        ("path,label,start,end\na,x,-1,2\n", "line 2 has the start '-1'"),
        ("path,label,start,end\na,x,nan,2\n", "line 2 has the start 'nan'"),
        ("path,label,start,end\na,x,1,inf\n", "line 2 has the end 'inf'"),
        ("path,label,start,end\na,x,2,2\n", "line 2 ends at 2 s, which is not after its start at 2 s"),
        ("path,label,end\na,x,0\n", "line 2 ends at 0 s, which is not after its start at 0 s"),
        ("path,label,start,end\na,x,0,1\n./a,x,0.0,1e0\n", "lists a#0-1 twice"),
        ("path,label,split,start,end\na,x,train,0,1\na,x,test,0,1\n", "has a#0-1 in both"),
        (
            "path,label\nfile:///etc/passwd,x\n",
            r"line 2 names file:///etc/passwd, which cannot be opened: an address must",
        ),
        ("path,label\nsimplecache::s3://b/a,x\n", "which cannot be opened: an address must begin with one of http://"),
        ("path,label\nmemory://x::file:///etc/passwd,x\n", "which cannot be opened: an address must begin with"),
        (
            "path,label\nmemory://nowhere/a.mp4,x\n",
            r"line 2 names memory://nowhere/a.mp4, which cannot be opened: \S.*\.",
        ),
    ],
)
def test_a_csv_that_does_not_hold_together(root: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find(csv_file(root, text, "a", "b"))


def test_the_digest_follows_the_listing(root: Path) -> None:
    touch(root, "a/1.mp4", "b/1.mp4")
    before = find(root).digest()
    assert find(root).digest() == before
    (root / "a/1.mp4").write_bytes(b"longer")
    assert find(root).digest() != before


def test_real_folders_with_lists() -> None:
    source = find(shared_data("weizmann4"))
    assert source.classes == ("bend", "jack", "wave1", "wave2")
    assert len(source.videos) == 72
    assert len(find(shared_data("fir_ceiling_actions")).classes) == 7


@pytest.mark.parametrize(
    ("name", "words"), [("a\rb.mp4", "holds a carriage return"), ("\udce9.mp4", "is not valid UTF-8")]
)
def test_names_that_no_text_file_can_hold_are_refused(tmp_path: Path, name: str, words: str) -> None:
    for path in (tmp_path / "v" / "run" / name, tmp_path / "v" / "jump" / "1.mp4"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(InputError, match=words):
        find(tmp_path / "v")


def test_a_source_whose_own_name_no_text_file_can_hold_is_refused(tmp_path: Path) -> None:
    for label in ("run", "jump"):
        (tmp_path / "caf\udce9" / label).mkdir(parents=True)
        (tmp_path / "caf\udce9" / label / "1.mp4").touch()
    with pytest.raises(InputError, match="is not valid UTF-8"):
        find(tmp_path / "caf\udce9")
