from __future__ import annotations

import io
import stat
import struct
import sys
import time
import zipfile
import zlib
from pathlib import Path

import pytest
import rarfile

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.runlog import Quiet
from idtd_cli.sources import unpack
from tests import tiny

FILES = {"top/run/a.avi": b"a" * 70_000, "top/jump/b c.avi": b"b", "top/empty.txt": b"", "readme.txt": b"other"}
WANTED = {"run/a.avi": b"a" * 70_000, "jump/b c.avi": b"b", "empty.txt": b""}


def make_zip(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return data.getvalue()


def make_rar(files: dict[str, bytes]) -> bytes:
    """A rar of version 4 that stores its members as they are: no free tool writes these."""

    def block(kind: int, flags: int, fields: bytes) -> bytes:
        header = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
        return struct.pack("<H", zlib.crc32(header) & 0xFFFF) + header

    data = b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6))
    for name, content in files.items():
        link = name.endswith("@")
        text = name.removesuffix("@").encode()
        size, crc, mode = len(content), zlib.crc32(content), 0o120777 if link else 0o100644
        fields = struct.pack("<IIBIIBBHI", size, size, 3, crc, 0x58210000, 20, 0x30, len(text), mode)
        data += block(0x74, 0x8000, fields + text) + content
    return data + block(0x7B, 0x4000, b"")


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, more: str = "") -> None:
    """An `unrar` that is the only one on the PATH: it writes the members of a stored rar one after another."""
    lines = [
        f"#!{sys.executable}",
        "import sys, rarfile",
        "if '-?' in sys.argv: sys.exit(0)",
        more,
        "with rarfile.RarFile(sys.argv[-1]) as file:",
        "    for member in file.infolist(): sys.stdout.buffer.write(file.read(member))",
    ]
    folder.mkdir()
    (folder / "unrar").write_text("\n".join(lines))
    (folder / "unrar").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def unpacked(tmp_path: Path, name: str, data: bytes, top: str = "", nested: bool = False) -> dict[str, bytes]:
    archive, folder = tmp_path / name, tmp_path / "out"
    archive.write_bytes(data)
    folder.mkdir(exist_ok=True)
    unpack.unpack(archive, folder, top=top, nested=nested, progress=Quiet())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_a_zip(tmp_path: Path) -> None:
    assert unpacked(tmp_path, "a.zip", make_zip(FILES), "top") == WANTED


def test_all_of_a_zip(tmp_path: Path) -> None:
    assert unpacked(tmp_path, "a.zip", make_zip(FILES)) == FILES


def test_a_rar_through_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path / "bin", monkeypatch)
    assert unpacked(tmp_path, "a.rar", make_rar(FILES), "top") == WANTED


@pytest.mark.parametrize("tool", ["unrar", "unar", "7z", "7zz"])
def test_a_rar_through_each_tool_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    setting = {"unrar": "UNRAR", "unar": "UNAR", "7z": "SEVENZIP", "7zz": "SEVENZIP2"}
    for other, name in setting.items():
        if other != tool:
            monkeypatch.setattr(rarfile, f"{name}_TOOL", "no-such-tool")
    try:
        rarfile.tool_setup(bsdtar=False, force=True)
    except rarfile.RarCannotExec:
        pytest.skip(f"{tool} is not installed")
    try:
        assert unpacked(tmp_path, "a.rar", make_rar(FILES), "top") == WANTED
    except IdtdError as error:
        if tool.startswith("un"):
            raise
        pytest.skip(f"this {tool} reads no rar: {error}")  # Debian's 7-Zip comes without


def test_a_rar_of_rars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path / "bin", monkeypatch)
    classes = {name: make_rar({f"{name}/1.avi": name.encode() * 9, f"{name}/2.avi": b"2"}) for name in ("run", "jump")}
    data = make_rar({f"{name}.rar": inner for name, inner in classes.items()} | {"readme.txt": b"not a rar"})
    assert unpacked(tmp_path, "a.rar", data, nested=True) == {
        "run/1.avi": b"run" * 9,
        "run/2.avi": b"2",
        "jump/1.avi": b"jump" * 9,
        "jump/2.avi": b"2",
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["jump", "run"]


def test_a_rar_without_a_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=r"unpacks a\.rar\. Install unrar, .*; what is in .* is kept"):
        unpacked(tmp_path, "a.rar", make_rar(FILES))
    assert (tmp_path / "a.rar").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("sys.exit(3)", "ends early"),
        ("sys.stdout.buffer.write(b'x')", "wrong checksum"),
    ],
)
def test_a_tool_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, words: str) -> None:
    stand_in(tmp_path / "bin", monkeypatch, more)
    with pytest.raises(IdtdError, match=words):
        unpacked(tmp_path, "a.rar", make_rar(FILES))


def test_a_tool_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "import time; sys.stdout.buffer.write(b'abc'); sys.stdout.buffer.flush(); time.sleep(100)"
    stand_in(tmp_path / "bin", monkeypatch, more)
    began = time.monotonic()
    assert unpacked(tmp_path, "a.rar", make_rar({"a": b"abc"})) == {"a": b"abc"}
    assert time.monotonic() - began < 50


@pytest.mark.parametrize("name", ["../a.avi", "/tmp/a.avi", "top/../../a.avi", ".."])
@pytest.mark.parametrize("kind", ["zip", "rar"])
def test_a_member_that_leads_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    stand_in(tmp_path / "bin", monkeypatch)
    data = make_zip({name: b"x"}) if kind == "zip" else make_rar({name: b"x"})
    with pytest.raises(InputError, match="not a path inside the folder"):
        unpacked(tmp_path, f"deep.{kind}", data)
    assert set(tiny.contents(tmp_path)) - {"bin", "bin/unrar"} == {f"deep.{kind}", "out"}


def test_a_link_in_a_rar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path / "bin", monkeypatch)
    with pytest.raises(IdtdError, match=r"holds a link or a device, top/run"):
        unpacked(tmp_path, "a.rar", make_rar({"top/run@": b"/etc", "top/run/passwd": b"x"}))


def test_a_zip_bomb(tmp_path: Path) -> None:
    with pytest.raises(IdtdError, match=r"claims to hold 104857600 bytes"):
        unpacked(tmp_path, "a.zip", make_zip({f"{i}.avi": bytes(10 << 20) for i in range(10)}))
    assert not list((tmp_path / "out").iterdir())


def test_a_zip_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    data = bytearray(make_zip({"a.avi": bytes(1 << 20)}))
    where = data.rindex(b"PK\x01\x02") + 24
    assert struct.unpack_from("<I", data, where) == (1 << 20,)
    struct.pack_into("<I", data, where, 1000)
    with pytest.raises(IdtdError, match=r"a\.zip cannot be unpacked"):
        unpacked(tmp_path, "a.zip", bytes(data))
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) <= 1000


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.zip", b"no zip at all"),
        ("a.zip", make_zip({"a.avi": b"abcdefgh" * 99}, zipfile.ZIP_STORED).replace(b"abcdefgh", b"abcdefgX", 1)),
        ("a.zip", make_zip(FILES)[:-30]),
        ("a.rar", b"no rar at all"),
        ("a.rar", make_rar(FILES)[:-100]),
        ("a.rar", make_rar(FILES)[:70_080]),  # in the header of the second member
        ("a.rar", make_rar(FILES)[:40] + b"\xff" * 50),
    ],
    ids=range(7),
)
def test_a_damaged_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes) -> None:
    stand_in(tmp_path / "bin", monkeypatch)
    with pytest.raises(IdtdError, match=rf"{name} cannot be unpacked"):
        unpacked(tmp_path, name, data)


def test_a_name_twice(tmp_path: Path) -> None:
    data = make_zip({"a.avi": b"1", "b.avi": b"2"}).replace(b"b.avi", b"a.avi")
    with pytest.raises(IdtdError, match="cannot be unpacked"):
        unpacked(tmp_path, "a.zip", data)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_what_is_no_file_in_a_zip(tmp_path: Path, kind: int) -> None:
    data, member = io.BytesIO(), zipfile.ZipInfo("top/run")
    member.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(data, "w") as file:
        file.writestr(member, "/etc")
    with pytest.raises(IdtdError, match=r"holds a link or a device, top/run"):
        unpacked(tmp_path, "a.zip", data.getvalue())


def test_a_packing_that_takes_memory_of_the_archives_choice(tmp_path: Path) -> None:
    with pytest.raises(IdtdError, match=r"a\.avi is packed in a way that only few zips are\. Remove it"):
        unpacked(tmp_path, "a.zip", make_zip({"a.avi": bytes(99)}, zipfile.ZIP_LZMA))


def test_a_flood_of_small_files_and_of_deep_folders(tmp_path: Path) -> None:
    """A file takes a block of the disk, and so does each folder, however short they are in the archive."""
    with pytest.raises(IdtdError, match=r"claims to hold 81920000 bytes"):
        unpacked(tmp_path, "a.zip", make_zip({f"{i}": b"" for i in range(20_000)}))
    with pytest.raises(IdtdError, match=r"claims to hold \d+ bytes"):
        unpacked(tmp_path, "b.zip", make_zip({f"{i}/" * 900 + "a": b"" for i in range(20)}))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "names",
    [["a" * 300], ["a/" * 3000 + "b"], ["a", "a/b"], ["a/b", "a"], ["."], ["a", "a"]],
    ids=["long", "deep", "a folder that is a file", "a file that is a folder", "no name", "twice"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_no_file_can_have(tmp_path: Path, names: list[str]) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name in names:
            file.writestr(name, b"x")
    with pytest.raises(IdtdError, match=r"a\.zip cannot be unpacked: .{1,400}\. Remove it"):
        unpacked(tmp_path, "a.zip", data.getvalue())


@pytest.mark.parametrize(("field", "value"), [(8, 1), (10, 99), (42, 2**31)], ids=["encrypted", "method", "place"])
def test_a_member_that_says_what_it_is_not(tmp_path: Path, field: int, value: int) -> None:
    data = bytearray(make_zip({"a.avi": b"abc"}))
    place = data.rindex(b"PK\x01\x02") + field
    length = 4 if field == 42 else 2
    data[place : place + length] = value.to_bytes(length, "little")
    with pytest.raises(IdtdError, match=r"a\.zip cannot be unpacked"):
        unpacked(tmp_path, "a.zip", bytes(data))


def test_an_archive_without_the_folder(tmp_path: Path) -> None:
    with pytest.raises(IdtdError, match=r"holds no files in a folder UCF-101\."):
        unpacked(tmp_path, "a.zip", make_zip(FILES), "UCF-101")
