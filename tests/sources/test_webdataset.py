from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from idtd_cli.errors import InputError
from idtd_cli.sources.registry import find
from idtd_cli.sources.source import Source
from idtd_cli.video import decode
from idtd_cli.video.medium import Member
from tests.video.making import every_frame, make


def shard(path: Path, members: dict[str, bytes | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def listing(source: Source) -> list[tuple[str, str, str | None]]:
    return [(video.id, source.classes[video.label], video.split) for video in source.videos]


def test_what_export_writes(exported: Path) -> None:
    source = find(exported)
    assert (source.name, source.kind, source.classes) == ("idtd", "webdataset", ("left", "rest", "right"))
    first = source.videos[0]
    assert first.id == "data/train-000000-of-000001.tar/0000-left-000.mp4"
    assert {video.split for video in source.videos} == {None}
    member = first.medium
    assert isinstance(member, Member)
    with member.open() as file:
        assert (decode.read_exact(file.read()).shape) == (4, 16, 16, 3)


def test_labels_are_names_or_indices_in_cls_or_json(tmp_path: Path) -> None:
    shard(
        tmp_path / "x.tar",
        {
            "a.cls": "run\n",
            "a.mp4": b"1",
            "in/b.webm": b"22",
            "in/b.json": json.dumps({"label": "jump", "cls": 3}),
            "c.AVI": b"333",
            "c.json": json.dumps({"class": "run", "label": 0}),
            "c.cls": "0",
            "d.jpg": b"no video",
            "._a.mp4": b"of another system",
            "e.left.mov": b"4444",
            "e.cls": " jump ",
        },
    )
    source = find(tmp_path)
    assert listing(source) == [
        ("x.tar/a.mp4", "run", None),
        ("x.tar/c.AVI", "run", None),
        ("x.tar/e.left.mov", "jump", None),
        ("x.tar/in/b.webm", "jump", None),
    ]
    data = (tmp_path / "x.tar").read_bytes()
    for video, expected in zip(source.videos, [b"1", b"333", b"4444", b"22"], strict=True):
        member = video.medium
        assert isinstance(member, Member)
        assert data[member.offset : member.offset + member.bytes] == expected


def test_indices_alone_are_the_names_and_sort_by_value(tmp_path: Path) -> None:
    path = shard(
        tmp_path / "x.tar", {"a.mp4": b"1", "a.cls": "10", "b.mp4": b"2", "b.cls": "9", "c.mp4": b"3", "c.cls": "09"}
    )
    source = find(path)
    assert (source.name, source.classes) == ("x.tar", ("9", "10"))


def test_classes_txt_names_the_indices(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("run\njump\n")
    shard(tmp_path / "x.tar", {"a.mp4": b"1", "a.cls": "1", "b.mp4": b"2", "b.cls": "run"})
    assert listing(find(tmp_path)) == [("x.tar/a.mp4", "jump", None), ("x.tar/b.mp4", "run", None)]
    shard(tmp_path / "x.tar", {"a.mp4": b"1", "a.cls": "2", "b.mp4": b"2", "b.cls": "run"})
    with pytest.raises(InputError, match=r"gives a.mp4 the class 2, which is not in classes.txt"):
        find(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        {"train": "train-000.tar", "val": "Validation_000.tar", "test": "test.tar"},
        {"train": "train/000.tar", "val": "val/000.tar", "test": "test/000.tar"},
        {"train": "data/train-000.tar", "val": "data/valid-000.tar", "test": "data/test-000.tar"},
    ],
)
def test_splits_are_in_the_names_of_shards_or_folders(tmp_path: Path, names: dict[str, str]) -> None:
    for name in names.values():
        shard(tmp_path / name, {"a.mp4": b"1", "a.cls": "x"})
    source = find(tmp_path)
    assert {video.split: video.id for video in source.videos} == {s: f"{name}/a.mp4" for s, name in names.items()}


def test_a_split_for_some_shards_alone(tmp_path: Path) -> None:
    for name in ("train-0.tar", "trainer-0.tar"):
        shard(tmp_path / name, {"a.mp4": b"1", "a.cls": "x"})
    with pytest.raises(InputError, match=r"gives a split to some videos and none to trainer-0.tar/a.mp4"):
        find(tmp_path)


def test_a_pattern_names_shards(tmp_path: Path) -> None:
    for number in range(4):
        shard(tmp_path / f"x-{number:03d}.tar", {"a.mp4": b"1", "a.cls": "x"})
    source = find(f"webdataset:{tmp_path}/x-{{001..002}}.tar")
    assert (source.name, [video.id for video in source.videos]) == (
        tmp_path.name,
        ["x-001.tar/a.mp4", "x-002.tar/a.mp4"],
    )
    with pytest.raises(InputError, match=r"There is no .*x-004.tar, which .* names"):
        find(f"webdataset:{tmp_path}/x-{{001..004}}.tar")


def test_links_and_devices_are_no_videos(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, kind in (("a.mp4", tarfile.SYMTYPE), ("b.mp4", tarfile.LNKTYPE), ("c.mp4", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        tar.addfile(tarfile.TarInfo("d.cls"))
    with pytest.raises(InputError, match="holds no videos"):
        find(tmp_path)


def test_a_video_of_the_set_is_decoded_where_it_lies(tmp_path: Path) -> None:
    video = make(tmp_path / "v.mp4").read_bytes()
    shard(tmp_path / "set" / "x.tar", {"a.mp4": video, "a.cls": "x", "b.cls": "y", "b.mp4": video[:100]})
    good, bad = find(tmp_path / "set").videos
    assert decode.decode(good.medium, every_frame(40)).frames == 40
    with pytest.raises(decode.DecodeError, match="is no video file"):
        decode.decode(bad.medium, every_frame(40))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "holds no videos"),
        ({"a.txt": "x"}, "holds no videos"),
        ({"a.mp4": b"1"}, r"does not say of which class a.mp4 is"),
        ({"a.mp4": b"1", "a.cls": "  "}, r"does not say of which class a.mp4 is"),
        ({"a.mp4": b"1", "a.json": "{}"}, r"does not say of which class a.mp4 is"),
        ({"a.mp4": b"1", "a.json": "[1]"}, r"does not say of which class a.mp4 is"),
        ({"a.mp4": b"1", "a.json": '{"label": true}'}, r"does not say of which class a.mp4 is"),
        ({"a.mp4": b"1", "a.json": "{"}, r"has a.json, which is no JSON"),
        ({"a.mp4": b"1", "a.json": "[" * 100_000}, r"has a.json, which is no JSON"),
        ({"a.mp4": b"1", "a.cls": b"\xff"}, r"has a.cls, which is no text in UTF-8"),
        ({"a.mp4": b"1", "a.cls": b"x" * 2_000_000}, r"has a.cls of 2000000 bytes, which is too long"),
        ({"a.mp4": b"1", "a.cls": b"9" * 5000}, r"a class of 5000 characters"),
        ({"a.mp4": b"1", "b.mp4": b"1", "a.cls": "x", "b.cls": "x"}, r"does not say of which class a.mp4 is"),
        ({"../a.mp4": b"1", "../a.cls": "x"}, "'../a.mp4', which is not a path inside"),
        ({"/a.mp4": b"1", "/a.cls": "x"}, "'/a.mp4', which is not a path inside"),
    ],
)
def test_shards_that_do_not_hold_together(tmp_path: Path, members: dict[str, bytes | str], message: str) -> None:
    shard(tmp_path / "x.tar", members)
    with pytest.raises(InputError, match=message) as raised:
        find(f"webdataset:{tmp_path}")
    assert "\n" not in str(raised.value)


def test_a_key_twice(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("a.mp4", "a.cls", "a.mp4"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"1"))
    with pytest.raises(InputError, match=r"lists x.tar/a.mp4 twice"):
        find(tmp_path)


def test_compressed_shards_are_refused(tmp_path: Path) -> None:
    data = shard(tmp_path / "x.tar", {"a.mp4": b"1", "a.cls": "x"}).read_bytes()
    (tmp_path / "x.tar").write_bytes(gzip.compress(data))
    with pytest.raises(InputError, match=r"x.tar is compressed, .* Unpack it with `gunzip x.tar`"):
        find(tmp_path)
    (tmp_path / "x.tar").rename(tmp_path / "x.tar.gz")
    with pytest.raises(InputError, match=r"x.tar.gz is compressed"):
        find(tmp_path)


def _header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    block = bytearray(512)
    block[: len(name)] = name.encode()
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136], block[136:148], block[156:157] = size.ljust(12, b"\0"), b"00000000000\0", kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "tail",
    [
        b"noise" * 200,  # no header
        _header("b.mp4", b"77777777777"),  # longer than the file
        _header("b.mp4", b"\xff" * 12),  # of a negative length, which leads back
        _header("L", b"77777777777", b"L"),  # a name of eight gigabytes
        _header("x", b"77777777777", b"x"),  # an extended header of eight gigabytes
        _header("b.mp4", b"00000001000")[:300],  # cut off in a header
    ],
)
def test_damaged_shards(tmp_path: Path, tail: bytes) -> None:
    data = shard(tmp_path / "x.tar", {"a.mp4": b"1", "a.cls": "x"}).read_bytes()
    (tmp_path / "x.tar").write_bytes(data[:2048] + tail)
    with pytest.raises(InputError, match=r"x.tar is (damaged at byte|no readable tar file)"):
        find(tmp_path)


def test_memory_does_not_grow_with_the_bytes_of_a_shard(tmp_path: Path) -> None:
    members = {
        f"{number:05d}.{ending}": data for number in range(500) for ending, data in (("mp4", b"1"), ("cls", "x"))
    }
    shard(tmp_path / "x.tar", members)
    with open(tmp_path / "y.tar", "wb") as file:  # a member of 4 GB, of which the disk holds nothing
        file.write(_header("a.mp4", b"%011o\0" % (1 << 32)))
        file.seek(512 + (1 << 32))
        file.write(_header("a.cls", b"00000000001\0") + b"x".ljust(512, b"\0") + bytes(1024))
    tracemalloc.start()
    try:
        assert len(find(tmp_path).videos) == 501
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def _extended(records: bytes, kind: bytes = b"x") -> bytes:
    return _header("PaxHeader", b"%011o\0" % len(records), kind) + records.ljust(-(-len(records) // 512) * 512, b"\0")


@pytest.mark.parametrize(
    "head",
    [
        _extended(b"9" * 1_000_000),  # Python's own reader would take an hour
        _extended(b"1000011 a=" + b"9" * 1_000_000 + b"\n"),
        _extended(b"2 " * 400_000 + b"="),  # and this one more memory than there is
        _extended(b"".join(b"12 k%04d=v\n\n" % n for n in range(3000))),
        _extended(b"22 GNU.sparse.size=99\n"),
        _header("a.mp4", b"00000001000", b"S"),
    ],
    ids=("digits", "a number", "short records", "wrong lengths", "sparse", "old sparse"),
)
def test_extended_headers_are_read_with_care(tmp_path: Path, head: bytes) -> None:
    data = shard(tmp_path / "x.tar", {"a.mp4": b"1", "a.cls": "x"}).read_bytes()
    (tmp_path / "x.tar").write_bytes(head + data)
    with pytest.raises(InputError, match=r"x.tar is no readable tar file \((an extended header is|it holds a sparse)"):
        find(tmp_path)


def test_a_flood_of_global_headers_is_refused(tmp_path: Path) -> None:
    data = shard(tmp_path / "x.tar", {"a.mp4": b"1", "a.cls": "x"}).read_bytes()
    heads = (_extended(b"".join(b"11 k%05d=\n" % (n * 100 + i) for i in range(100)), b"g") for n in range(20))
    (tmp_path / "x.tar").write_bytes(b"".join(heads) + data)
    with pytest.raises(InputError, match="its global headers have too many records"):
        find(tmp_path)


def test_long_names_by_either_kind_of_header(tmp_path: Path) -> None:
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "x.tar", "w", format=form) as tar:
            for ending, content in (("mp4", b"1"), ("cls", b"x")):
                info = tarfile.TarInfo(f"{'é' * 150}.{ending}")
                info.size = 1
                tar.addfile(info, io.BytesIO(content))
        assert listing(find(tmp_path)) == [(f"x.tar/{'é' * 150}.mp4", "x", None)]


@pytest.mark.parametrize("name", [".", "./", "a/.."])
def test_a_member_without_a_name_is_no_video(tmp_path: Path, name: str) -> None:
    data = shard(tmp_path / "x.tar", {"a.mp4": b"1", "a.cls": "x"}).read_bytes()
    (tmp_path / "x.tar").write_bytes(_header(name, b"00000000000") + data)
    if name == "a/..":
        with pytest.raises(InputError, match="not a path inside"):
            find(tmp_path)
    else:
        assert len(find(tmp_path).videos) == 1
