"""Tars with anything in them: as shards of a source, and as shards of a distilled set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from idtd_cli.distilled import shards
from idtd_cli.recipe import ExportConfig
from idtd_cli.sources import webdataset
from idtd_cli.video.medium import Member
from tests.distilled import making
from tests.fuzz.mutation import VALUES, Mutator
from tests.fuzz.test_documents import check
from tests.fuzz.watching import Slot, attempt, cases
from tests.sources.test_webdataset import shard

_BLOCK = 512
#: Field of a header → where it lies.
_FIELDS = {
    "name": (0, 100), "mode": (100, 108), "uid": (108, 116), "gid": (116, 124), "size": (124, 136), "mtime": (136, 148),
    "checksum": (148, 156), "type": (156, 157), "link": (157, 257), "magic": (257, 265), "owner": (265, 297),
    "device": (329, 345), "prefix": (345, 500), "sparse": (386, 512),
}  # fmt: skip
_NAMES = (
    *(b"a.mp4", b"a.cls", b"a.json", b"../a.mp4", b"/etc/passwd", b"a/../../b.mp4", b".mp4", b"..", b".", b"", b"/"),
    *(b"a\0b.mp4", b"\xff\xfe.mp4", b"a.mp4\n", b"a" * 100, b"a/" * 50, b"C:\\a.mp4", b"a.pyd", b"a.pickle", b" .mp4"),
    *(b"\xc3\xa9.mp4", b"\x1b[2J.mp4", b"./a.mp4", b"a//b.mp4", b"a.mp4/", b"PaxHeader", b"././@LongLink"),
)
_NUMBERS = (
    *(b"0", b"1", b"777", b"7777777", b"77777777777", b"00003641100", b"-1", b"-777", b"9", b"x", b" 12 ", b"\0"),
    *(
        b"\x80" + bytes(7) + b"\x01",
        b"\x80" + bytes(3) + b"\x7f" * 8,
        b"\xff" * 12,
        b"\xff" * 11 + b"\0",
        b"1_0",
        b"0x10",
    ),
    *(b"\x80\0\0\0\0\0\0\0\0\0\x02\0", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\0"),
)
_TYPES = b"00001234567LKxxgSVNMDXA\0z"
_RECORDS = (
    *(
        b"path=../b.mp4",
        b"path=a.mp4",
        b"path=",
        b"path=" + b"a" * 3000,
        b"path=a\0b",
        b"linkpath=/etc/passwd",
        b"size=1",
    ),
    *(b"size=-1", b"size=-512", b"size=99999999999999", b"size=1e9", b"size=x", b"size=" + b"9" * 5000, b"mtime=nan"),
    *(
        b"hdrcharset=BINARY",
        b"hdrcharset=x",
        b"uid=-1",
        b"path=\xff\xfe",
        b"=",
        b"a",
        b"GNU.sparse.map=0,1,2",
        b"uname=\0",
    ),
    *(b"GNU.sparse.size=99", b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.realsize=1" + b"0" * 18),
    *(b"GNU.sparse.name=a.mp4", b"GNU.sparse.offset=0", b"GNU.sparse.numbytes=1", b"GNU.sparse.map=" + b"1," * 3000),
)


class Part(NamedTuple):
    """A header and what follows it."""

    header: bytes
    data: bytes

    def padded(self) -> bytes:
        return self.header + self.data.ljust(-(-len(self.data) // _BLOCK) * _BLOCK, b"\0")


def parts(data: bytes) -> list[Part]:
    """The members of a good tar."""
    found, at = [], 0
    while data[at : at + 1].strip(b"\0"):
        size = int(data[at + 124 : at + 135], 8)
        found.append(Part(data[at : at + _BLOCK], data[at + _BLOCK : at + _BLOCK + size]))
        at += len(found[-1].padded())
    return found


def signed(header: bytes) -> bytes:
    """With the checksum that it should have: most readers look no further without."""
    made = bytearray(header.ljust(_BLOCK, b"\0")[:_BLOCK])
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


def with_field(header: bytes, name: str, value: bytes) -> bytes:
    start, end = _FIELDS[name]
    return header[:start] + value[: end - start].ljust(end - start, b"\0") + header[end:]


def extended(mutator: Mutator) -> Part:
    """A header for the next member, or for all that follow: PAX records, some with wrong lengths; or a long name."""
    draw = mutator.random
    if draw.random() < 0.2:
        kind, data = draw.choice((b"L", b"K")), draw.choice(_NAMES) * draw.choice((1, 1, 3, 200))
    else:
        kind, data = draw.choice((b"x", b"x", b"g")), b""
        for _ in range(draw.choice((1, 1, 2, 5))):
            record = b" " + draw.choice(_RECORDS) + b"\n"
            length = len(record) + len(str(len(record) + 2))
            data += str(length + draw.choice((0, 0, 0, 0, 0, 1, -1, 10**6, -100))).encode() + record
        data = data * draw.choice((1, 1, 1, 1, 100))
    size = draw.choice((b"%011o" % len(data),) * 5 + _NUMBERS)
    header = with_field(with_field(bytes(_BLOCK), "name", b"PaxHeader"), "size", size)
    header = with_field(with_field(header, "type", kind), "magic", b"ustar\x0000")
    return Part(signed(header), data)


def change(mutator: Mutator, made: list[Part]) -> None:
    """One change to the members of a tar."""
    draw = mutator.random
    place = draw.randrange(len(made))
    header, data = made[place]
    match draw.randrange(12):
        case 0:
            del made[place]
        case 1:
            made.insert(place, draw.choice(made))
        case 2:
            made.append(made.pop(place))
        case 3 | 4 | 5:
            made.insert(place, extended(mutator))
        case 6:
            made[place] = Part(signed(with_field(header, "name", draw.choice(_NAMES))), data)
        case 7:
            made[place] = Part(signed(with_field(header, "size", draw.choice(_NUMBERS))), data)
        case 8:
            kind = draw.choice(_TYPES)
            made[place] = Part(signed(with_field(header, "type", bytes([kind]))), data)
        case 9:
            name = draw.choice([*_FIELDS])
            value = draw.choice((*_NUMBERS, *_NAMES, draw.randbytes(40)))
            made[place] = Part(draw.choice((signed, bytes))(with_field(header, name, value)), data)
        case 10:
            if data[:1] == b"{" and data[-1:] == b"}" and draw.random() < 0.7:
                said = mutator.json(data)
            else:
                said = draw.choice((mutator.spoilt(data), str(draw.choice(VALUES)).encode(errors="surrogatepass")))
            made[place] = Part(signed(with_field(header, "size", b"%011o" % len(said))), said)
        case _:
            made[place] = Part(header, data[: draw.randrange(len(data) + 1)])


def mutants(good: bytes, count: int) -> Iterator[bytes]:
    """The good tar, and then changed ones."""
    mutator, members = Mutator(0), parts(good)
    yield good
    for _ in range(count - 1):
        made = list(members)
        for _ in range(mutator.random.choice((1, 1, 2, 4))):
            if made:
                change(mutator, made)
        data = b"".join(part.padded() for part in made)
        data += mutator.random.choice((bytes(1024), bytes(1024), bytes(10_240), b"", bytes(512), b"x" * 600))
        yield mutator.spoilt(data) if mutator.random.random() < 0.1 else data


@pytest.mark.slow
def test_shards_of_a_source(tmp_path: Path) -> None:
    members = {"a.mp4": b"1" * 600, "a.cls": b"run", "b.webm": b"2", "b.json": b'{"label": "jump", "cls": 1}'}
    good = shard(tmp_path / "x.tar", members | {"c.mp4": b"", "c.cls": b"0"}).read_bytes()
    slot = Slot(tmp_path / "x.tar")

    def one(data: bytes) -> None:
        slot.put(data)
        source = webdataset.read(str(slot.path), 1)
        source.digest()
        for video in source.videos:
            assert isinstance(video.medium, Member)
            assert video.medium.tar == slot.path
            with video.medium.open() as file:
                file.read(1000)

    check(attempt(one, mutants(good, cases(4000)), tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("payload", ["tensor", "video"])
def test_shards_of_a_distilled_set(tmp_path: Path, payload: str) -> None:
    """All that is done before a clip is decoded; tensors are read as well."""
    logits_NKC = making.LOGITS_NKC[:2, :, :2]
    document = making.small(tmp_path / "set", logits_NKC, temperature=2.0, export=ExportConfig(payload=payload))
    [name] = shards.names(document)
    good = (tmp_path / "set" / name).read_bytes()
    slot = Slot(tmp_path / "set" / name)

    def one(data: bytes) -> None:
        slot.put(data)
        if payload == "tensor":
            shards.read(tmp_path / "set", document)
        else:
            list(shards.samples(tmp_path / "set", document))

    check(attempt(one, mutants(good, cases(3000)), tmp_path))
