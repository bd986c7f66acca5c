"""zip and rar archives with anything in them: names, kinds, sizes, places, methods, and what a tool makes of a rar."""

from __future__ import annotations

import io
import shutil
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import rarfile

from idtd_cli.runlog import Quiet
from idtd_cli.sources import unpack
from tests.fuzz.mutation import Mutator
from tests.fuzz.test_documents import check
from tests.fuzz.watching import Slot, attempt, cases

_FILES = {"top/run/a.avi": b"a" * 3000, "top/jump/b c.avi": b"b", "top/é.txt": b"", "readme.txt": b"other"}
_NAMES = (
    *("../a.avi", "/etc/passwd", "top/../../b", "..", ".", "", "/", "top", "top/", "top/run", "top/run/", "top//a"),
    *("top/run/a.avi", "top/run/a.avi/b", "top/./a", "C:\\a", "\\\\x\\y", "a\nb", "top/a\rb", "top/\x1b[2J"),
    *("top/" + "a" * 300, "top/" + "a/" * 2000 + "b", "top/" + "a" * 5000, "~", "-rf", "top/-x", ".nested/a"),
    *("top/\u202e", "top/a.zip", ".nested/run.zip"),
    *("top/\u00e9", "top/e\u0301", "CON", "top/a:b", "top/*", "top/$(id)", "top/ ", "top/a\0b"),
)  # fmt: skip
_WORDS = (0, 1, 2, 7, 8, 99, 255, 2**16 - 1, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
#: Bytes that may lie in a folder after one case: what the members say, where that is plausible.
_MOST = 4 * (1 << 20) + (64 << 20)

#: Field of a member in the list at a zip's end, or before its data → where it lies, in bytes.
_LISTED = {
    "made by": (4, 2), "version": (6, 2), "flags": (8, 2), "method": (10, 2), "time": (12, 4), "crc": (16, 4),
    "packed": (20, 4), "size": (24, 4), "name": (28, 2), "extra": (30, 2), "comment": (32, 2), "disk": (34, 2),
    "internal": (36, 2), "external": (38, 4), "place": (42, 4),
}  # fmt: skip
_BEFORE = {"flags": (6, 2), "method": (8, 2), "crc": (14, 4), "packed": (18, 4), "size": (22, 4), "name": (26, 2)}
_END = {"disk": (4, 2), "entries": (8, 2), "all": (10, 2), "size": (12, 4), "place": (16, 4), "comment": (20, 2)}
_EXTRA = (
    b"\x01\x00\x10\x00" + struct.pack("<QQ", 2**62, 1),  # zip64
    b"\x01\x00\x08\x00" + struct.pack("<Q", 2**63),
    b"\x01\x00\x18\x00" + struct.pack("<QQQ", 0, 0, 2**40),
    b"\x01\x00\x02\x00ab",
    b"\x01\x00\xff\xff",
    b"up\x0a\x00" + b"\x01" + bytes(4) + b"../up",  # a name in Unicode
    b"x" * 3,
)
_MODES = (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFDIR, stat.S_IFREG, 0o4000)


def made(mutator: Mutator) -> bytes:
    """A zip of odd members, each written as it should be."""
    draw, data = mutator.random, io.BytesIO()
    data.write(draw.choice((b"",) * 9 + (b"junk" * 9,)))
    with warnings.catch_warnings(), zipfile.ZipFile(data, "a") as file:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in draw.sample([*_FILES.items()], draw.choice((1, 2, 4))):
            member = zipfile.ZipInfo(name)
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            match draw.randrange(7):
                case 0 | 1:
                    member.filename = draw.choice(_NAMES)
                case 2:
                    member.external_attr = (draw.choice(_MODES) | draw.choice((0o644, 0o777, 0))) << 16
                    content = draw.choice((b"/etc/passwd", b"..", content))
                case 3:
                    member.extra = draw.choice(_EXTRA)
                case 4:
                    content = bytes(draw.choice((10, 1 << 16, 1 << 20)))  # small when packed
            way = draw.choices(
                (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA), (5, 9, 1, 1)
            )[0]
            try:
                file.writestr(member, content, way)
            except (ValueError, LookupError, struct.error):  # not even Python's own writer takes it
                file.writestr(name, content)
            for _ in range(draw.choice((0,) * 9 + (50,))):
                file.writestr(f"{member.filename}x", b"")
        file.comment = draw.choice((b"",) * 9 + (b"PK\x05\x06" + bytes(18),))
    return data.getvalue()


def patched(mutator: Mutator, data: bytes) -> bytes:
    """With other numbers in the fields of a member, or at the end; some in both places that have them."""
    draw, changed = mutator.random, bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        signature, fields = draw.choice(((b"PK\x01\x02", _LISTED), (b"PK\x03\x04", _BEFORE), (b"PK\x05\x06", _END)))
        places = [place for place in range(len(data) - 3) if data[place : place + 4] == signature]
        if not places:
            continue
        field = draw.choice([*fields])
        offset, length = fields[field]
        at = draw.choice(places) + offset
        now = int.from_bytes(data[at : at + length], "little")
        value = draw.choice((*_WORDS, now + 1, now - 1, now * 2, 1, 8, 9, 12, 14, 93, 98)) % 2 ** (8 * length)
        changed[at : at + length] = value.to_bytes(length, "little")
        if field in _BEFORE and draw.random() < 0.5:
            for signature, fields in ((b"PK\x01\x02", _LISTED), (b"PK\x03\x04", _BEFORE)):
                at = bytes(changed).find(signature) + fields[field][0]
                changed[at : at + length] = value.to_bytes(length, "little")
    return bytes(changed[: len(data)])


def zips(count: int) -> Iterator[bytes]:
    mutator = Mutator(0)
    for case in range(count):
        data = made(mutator)
        match case % 4:
            case 0:
                yield data
            case 1 | 2:
                yield patched(mutator, data)
            case _:
                yield mutator.spoilt(data)


def unpacked(archive: Slot, folder: Path, top: str, nested: bool) -> None:
    """Unpack it into an empty folder, and look at what lies there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        unpack.unpack(archive.path, folder, top=top, nested=nested, progress=Quiet())
    finally:
        there = [path.lstat() for path in folder.rglob("*")]
        assert all(stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) for found in there)
        assert sum(max(found.st_size, 4096) for found in there) < _MOST


@pytest.mark.slow
@pytest.mark.parametrize("top", ["", "top"])
def test_zips(tmp_path: Path, top: str) -> None:
    slot = Slot(tmp_path / "a.zip")
    before = {*tmp_path.iterdir()}

    def one(data: bytes) -> None:
        slot.put(data)
        unpacked(slot, tmp_path / "out", top, nested=False)

    check(attempt(one, zips(cases(500)), tmp_path))
    assert {*tmp_path.iterdir()} == before | {tmp_path / "out"}


@pytest.mark.slow
def test_zips_of_zips(tmp_path: Path) -> None:
    slot, good = Slot(tmp_path / "a.zip"), io.BytesIO()
    with zipfile.ZipFile(good, "w") as file:
        file.writestr("jump/1.avi", b"1")

    def one(data: bytes) -> None:
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as file:
            for name, content in {"run.zip": data, "x/jump.zip": good.getvalue(), "a.txt": b"no zip"}.items():
                file.writestr(name, content)
        slot.put(whole.getvalue())
        unpacked(slot, tmp_path / "out", "", nested=True)

    check(attempt(one, zips(cases(200)), tmp_path))


def block4(kind: int, flags: int, fields: bytes, content: bytes = b"") -> bytes:
    """A block of a rar of version 4, with the checksum that it should have."""
    header = struct.pack("<BHH", kind & 255, flags & 0xFFFF, (7 + len(fields)) & 0xFFFF) + fields
    return struct.pack("<H", zlib.crc32(header) & 0xFFFF) + header + content


def vint(value: int) -> bytes:
    data = b""
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def block5(kind: int, flags: int, fields: bytes, content: bytes = b"", extra: bytes = b"") -> bytes:
    """The same of version 5."""
    flags |= (1 if extra else 0) | (2 if content else 0)
    sizes = (vint(len(extra)) if extra else b"") + (vint(len(content)) if content else b"")
    header = vint(kind) + vint(flags) + sizes + fields + extra
    header = vint(len(header)) + header
    return struct.pack("<I", zlib.crc32(header)) + header + content


def rar4(mutator: Mutator) -> bytes:
    draw = mutator.random
    odd = lambda usual, *others: usual if draw.random() < 0.97 else draw.choice(others)  # noqa: E731
    data = b"Rar!\x1a\x07\x00" + block4(0x73, odd(0, 1, 2, 8, 16, 128, 256, 0xFFFF), bytes(odd(6, 0, 5, 60)))
    for name, content in draw.sample([*_FILES.items()], draw.choice((1, 2, 4))):
        text = odd(name, *_NAMES).encode()
        size, packed = odd(len(content), *_WORDS), odd(len(content), *_WORDS)
        mode = odd(0o100644, *(mode | 0o644 for mode in _MODES))
        crc, system = odd(zlib.crc32(content), *_WORDS), odd(3, 0, 2, 5, 255)
        length = odd(len(text), 0, 1, 2**16 - 1)
        fields = struct.pack("<IIBIIBBHI", packed, size, system, crc, 0x58210000, 20, odd(0x30, 0x35, 0, 255), length, mode)  # fmt: skip # noqa: E501
        flags = odd(0x8000, 0x8001, 0x8002, 0x8004, 0x8008, 0x8010, 0x8100, 0x8200, 0x8400, 0x9000, 0xFFFF, 0)
        data += block4(odd(0x74, 0x7A, 0x75, 0x78, 0x7B, 0), flags, fields + text, content)
    return data + odd(block4(0x7B, 0x4000, b""), b"", block4(0x7B, 0x4001, b""), block4(0x7B, 0xFFFF, bytes(9)))


def rar5(mutator: Mutator) -> bytes:
    draw = mutator.random
    odd = lambda usual, *others: usual if draw.random() < 0.97 else draw.choice(others)  # noqa: E731
    data = b"Rar!\x1a\x07\x01\x00" + odd(b"", block5(4, 0, bytes(22)))
    data += block5(1, 0, vint(odd(0, 1, 2, 3, 4, 255)))
    for name, content in draw.sample([*_FILES.items()], draw.choice((1, 2, 4))):
        text = odd(name, *_NAMES).encode()
        link = vint(odd(1, 2, 3, 4, 5, 9)) + vint(0) + vint(11) + b"/etc/passwd"
        extra = odd(b"", vint(len(link) + 1) + vint(5) + link, vint(40) + vint(1) + bytes(39), b"\xff" * 12)
        fields = vint(odd(4, 0, 1, 2, 5, 12)) + vint(odd(len(content), *_WORDS, 2**62)) + vint(odd(0o100644, 0o120777))
        fields += struct.pack("<I", odd(zlib.crc32(content), *_WORDS)) + vint(odd(0, 128, 2**20)) + vint(odd(1, 0, 9))
        data += block5(odd(2, 3, 5, 9), odd(0, 4, 8, 16, 24), fields + vint(odd(len(text), 0, 2**40)) + text, content, extra)  # fmt: skip # noqa: E501
    return data + odd(block5(5, 0, vint(0)), b"", block5(5, 0, vint(1)))


@pytest.mark.slow
@pytest.mark.parametrize("write", [rar4, rar5])
def test_rars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Mutator], bytes]) -> None:
    """In place of a tool, `cat`: what it says is whatever was drawn."""
    slot, said = Slot(tmp_path / "a.rar"), Slot(tmp_path / "said")
    tool = SimpleNamespace(open_cmdline=lambda *_: [shutil.which("cat"), str(said.path)])
    monkeypatch.setattr(rarfile, "tool_setup", lambda **_: tool)
    mutator = Mutator(0)
    draw = mutator.random
    whole = b"".join(_FILES.values())

    def rars(count: int) -> Iterator[bytes]:
        for case in range(count):
            data = write(mutator)
            yield data if case % 3 else mutator.spoilt(data)

    def one(data: bytes) -> None:
        slot.put(data)
        with_members = [content for content in _FILES.values() if content and content in data]
        with_members.sort(key=data.index)
        said.put(draw.choice((b"".join(with_members),) * 5 + (whole, b"", b"x" * 100_000)))
        unpacked(slot, tmp_path / "out", draw.choice(("", "top")), nested=False)

    check(attempt(one, rars(cases(400)), tmp_path, runs="cat"))
