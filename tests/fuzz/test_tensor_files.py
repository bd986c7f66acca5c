"""Files of `torch.save` with anything in them: other opcodes, other records, another archive around them."""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import DecodeConfig
from idtd_cli.runlog import Quiet
from idtd_cli.stages.evaluate import other_sets
from tests.fuzz.mutation import Mutator
from tests.fuzz.test_documents import check
from tests.fuzz.watching import Slot, attempt, cases

_NUMBERS = (0, 1, -1, 2, 255, 256, 4608, 2**31 - 1, -(2**31), 2**40, -(2**40), 2**62, 2**63, -(2**63), 2**64, 2**80)
#: What a pickle can ask for by name: what files of tensors have, what `weights_only` lets through besides, and worse.
_NAMES = (
    *("torch ByteStorage", "torch LongStorage", "torch DoubleStorage", "torch.storage UntypedStorage", "torch Tensor"),
    *("torch ComplexFloatStorage", "torch QUInt8Storage", "torch BoolStorage", "torch float32", "torch device"),
    *("torch Size", "torch.nn.parameter Parameter", "torch._tensor _rebuild_from_type_v2", "collections Counter"),
    *(f"torch._utils _rebuild_{kind}" for kind in ("tensor", "tensor_v2", "tensor_v3", "parameter", "qtensor")),
    *("torch._utils _rebuild_sparse_tensor", "torch._utils _rebuild_meta_tensor_no_storage", "builtins bytearray"),
    *("torch._utils _rebuild_nested_tensor", "torch._utils _rebuild_wrapper_subclass", "builtins set", "os system"),
    *("collections OrderedDict", "builtins eval", "builtins getattr", "torch serialization", "idtd_cli storage"),
    *("torch.serialization _get_layout", "torch._utils _rebuild_device_tensor_from_numpy", "../x y", "", "é x"),
)  # fmt: skip
_BARE = (
    *(pickle.MARK, pickle.TUPLE, pickle.EMPTY_TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.NONE),
    *(pickle.REDUCE, pickle.BUILD, pickle.BINPERSID, pickle.EMPTY_DICT, pickle.EMPTY_LIST, pickle.EMPTY_SET),
    *(pickle.APPEND, pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS, pickle.NEWOBJ, pickle.STOP, pickle.POP),
    *(pickle.DUP, pickle.NEWTRUE, pickle.NEWFALSE, pickle.POP_MARK, pickle.INST + b"os\nsystem\n"),
)  # fmt: skip


def number(value: int) -> bytes:
    """A number, as a pickle has it."""
    if -(2**31) <= value < 2**31:
        return pickle.BININT + struct.pack("<i", value)
    data = pickle.encode_long(value)
    return pickle.LONG1 + bytes([len(data)]) + data


def text(value: str) -> bytes:
    data = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def name(value: str) -> bytes:
    module, _, attribute = value.partition(" ")
    return pickle.GLOBAL + module.encode() + b"\n" + attribute.encode() + b"\n"


def called(function: str, *arguments: bytes) -> bytes:
    return name(function) + pickle.MARK + b"".join(arguments) + pickle.TUPLE + pickle.REDUCE


def nested(depth: int, twice: bool) -> bytes:
    """A tuple of a tuple of a tuple …; with two in each, which are one, 2 ** depth when they are counted."""
    if not twice:
        return pickle.EMPTY_TUPLE + pickle.TUPLE1 * depth
    level = pickle.BINPUT + b"\xfe" + pickle.BINGET + b"\xfe" + pickle.TUPLE2
    return pickle.EMPTY_TUPLE + level * depth


def as_key(key: bytes) -> bytes:
    """A dictionary with this key, and nothing else."""
    return pickle.EMPTY_DICT + key + pickle.NONE + pickle.SETITEM


#: Whole values that take more than they say, if they are made.
_BOMBS = (
    called("builtins bytearray", number(2**31 - 1)),
    called("builtins bytearray", number(2**40)),
    called("torch.storage UntypedStorage", number(2**45)),
    called("torch Tensor", number(2**30), number(2**30)),
    as_key(nested(60, twice=True)),
    as_key(nested(200_000, twice=False)),
    called("collections OrderedDict", pickle.EMPTY_LIST + nested(60, twice=True) + pickle.NONE + pickle.TUPLE2 + b"a"),
    pickle.EMPTY_DICT + pickle.MARK
    + b"".join(number(i * (2**61 - 1)) + pickle.NONE for i in range(1, 40_000)) + pickle.SETITEMS,
    pickle.BINUNICODE + b"\xff\xff\xff\xff",
    pickle.LONG4 + b"\xff\xff\xff\x7f",
    pickle.BINBYTES8 + b"\xff\xff\xff\xff\xff\xff\xff\x0f",
)  # fmt: skip


def operations(data: bytes) -> list[bytes]:
    """The opcodes of a good pickle, each with its argument."""
    places = [place for _, _, place in pickletools.genops(data)]
    return [data[start:end] for start, end in zip(places, [*places[1:], len(data)], strict=True)]


def change(mutator: Mutator, made: list[bytes]) -> None:
    """One change to the opcodes of a pickle."""
    draw = mutator.random
    place = draw.randrange(1, max(2, len(made)))
    numbers = [i for i, operation in enumerate(made) if operation[:1] in (pickle.BININT1, pickle.BININT2)]
    names = [i for i, operation in enumerate(made) if operation[:1] == pickle.GLOBAL]
    match draw.randrange(10):
        case 0 | 1 | 2 if numbers:
            at = draw.choice(numbers)
            now = int.from_bytes(made[at][1:], "little")
            made[at] = number(draw.choice((*_NUMBERS, now + 1, now - 1, now * 2, -now)))
        case 3 | 4 if names:
            made[draw.choice(names)] = name(draw.choice(_NAMES))
        case 5:
            made[place:place] = [draw.choice((*_BARE, name(draw.choice(_NAMES)), number(draw.choice(_NUMBERS))))]
        case 6:
            del made[place : place + draw.choice((1, 1, 2, 5))]
        case 7:
            made.insert(place, draw.choice(made))
        case 8:
            made[place:place] = [draw.choice(_BOMBS), *draw.choice(([], [pickle.POP], [text("a"), pickle.TUPLE2]))]
        case _ if place < len(made):
            made[place] = draw.choice((draw.choice(_BARE), draw.choice(made), mutator.flipped(made[place])))


def packed(records: list[tuple[str, bytes]], way: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of these records."""
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", way) as file:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for called, data in records:
            file.writestr(zipfile.ZipInfo(called), data, way)
    return made.getvalue()


def mutants(good: bytes, count: int) -> Iterator[bytes]:
    """The good file, and then changed ones."""
    mutator = Mutator(0)
    draw = mutator.random
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        records = [(record.filename, file.read(record)) for record in file.infolist()]
    [pickled] = [place for place, (called, _) in enumerate(records) if called.endswith("/data.pkl")]
    made_of = operations(records[pickled][1])
    yield good
    for case in range(count - 1):
        made = list(records)
        if case % 8 == 0:
            yield (mutator.spoilt(good) if draw.random() < 0.5 else tail_spoilt(mutator, good))
            continue
        if case % 8 < 6:
            changed = list(made_of)
            for _ in range(draw.choice((1, 1, 1, 2, 4))):
                change(mutator, changed)
            made[pickled] = (records[pickled][0], b"".join(changed))
        else:
            place = draw.randrange(len(made))
            called, data = made[place]
            match draw.randrange(5):
                case 0:
                    del made[place]
                case 1:
                    made.insert(place, (called, mutator.spoilt(data)))  # a name twice
                case 2:
                    made[place] = (called.replace(*draw.choice((("/", "/../"), ("clips", ""), ("data", "x")))), data)
                case 3:
                    made[place] = (called, draw.choice((b"", b"big", b"little", b"\0", data[:-1], data * 3)))
                case _:
                    made[place] = (called, mutator.spoilt(data))
        yield packed(made, draw.choices((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2), (20, 1, 1))[0])


def tail_spoilt(mutator: Mutator, data: bytes) -> bytes:
    """With other numbers in the list of records at its end, or where that says to be."""
    made = bytearray(data)
    start = data.index(b"PK\x01\x02")
    for _ in range(mutator.random.choice((1, 1, 3))):
        place = mutator.random.randrange(start, len(made) - 8)
        made[place : place + 4] = struct.pack("<I", mutator.random.choice(_NUMBERS) % 2**32)
    return bytes(made)


def content(form: str) -> object:
    clips = torch.randint(0, 256, (6, 4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    if form == "bytes":
        return {"videos": clips, "labels": torch.arange(6) // 2, "note": ("mine", 2.5, None, True)}
    return clips.float() / 255, torch.arange(6, dtype=torch.uint8) // 2


@pytest.mark.slow
@pytest.mark.parametrize("form", ["bytes", "floats"])
def test_tensors_to_train_on(prepared: Path, tmp_path: Path, form: str) -> None:
    source = PreparedSet.open(prepared)
    slot = Slot(tmp_path / "clips.pt")
    torch.save(content(form), slot.path)

    def one(data: bytes) -> None:
        slot.put(data)
        found = other_sets.find(f"import:{slot.path}", source, DecodeConfig(workers=1), "cpu", Quiet())
        assert found.videos_NF3HW.shape[2:] == (3, 16, 16)
        assert sorted(set(found.labels_N.tolist())) == [0, 1, 2]
        found.example_CT3HW()

    check(attempt(one, mutants(slot.path.read_bytes(), cases(1500)), tmp_path))
