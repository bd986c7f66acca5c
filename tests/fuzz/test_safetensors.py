"""safetensors files with any header: lengths, kinds, shapes and places that are not those of the data behind it."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from idtd_cli import storage
from idtd_cli.distilled import shards
from idtd_cli.errors import InputError
from idtd_cli.experts_folder import ExpertsFolder
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import ExportConfig
from idtd_cli.run_folder import RunFolder
from tests.distilled import making
from tests.fuzz.mutation import Mutator
from tests.fuzz.test_documents import check
from tests.fuzz.watching import Slot, attempt, cases

_KINDS = (
    *(
        "BOOL",
        "U8",
        "I8",
        "I16",
        "U16",
        "F16",
        "BF16",
        "I32",
        "U32",
        "F32",
        "F64",
        "I64",
        "U64",
        "C64",
        "F4",
        "F6_E2M3",
    ),
    *("F6_E3M2", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "x"),
)
_SHAPES: tuple[Any, ...] = (
    [],
    [0],
    [-1],
    [1],
    [2**63],
    [2**40, 2**40],
    [0, 2**63],
    [1] * 100,
    [1.5],
    "x",
    None,
    [4, 4, 4],
)
_LENGTHS = (0, 1, 7, 8, 2**31, 2**40, 2**63 - 1, 2**63, 2**64 - 1)


def mutants(good: bytes, count: int) -> Iterator[bytes]:
    """The good file, and then ones with another header, or other bytes."""
    mutator = Mutator(0)
    draw = mutator.random
    (length,) = struct.unpack("<Q", good[:8])
    header, data = good[8 : 8 + length], good[8 + length :]
    yield good
    for number in range(count - 1):
        match number % 5:
            case 0:
                yield mutator.spoilt(good)
            case 1:
                made = mutator.json(header)
                yield struct.pack("<Q", len(made)) + made + data
            case 2:
                near = length + draw.choice((-8, -1, 1, 8, len(data)))
                yield struct.pack("<Q", draw.choice((*_LENGTHS, near))) + header + data
            case _:
                content = json.loads(header)
                for _ in range(draw.choice((1, 1, 2, 3))):
                    _change(mutator, content, len(data))
                made = json.dumps(content).encode()
                yield struct.pack("<Q", len(made)) + made + draw.choice((data, data, data[:-1], data + b"x", b""))


def _change(mutator: Mutator, content: dict[str, Any], size: int) -> None:
    draw = mutator.random
    name = draw.choice([*content])
    tensor = content[name]
    match draw.randrange(8):
        case 0 | 1 if "dtype" in tensor:
            tensor["dtype"] = draw.choice(_KINDS)
        case 2 if "dtype" in tensor:
            tensor["shape"] = draw.choice((*_SHAPES, [size], [1, size]))
        case 3 if "dtype" in tensor:
            ends = (0, 1, size, size + 1, size // 2, 2**63, 2**64 - 1, -1, *tensor["data_offsets"])
            tensor["data_offsets"] = [draw.choice(ends), draw.choice(ends)]
        case 4:
            content[draw.choice(("other", "", "__metadata__", "videos_NT3HW", "a\0b"))] = json.loads(json.dumps(tensor))
        case 5:
            content["__metadata__"] = draw.choice(
                (
                    {"step": "1e9"},
                    {"step": "9" * 5000},
                    {"best": "[]"},
                    {"best": '{"step": "x", "score": {}}'},
                    {"step": 1},
                    [],
                )
            )
        case 6 if len(content) > 1:
            del content[name]
        case _:
            # A tensor of the same bytes in another form.
            if "dtype" in tensor:
                begin, end = tensor["data_offsets"]
                tensor |= {"dtype": "U8", "shape": [end - begin]}


def run(read: Callable[[], object], path: Path, good: bytes, folder: Path) -> None:
    slot = Slot(path)

    def one(data: bytes) -> None:
        slot.put(data)
        read()

    slot.put(good)
    check(attempt(one, mutants(good, cases(1500)), folder))


@pytest.mark.slow
@pytest.mark.parametrize("which", ["latest", "best"])
def test_checkpoints(finished: Path, tmp_path: Path, which: str) -> None:
    folder = RunFolder(tmp_path, RunFolder.open(finished).document)
    latest = RunFolder.open(finished).latest_checkpoint()
    assert latest
    if which == "latest":
        folder.save_checkpoint(*latest)
    else:
        folder.save_best(1, 0.5, latest[1])
    [path] = tmp_path.glob("checkpoints/*")

    def read() -> None:
        found = folder.latest_checkpoint() if which == "latest" else folder.best_checkpoint()
        if found is None:
            raise InputError("it is passed over")

    run(read, path, path.read_bytes(), tmp_path)


@pytest.mark.slow
def test_results_of_a_run(finished: Path, tmp_path: Path) -> None:
    """Signed again each time, as whoever makes such a file would."""
    document = RunFolder.open(finished).document
    path = tmp_path / "synthetic.safetensors"

    def read() -> None:
        RunFolder(tmp_path, document.model_copy(update={"result_sha256": storage.sha256_file(path)})).result()

    run(read, path, (finished / path.name).read_bytes(), tmp_path)


@pytest.mark.slow
def test_experts(experts: Path, tmp_path: Path) -> None:
    document = ExpertsFolder.open(experts).document
    path = tmp_path / "expert-0000.safetensors"
    network = {name: stacked[0] for name, stacked in load_file(experts / path.name).items()}

    def read() -> None:
        signed = document.model_copy(update={"trajectories": (storage.sha256_file(path),)})
        ExpertsFolder(tmp_path, signed).snapshots(0, network)

    run(read, path, (experts / path.name).read_bytes(), tmp_path)


@pytest.mark.slow
def test_shards_of_a_prepared_set(prepared: Path, tmp_path: Path) -> None:
    found = PreparedSet.open(prepared)
    [path] = (prepared / "shards").iterdir()
    copy = PreparedSet(tmp_path, found.document, found.index)
    run(lambda: copy.read(found.index[:2]), tmp_path / "shards" / path.name, path.read_bytes(), tmp_path)


@pytest.mark.slow
def test_clips_of_a_distilled_set(tmp_path: Path) -> None:
    facts = {"classes": ("a",), "ipc": 1, "videos_a_class": 1, "export": ExportConfig(payload="tensor")}
    document = making.document(**facts)
    (tmp_path / "data").mkdir()
    document = shards.write(tmp_path, document, making.videos()[:1], None, lambda: None)
    [(path, members)] = shards.samples(tmp_path, document)
    key, slot = document.key(0), Slot(path)

    def one(data: bytes) -> None:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            for ending, content in (members | {"safetensors": data}).items():
                info = tarfile.TarInfo(f"{key}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        slot.put(made.getvalue())
        shards.read(tmp_path, document)

    check(attempt(one, mutants(members["safetensors"], cases(1500)), tmp_path))
