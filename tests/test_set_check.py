from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from idtd_cli import distilled, documents
from idtd_cli.distilled import SUMS, SetDocument
from idtd_cli.errors import InputError
from idtd_cli.recipe import ClipConfig, EvaluateConfig
from idtd_cli.runlog import Quiet
from idtd_cli.set_check import Findings, check
from idtd_cli.stages import verify
from tests.spoiling import SPOILT

NAMES = ("a", "b")
SHARD = "data/train-000000-of-000001.tar"


@pytest.fixture(scope="module")
def soft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with soft labels and two videos a class."""
    folder = tmp_path_factory.mktemp("soft")
    document = SetDocument(
        parents={}, method="idtd", seed=0, classes=NAMES, ipc=2, videos_a_class=2,
        clip=ClipConfig(frames=4, stored_frames=4, height=16, width=16), frames=4, segments=2,
        mean=(0.5,) * 3, std=(0.2,) * 3, temperature=3.0, evaluate=EvaluateConfig(),
        stored_frames=16, stored_bytes=1, fps=8,
    )  # fmt: skip
    videos = torch.randint(0, 256, (4, 4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    distilled.write(folder, document, videos, torch.tensor([0, 0, 1, 1]), torch.arange(16.0).view(4, 2, 2))
    return folder


@pytest.fixture
def copy(soft: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(soft, tmp_path / "set"))


def look(folder: Path) -> Findings:
    return check(folder, documents.read(SetDocument, folder), Quiet())


def sign(folder: Path) -> None:
    """Make the checksums those of what is there now."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != SUMS
    ]
    (folder / SUMS).write_text("".join(lines))


def rewrite(folder: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """Change, or leave out, members of the shard, and sign what comes of it."""
    [shard] = folder.glob("data/*.tar")
    made = io.BytesIO()
    with tarfile.open(shard) as source, tarfile.open(fileobj=made, mode="w") as target:
        for info in source:
            changed = change(info.name, source.extractfile(info).read())  # type: ignore[union-attr]
            if changed:
                info.name, data = changed
                info.size = len(data)
                target.addfile(info, io.BytesIO(data))
    shard.write_bytes(made.getvalue())
    sign(folder)


def test_a_set_as_it_was_made(exported: Path, soft: Path) -> None:
    for folder, count, words in ((exported, 3, ""), (soft, 4, ", with their soft labels")):
        found, classes = look(folder), len(documents.read(SetDocument, folder).classes)
        assert found.problems == []
        assert found.checked == [
            f"{len(distilled.read_sums(folder))} files match SHA256SUMS, and there are no others",
            f"set.json promises {count // classes} videos a class of {classes}, and 1 shard holds these {count}, in "
            f"order{words}",
            f"{count} videos to look at play to their end",
        ]


def test_all_that_is_wrong_with_the_files_is_said_at_once(copy: Path) -> None:
    (copy / "data/extra.tar").write_bytes(b"x")
    (copy / "link").symlink_to("/etc/passwd")
    [video, *_] = sorted((copy / "videos").rglob("*.mp4"))
    video.unlink()
    (copy / SHARD).write_bytes(b"x")
    assert look(copy).problems == [
        f"{SHARD} does not match its checksum",
        f"{video.relative_to(copy).as_posix()} is missing",
        "data/extra.tar is not listed in SHA256SUMS",
        "link is not listed in SHA256SUMS",
    ]
    with pytest.raises(InputError, match=rf"is not as it was made:\n  - {SHARD} does not"):
        verify.run(str(copy), None, Quiet())


def test_no_checksums(copy: Path) -> None:
    (copy / SUMS).unlink()
    assert look(copy).problems == ["there is no SHA256SUMS"]
    sums = {name: digest for name, digest in distilled.read_sums(copy).items() if name != "set.json"}
    (copy / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    assert "there is no SHA256SUMS" in look(copy).problems


def test_what_other_programs_put_there_is_left_alone(copy: Path) -> None:
    for name in (".git/config", ".cache/huggingface/x"):
        (copy / name).parent.mkdir(parents=True)
        (copy / name).touch()
    (copy / "README.md").touch()
    assert look(copy).problems == ["README.md is not listed in SHA256SUMS"]
    assert verify.run(str(copy), None, Quiet())  # which knows of what is published beside a set


@pytest.mark.parametrize("what", sorted(SPOILT))
def test_shards_with_what_has_no_place_there(copy: Path, what: str) -> None:
    (copy / SHARD).write_bytes(SPOILT[what](copy / SHARD))
    sign(copy)
    assert len(look(copy).problems) == 1


def facts(**changes: object) -> Callable[[str, bytes], tuple[str, bytes]]:
    def change(name: str, data: bytes) -> tuple[str, bytes]:
        return name, json.dumps(json.loads(data) | changes).encode() if name.endswith("json") else data

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda name, data: None if "0001-b-001" in name else (name, data),
        lambda name, data: (name, b"1") if name == "0000-a-000.cls" else (name, data),
        lambda name, data: (name, b"x") if name.endswith("cls") else (name, data),
        lambda name, data: None if name.endswith("cls") else (name, data),
        lambda name, data: (name, b"[" * 9999) if name.endswith("json") else (name, data),
        lambda name, data: (name, data[:-400]) if name.endswith("mp4") else (name, data),
        lambda name, data: (name, b"x" * 99) if name.endswith("mp4") else (name, data),
        facts(label=7),
        facts(logits=None),
        facts(logits="x"),
    ],
)
def test_samples_that_are_not_those_of_the_document(
    copy: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]
) -> None:
    rewrite(copy, change)
    [problem] = look(copy).problems
    assert SHARD in problem


def test_a_video_of_a_huge_frame_is_not_kept_in_memory(copy: Path, tmp_path: Path) -> None:
    from tests.video.making import make

    huge = make(tmp_path / "huge.mp4", size="2048x2048", frames=1).read_bytes()
    rewrite(copy, lambda name, data: (name, huge) if name == "0000-a-000.mp4" else (name, data))
    [problem] = look(copy).problems
    assert SHARD in problem


def test_a_video_to_look_at_that_stops_early(copy: Path) -> None:
    from tests.video.making import make

    make(copy / "videos/a/0000-a-000.mp4", frames=2)
    sign(copy)
    assert look(copy).problems == ["videos/a/0000-a-000.mp4 has 2 frames, not 4"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nowhere", r"There is no folder nowhere here\. 'nowhere' is no dataset on the Hub"),
        ("a/b/c", "'a/b/c' is no dataset on the Hub"),
        ("set.json", "set.json is not a folder"),
        ("data", "data is no finished distilled set"),
    ],
)
def test_what_is_no_set_at_all(what: str, message: str, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported)
    with pytest.raises(InputError, match=message):
        verify.run(what, None, Quiet())
