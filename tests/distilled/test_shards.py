from __future__ import annotations

import io
import json
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import webdataset
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from idtd_cli.distilled import DistilledSet, shards
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.recipe import ClipConfig, ExportConfig
from idtd_cli.video import decode
from tests.distilled import making
from tests.distilled.making import FRAMES, HEIGHT, IPC, LABELS, LOGITS_NKC, NAMES, SEGMENTS, WIDTH, videos
from tests.video.making import ffmpeg


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets that tests copy, by payload, and one with soft labels."""
    folder = tmp_path_factory.mktemp("written")
    for payload in ("video", "tensor"):
        making.small(folder / payload, export={"payload": payload})
    making.write(folder / "soft", LOGITS_NKC, temperature=3.0, export={"payload": "tensor"})
    return folder


@pytest.fixture
def small(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written / "video", tmp_path / "set"))


def as_clip(payload: bytes, ending: str) -> torch.Tensor:
    if ending == "safetensors":
        return load(payload)["video_T3HW"]
    return torch.from_numpy(decode.read_exact(payload)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(("payload", "ending"), [("video", "mp4"), ("tensor", "safetensors")])
def test_webdataset_reads_every_value(tmp_path: Path, payload: str, ending: str) -> None:
    making.write(tmp_path / "set", LOGITS_NKC, temperature=3.0, export={"payload": payload, "shard_mb": 0.04})
    paths = sorted(str(path) for path in (tmp_path / "set" / "data").iterdir())
    samples = list(webdataset.WebDataset(paths, shardshuffle=False, empty_check=False))
    assert len(samples) == len(LABELS)
    for number, sample in enumerate(samples):
        label = number // IPC
        assert {key for key in sample if not key.startswith("__")} == {"cls", "json", ending}
        assert (sample["__key__"], sample["cls"]) == (making.document().key(number), str(label).encode())
        facts = json.loads(sample["json"])
        assert torch.equal(torch.tensor(facts.pop("logits")), LOGITS_NKC[number])
        assert facts == {"class": NAMES[label], "label": label, "segments": SEGMENTS, "temperature": 3.0}
        assert torch.equal(as_clip(sample[ending], ending), videos()[number])


@pytest.mark.parametrize("payload", ["video", "tensor"])
def test_shards_are_filled_up_to_their_size(tmp_path: Path, payload: str) -> None:
    limit = 0.04
    document = making.write(tmp_path / "set", export={"payload": payload, "shard_mb": limit})
    paths = sorted((tmp_path / "set" / "data").iterdir())
    assert [path.name for path in paths] == [
        f"train-{number:06d}-of-{len(paths):06d}.tar" for number in range(len(paths))
    ]
    assert document.shards == len(paths) > 2
    payloads = [
        data for name, data in making.members(tmp_path / "set").items() if name.endswith((".mp4", ".safetensors"))
    ]
    assert document.payload_bytes == sum(map(len, payloads)) > 0
    sizes = [path.stat().st_size for path in paths]
    assert all(size <= limit * 1e6 for size in sizes)
    one_more = max(sum(1024 + len(data) for data in making.members(tmp_path / "set").values()) / len(LABELS), 3000) * 2
    assert all(size + one_more + 10240 > limit * 1e6 for size in sizes[:-1])
    assert torch.equal(DistilledSet.open(tmp_path / "set").videos_NT3HW, videos())


def test_a_clip_that_is_larger_than_a_shard_has_one_of_its_own(tmp_path: Path) -> None:
    assert making.small(tmp_path / "set", export={"shard_mb": 1e-6}).shards == 2
    assert torch.equal(DistilledSet.open(tmp_path / "set").videos_NT3HW, videos()[:2])


Change = Callable[[dict[str, bytes]], dict[str, bytes]]


def replaced(name: str, data: bytes) -> Change:
    return lambda members: members | {name: data}


def bomb(member: str, size: int) -> bytes:
    """A tar whose only header claims many bytes."""
    info = tarfile.TarInfo(member)
    info.size = size
    return info.tobuf()


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: dict(list(m.items())[:-3]), "does not hold what set.json says"),
        (lambda m: dict(list(m.items())[:-1]), "does not hold what set.json says"),
        (lambda m: dict(list(m.items())[3:]), "does not hold what set.json says"),
        (lambda m: dict(reversed(m.items())), "does not hold what set.json says"),
        (lambda m: {}, "does not hold what set.json says"),
        (lambda m: m | {"0002-c-000.cls": b"2"}, "does not hold what set.json says"),
        (lambda m: {"../up.cls": b"0"} | m, "does not hold what set.json says"),
        (lambda m: {"/etc/passwd": b"0"} | m, "does not hold what set.json says"),
        (lambda m: {("0000-a-000.pkl" if k.endswith("0.cls") else k): v for k, v in m.items()}, "does not hold"),
        (replaced("0000-a-000.cls", b"1"), "damaged at 0000-a-000 .it is of another class"),
        (replaced("0000-a-000.json", b"{"), "damaged at 0000-a-000"),
        (replaced("0000-a-000.json", b"[" * 5000), "damaged at 0000-a-000"),
        (replaced("0000-a-000.json", b"[]"), "damaged at 0000-a-000 .it is of another class"),
        (replaced("0001-b-000.json", b'{"label": 1, "logits": [[1, 2]]}'), "says otherwise whether there are soft"),
        (replaced("0001-b-000.mp4", b"no video"), "damaged at 0001-b-000"),
        (replaced("0001-b-000.mp4", pickle.dumps(_Evil())), "damaged at 0001-b-000"),
        (replaced("0001-b-000.json", b" " * 1_000_000), "has 0001-b-000.json of 1000000 bytes, more than a clip can"),
    ],
)
def test_shards_that_do_not_fit_the_document_are_refused(small: Path, change: Change, says: str) -> None:
    making.rewrite(small, change)
    with pytest.raises(InputError, match=says):
        DistilledSet.open(small)


@pytest.mark.parametrize(
    "changes",
    [{"videos_a_class": 2}, {"classes": ["a"]}, {"classes": ["a", "c"]}, {"export": {"payload": "tensor"}}],
)
def test_a_document_that_does_not_fit_the_shards_is_refused(small: Path, changes: dict[str, object]) -> None:
    making.edit(small, **changes)
    with pytest.raises(InputError, match=r"tar does not hold what set\.json says"):
        DistilledSet.open(small)


@pytest.mark.parametrize("payload", ["video", "tensor"])
@pytest.mark.parametrize("frames", [FRAMES - 1, FRAMES + 1])
def test_a_clip_of_another_size_is_refused(written: Path, tmp_path: Path, payload: str, frames: int) -> None:
    folder = shutil.copytree(written / payload, tmp_path / "set")
    making.edit(folder, frames=frames)
    with pytest.raises(InputError, match=r"damaged at 0000-a-000 .*(no clip of the size|needs more than)"):
        DistilledSet.open(folder)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"video_T3HW": videos()[0].float()},
        {"video_T3HW": videos()[0].transpose(0, 1).contiguous()},
        {"clip": videos()[0]},
    ],
)
def test_tensors_that_are_no_clip_are_refused(written: Path, tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    folder = shutil.copytree(written / "tensor", tmp_path / "set")
    making.rewrite(folder, replaced("0001-b-000.safetensors", save(tensors)))
    with pytest.raises(InputError, match=r"damaged at 0001-b-000 .it is no clip of the size"):
        DistilledSet.open(folder)


@pytest.mark.parametrize(
    ("temperature", "logits"),
    [
        (None, [[1.0] * 10] * 2),
        (3.0, None),
        (3.0, [[1.0] * 10]),
        (3.0, [[1.0] * 9] * 2),
        (3.0, [[1.0] * 10, [1.0] * 9]),
        (3.0, [[float("inf")] * 10] * 2),
        (3.0, [[float("nan")] * 10] * 2),
        (3.0, "logits"),
        (3.0, [[{}] * 10] * 2),
    ],
)
def test_soft_labels_that_do_not_fit_the_document_are_refused(
    written: Path, tmp_path: Path, temperature: float | None, logits: object
) -> None:
    folder = shutil.copytree(written / "soft", tmp_path / "set")
    making.edit(folder, temperature=temperature)
    name = making.document().key(3) + ".json"

    def change(members: dict[str, bytes]) -> dict[str, bytes]:
        facts = json.loads(members[name])
        del facts["logits"]
        return members | {name: json.dumps(facts | ({} if logits is None else {"logits": logits})).encode()}

    making.rewrite(folder, change)
    with pytest.raises(InputError, match=r"soft labels|damaged at"):
        DistilledSet.open(folder)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_what_is_no_plain_file_is_not_taken(small: Path, kind: bytes) -> None:
    (shard,) = (small / "data").iterdir()
    content = making.members(small)
    with tarfile.open(shard, "w") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            if name == "0000-a-000.json":
                info.type, info.linkname = kind, "/etc/passwd"
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    making.sign(small)
    with pytest.raises(InputError, match=r"holds '0000-a-000\.json', which is no plain file"):
        DistilledSet.open(small)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no tar",
        bomb("0000-a-000.cls", 1 << 40),
        bomb("0000-a-000.json", 100),
        bomb("0000-a-000.cls", 1) + b"0" * 512 + b"rubbish" * 200,
    ],
)
def test_a_file_that_is_no_whole_tar_is_refused(small: Path, data: bytes) -> None:
    (shard,) = (small / "data").iterdir()
    shard.write_bytes(data)
    making.sign(small)
    with pytest.raises(InputError, match=r"train-000000-of-000001\.tar"):
        DistilledSet.open(small)


def test_more_clips_than_the_shards_can_hold_get_no_memory(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    making.edit(small, classes=["a", *map(str, range(1_000_000))])
    monkeypatch.setattr(torch, "empty", lambda *_, **__: pytest.fail("memory was asked for"))
    with pytest.raises(InputError, match=r"does not hold what set\.json says"):
        DistilledSet.open(small)


def test_clips_that_do_not_fit_into_memory_are_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "empty", none_left)
    with pytest.raises(InputError, match="need 0 GB of memory, and there is less"):
        DistilledSet.open(small)


@given(data=st.binary(max_size=3000), at=st.integers(0, 8000))
def test_no_bytes_lead_to_anything_but_a_clear_refusal(written: Path, data: bytes, at: int) -> None:
    folder, shard = written / "fuzzed", "data/train-000000-of-000001.tar"
    if not folder.exists():
        shutil.copytree(written / "video", folder)
    whole = (written / "video" / shard).read_bytes()
    (folder / shard).write_bytes(whole[:at] + data + whole[at + len(data) :])
    try:
        videos_NT3HW, _ = shards.read(folder, making.of(folder))
    except InputError:
        return
    assert videos_NT3HW.shape == (2, FRAMES, 3, HEIGHT, WIDTH)


def test_shards_that_set_json_does_not_know_are_refused(small: Path) -> None:
    """Other readers take all that lie there."""
    (shard,) = (small / "data").iterdir()
    (small / "data" / "train-000001-of-000001.tar").write_bytes(shard.read_bytes())
    with pytest.raises(InputError, match=r"holds 2 shards, and not the 1 that set\.json says"):
        DistilledSet.open(small)


def test_a_document_that_claims_a_billion_shards_takes_no_time(small: Path) -> None:
    making.edit(small, shards=10**9)
    with pytest.raises(InputError, match=r"and not the 1000000000 that set\.json says"):
        DistilledSet.open(small)


def test_a_member_that_claims_more_than_there_is_takes_no_memory(small: Path) -> None:
    making.edit(small, frames=4000, clip=ClipConfig(height=4000, width=4000).model_dump())
    (shard,) = (small / "data").iterdir()
    with tarfile.open(shard, "w") as tar:
        for name, data in (("0000-a-000.cls", b"0"), ("0000-a-000.json", b"{}")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("0000-a-000.mp4")
        info.size = 7 << 30
        tar.fileobj.write(info.tobuf())
    making.sign(small)
    with pytest.raises(InputError, match=r"is cut off at 0000-a-000\.mp4|does not hold|no readable tar"):
        DistilledSet.open(small)


def test_headers_within_headers_are_no_reason_to_break_down(small: Path) -> None:
    (shard,) = (small / "data").iterdir()
    link = tarfile.TarInfo("././@LongLink")
    link.type, link.size = tarfile.GNUTYPE_LONGNAME, 2
    shard.write_bytes((link.tobuf() + b"a\0".ljust(512, b"\0")) * 3000)
    making.sign(small)
    with pytest.raises(InputError):
        DistilledSet.open(small)


def test_numbers_of_a_kind_that_torch_does_not_have_are_refused(tmp_path: Path) -> None:
    making.small(tmp_path / "set", export=ExportConfig(payload="tensor"))
    tensor = {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}
    header = json.dumps({"video_T3HW": tensor}).encode()
    data = len(header).to_bytes(8, "little") + header + b"x"
    making.rewrite(tmp_path / "set", lambda m: m | {"0000-a-000.safetensors": data})
    with pytest.raises(InputError, match="damaged at 0000-a-000"):
        DistilledSet.open(tmp_path / "set")


def test_a_soft_label_that_no_float_can_hold_is_refused(tmp_path: Path) -> None:
    making.small(tmp_path / "set", making.LOGITS_NKC[:2, :, :2], temperature=2.0)
    logits = b'{"label": 0, "logits": [[1' + b"0" * 400 + b", 1], [1, 1]]}"
    making.rewrite(tmp_path / "set", lambda m: m | {"0000-a-000.json": logits})
    with pytest.raises(InputError, match="damaged at 0000-a-000"):
        DistilledSet.open(tmp_path / "set")


def test_a_frame_of_gigabytes_in_a_small_file_takes_no_memory(tmp_path: Path) -> None:
    """Of a set of tiny clips: refused before the decoder makes room for the first of its frames."""
    making.small(tmp_path / "set")
    source = ["-f", "lavfi", "-i", "color=black:s=6000x6000:d=0.05", "-frames:v", "1"]
    ffmpeg(*source, "-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0", str(tmp_path / "large.mp4"))
    data = (tmp_path / "large.mp4").read_bytes()[:100_000]
    with pytest.raises(IdtdError, match="has frames of more than 1048"):
        decode.read_exact((tmp_path / "large.mp4").read_bytes(), max_bytes=1000)
    making.rewrite(tmp_path / "set", lambda m: m | {"0000-a-000.mp4": data})
    with pytest.raises(InputError, match="damaged at 0000-a-000"):
        DistilledSet.open(tmp_path / "set")
