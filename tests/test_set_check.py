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
from idtd_cli.set_check import Findings, check, shard_problems
from idtd_cli.stages import verify
from tests.spoiling import SPOILT

NAMES = ("a", "b")


@pytest.fixture(scope="module")
def soft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with soft labels and two videos a class."""
    folder = tmp_path_factory.mktemp("soft")
    document = SetDocument(
        parents={}, method="idtd", seed=0, classes=NAMES, ipc=2, videos_a_class=2,
        clip=ClipConfig(frames=4, stored_frames=4, height=16, width=16), segments=2, mean=(0.5,) * 3, std=(0.2,) * 3,
        temperature=3.0, evaluate=EvaluateConfig(), stored_frames=16, stored_bytes=1, fps=8,
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
    for folder, count, words in ((exported, 3, ""), (soft, 4, " with their soft labels")):
        found, classes = look(folder), len(documents.read(SetDocument, folder).classes)
        assert found.problems == []
        assert found.checked == [
            f"{len(distilled.read_sums(folder))} files match SHA256SUMS, and there are no others",
            f"set.json promises {count // classes} videos a class of {classes}, and clips.safetensors holds these "
            f"{count}{words}",
            f"{count} clips in 1 shard decode to the same pixels and labels; {count} videos to look at play to their "
            "end",
        ]


def test_all_that_is_wrong_with_the_files_is_said_at_once(copy: Path) -> None:
    (copy / "data/extra.tar").write_bytes(b"x")
    (copy / "link").symlink_to("/etc/passwd")
    [video, *_] = sorted((copy / "videos").iterdir())
    video.unlink()
    (copy / distilled.CLIPS).write_bytes(b"x")
    assert look(copy).problems == [
        "clips.safetensors does not match its checksum",
        f"videos/{video.name} is missing",
        "data/extra.tar is not listed in SHA256SUMS",
        "link is not listed in SHA256SUMS",
    ]
    with pytest.raises(InputError, match=r"is not as it was made:\n  - clips.safetensors does not"):
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
def test_shards_with_what_has_no_place_there(exported: Path, tmp_path: Path, what: str) -> None:
    [shard] = exported.glob("data/*.tar")
    make, words = SPOILT[what]
    (tmp_path / "x.tar").write_bytes(make(shard))
    assert words in next(shard_problems(tmp_path / "x.tar", 3))


def test_a_shard_as_it_was_made_has_no_problems(exported: Path) -> None:
    [shard] = exported.glob("data/*.tar")
    assert list(shard_problems(shard, 3)) == []


def facts(**changes: object) -> Callable[[str, bytes], tuple[str, bytes]]:
    def change(name: str, data: bytes) -> tuple[str, bytes]:
        return name, json.dumps(json.loads(data) | changes).encode() if name.endswith("json") else data

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda name, data: None if "0001-b-001" in name else (name, data), "the shards hold 3 of the 4 clips"),
        (lambda name, data: (name, b"1") if name == "0000-a-000.cls" else (name, data), "does not say which class"),
        (lambda name, data: (name, b"x") if name.endswith("cls") else (name, data), "is damaged (ValueError"),
        (lambda name, data: None if name.endswith("cls") else (name, data), "is damaged (KeyError"),
        (lambda name, data: (name, b"[" * 9999) if name.endswith("json") else (name, data), "is damaged"),
        (lambda name, data: (name, data[:-400]) if name.endswith("mp4") else (name, data), "0000-a-000"),
        (lambda name, data: (name, b"x" * 99) if name.endswith("mp4") else (name, data), "does not decode"),
        (facts(label=7), "does not say which class it is of"),
        (facts(**{"class": "c"}), "says that it is called 'c'"),
        (facts(logits=None), "has other soft labels"),
        (facts(logits="x"), "has other soft labels"),
    ],
)
def test_samples_that_are_not_the_clips(
    copy: Path, change: Callable[[str, bytes], tuple[str, bytes] | None], problem: str
) -> None:
    rewrite(copy, change)
    assert any(problem in said for said in look(copy).problems)


def test_a_clip_of_another_video(copy: Path) -> None:
    with tarfile.open(next(copy.glob("data/*.tar"))) as tar:
        other = tar.extractfile("0001-b-000.mp4").read()  # type: ignore[union-attr]
    rewrite(copy, lambda name, data: (name, other) if name == "0000-a-001.mp4" else (name, data))
    assert look(copy).problems[0].endswith("0000-a-001 is none of the 4 clips in clips.safetensors")


def test_a_video_of_a_huge_frame_is_not_kept_in_memory(copy: Path, tmp_path: Path) -> None:
    from tests.video.making import make

    huge = make(tmp_path / "huge.mp4", size="2048x2048", frames=1).read_bytes()
    rewrite(copy, lambda name, data: (name, huge) if name == "0000-a-000.mp4" else (name, data))
    assert any("does not decode" in said or "larger than a clip" in said for said in look(copy).problems)


def test_a_video_to_look_at_that_stops_early(copy: Path) -> None:
    from tests.video.making import make

    make(copy / "videos/0000-a-000.mp4", frames=2)
    sign(copy)
    assert look(copy).problems == ["videos/0000-a-000.mp4 has 2 frames, not 4"]


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
