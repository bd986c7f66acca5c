"""What a file of torch.save can ask for without running any code. Floods of such files: tests/fuzz/."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from idtd_cli.errors import InputError
from idtd_cli.stages.evaluate import tensor_file
from tests.fuzz.test_tensor_files import as_key, called, name, nested, number, packed, text

_TENSOR = called(
    "torch._utils _rebuild_tensor_v2",
    pickle.MARK + text("storage") + name("torch ByteStorage") + text("0") + text("cpu") + number(8) + b"tQ",
    *(number(0), number(8) + pickle.TUPLE1, number(1) + pickle.TUPLE1, pickle.NEWFALSE),
    called("collections OrderedDict"),
)


def asking_for(path: Path, value: bytes) -> Path:
    """A file whose pickle is a tensor and this value."""
    pickled = pickle.PROTO + b"\x02" + _TENSOR + value + pickle.TUPLE2 + pickle.STOP
    path.write_bytes(packed([("x/data.pkl", pickled), ("x/data/0", bytes(8)), ("x/version", b"3\n")]))
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        tensor_file.load(path)
    return str(caught.value)


def test_what_this_file_makes_is_a_file_of_tensors(tmp_path: Path) -> None:
    tensor, value = tensor_file.load(asking_for(tmp_path / "x.pt", text("a")))
    assert torch.equal(tensor, torch.zeros(8, dtype=torch.uint8))
    assert value == "a"


@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(2),
        (torch.zeros(2, dtype=torch.bfloat16), torch.arange(2)),
        {"videos": torch.zeros(2).requires_grad_(), "labels": torch.arange(2).to(torch.uint16)},
        OrderedDict(videos=torch.nn.Parameter(torch.zeros(2)), note=("mine", 2.5, None, True, 2**40, [1, {2: "x"}])),
        {"videos": torch.zeros(2), "names": tuple(map(str, range(20_000))), "sizes": [(16, 16)] * 20_000},
    ],
)
def test_what_torch_saves_is_read(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert type(tensor_file.load(tmp_path / "x.pt")) is type(content)


@pytest.mark.parametrize(
    "value",
    [
        called("builtins bytearray", number(2**40)),
        called("torch.storage UntypedStorage", number(2**40)),
        called("torch Tensor", number(2**40)),
        called("torch._utils _rebuild_meta_tensor_no_storage", name("torch uint16"), b")", b")", pickle.NEWFALSE),
        as_key(nested(60, twice=True)),
        as_key(nested(200_000, twice=False)),
        as_key(called("collections OrderedDict", nested(60, twice=True))),
        pickle.EMPTY_DICT + b"(" + b"".join(number(i * (2**61 - 1)) + b"N" for i in range(9, 20)) + pickle.SETITEMS,
        pickle.BINUNICODE + b"\xff\xff\xff\x7f",
        pickle.MARK * 3 + pickle.APPENDS,
    ],
    ids=["array", "storage", "tensor", "meta", "wide key", "deep key", "wide pairs", "like keys", "text", "marks"],
)  # fmt: skip
def test_values_that_take_more_than_they_say_are_refused_unmade(tmp_path: Path, value: bytes) -> None:
    assert "something else than tensors" in refused(asking_for(tmp_path / "x.pt", value))


def test_archives_that_two_readers_see_in_two_ways_are_refused(tmp_path: Path) -> None:
    """torch's reader looks where the end of an archive says, Python's right before it."""
    torch.save(torch.zeros(2), tmp_path / "x.pt")
    good = (tmp_path / "x.pt").read_bytes()
    for place in (len(good) - 42 + 8, len(good) - 98 + 48):  # of the end, and of the list
        made = bytearray(good)
        struct.pack_into("<Q", made, place, 0)
        (tmp_path / "x.pt").write_bytes(made)
        assert "is no file of torch.save" in refused(tmp_path / "x.pt")
    (tmp_path / "x.pt").write_bytes(b"junk" + good)
    assert "is not where it says" in refused(tmp_path / "x.pt")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("way", ["twice", "compressed", "none"])
def test_archives_that_torch_does_not_write_are_refused(tmp_path: Path, way: str) -> None:
    torch.save(torch.zeros(2), tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as old:
        records = [(record, old.read(record)) for record in old.namelist()]
    if way == "twice":
        records.append(("x/data.pkl", records[0][1]))
    if way == "none":
        records = records[1:]
    method = zipfile.ZIP_DEFLATED if way == "compressed" else zipfile.ZIP_STORED
    (tmp_path / "x.pt").write_bytes(packed(records, method))
    words = {"twice": "two records of one name", "compressed": "is compressed", "none": "no pickle of a plausible size"}
    assert words[way] in refused(tmp_path / "x.pt")
