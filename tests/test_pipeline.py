"""The whole program, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import idtd_cli
from idtd_cli.prepared import PreparedSet
from tests.tiny import contents, write_recipe
from tests.video.making import shared_data

ROOT = Path(__file__).parents[1]


def idtd(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "idtd_cli", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=120, encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    return done


def changes(**settings: object) -> Sequence[str]:
    return [word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]


NETWORK = "{widths: [4, 8], kernel: [3, 3, 3], strides: [2, 1], norm: group, dropout: 0.0}"
#: The recipe demo with few clips, steps and students.
SMALL = changes(
    prepare__clip="{frames: 8, stored_frames: 16, height: 32, width: 32}",
    distill__steps=3,
    distill__batch_real=2,
    distill__network=NETWORK,
    evaluate__student=NETWORK,
    evaluate__students=2,
    evaluate__full_students=1,
    evaluate__fit="{steps: 3, batch: 8}",
)


def test_from_nothing_to_a_report(tmp_path: Path) -> None:
    """Relative paths, in a folder of the user's own."""
    said = idtd(
        "demo-data", "data", "--classes", 3, "--train", 5, "--test", 2, "--size", 32, "--frames", 16, cwd=tmp_path
    )
    assert said.stdout == "data: 3 classes, 5 training and 2 test videos each.\n"

    said = idtd("prepare", "data", "prepared", "--recipe", "demo", *SMALL, cwd=tmp_path)
    assert said.stdout == "prepared: 3 classes, 12 train, 3 val, 6 test; 0 rejected, 0 missing.\n"

    said = idtd("prepare", "data", "trial", *SMALL, "--limit", 1, "--workers", 1, cwd=tmp_path)
    assert said.stdout == "trial: 3 classes, 3 train, 3 val, 3 test; 0 rejected, 0 missing.\n"

    # The recipe that the set was prepared with goes on with it.
    said = idtd("distill", "prepared", "runs/idtd", "--set", "distill.ipc=2", "--seed", 3, cwd=tmp_path)
    assert said.stdout == "runs/idtd: idtd, 2 videos a class. Next: idtd export runs/idtd OUT\n"
    said = idtd("export", "runs/idtd", "sets/idtd", cwd=tmp_path)
    assert "sets/idtd: 96 frames, 2 videos a class of 3 classes." in said.stdout

    options = ["--payload", "tensor", "--shard-size", 0.14, "--also", "frames", "--also", "ddranking"]
    said = idtd("export", "runs/idtd", "sets/other", *options, cwd=tmp_path)
    assert "sets/other-frames holds it for other programs; form.json says how." in said.stderr
    assert len(list((tmp_path / "sets/other/data").glob("train-*-of-000003.tar"))) == 3
    ours, other = (idtd_cli.load(tmp_path / "sets" / name).videos_NT3HW for name in ("idtd", "other"))
    assert torch.equal(ours, other)

    said = idtd("evaluate", "sets/idtd", "--on", "prepared", "--out", "report", "--json", cwd=tmp_path)
    assert said.stdout == (tmp_path / "report" / "report.json").read_text(encoding="utf-8")
    report = json.loads(said.stdout)
    assert [(r["method"], r["form"], r["ipc"], r["seed"], r["top1"]["n"]) for r in report["results"]] == [
        ("idtd", "own", 2, 3, 2), ("idtd", "plain", 2, 3, 2), ("random", "own", 2, None, 2),
        ("full", "own", None, None, 1),
    ]  # fmt: skip

    for folder, kind in (
        ("data", "demo set"), ("prepared", "prepared set"), ("runs/idtd", "run"), ("sets/idtd", "distilled set"),
        ("sets/other-frames", "distilled set in another form"), ("report", "report"),
    ):  # fmt: skip
        said = idtd("show", folder, cwd=tmp_path)
        assert said.stdout.startswith(f"{folder}: {kind}, written by idtd {idtd_cli.__version__}\n")
        assert said.stderr == ""

    # Nothing lies about: every folder is what a command was asked for.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "prepared", "report", "runs", "sets", "trial"]
    found = idtd_cli.load(tmp_path / "sets" / "idtd")
    assert found.videos_NT3HW.shape == (6, 16, 3, 32, 32)  # each is seen eight frames at a time
    assert found.labels_N.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_coreset(tmp_path: Path, prepared: Path) -> None:
    said = idtd("distill", prepared, "run", *changes(distill__method="k-center", distill__ipc=2), cwd=tmp_path)
    assert said.stdout == "run: k-center, 2 videos a class. Next: idtd export run OUT\n"
    idtd("export", "run", "set", cwd=tmp_path)
    said = idtd("evaluate", "set", "--on", prepared, "--out", "report", cwd=tmp_path)
    assert "k-center coreset (set)" in said.stdout


def test_reproduce_twice(tmp_path: Path, videos: Path) -> None:
    recipe = write_recipe(tmp_path / "tiny.yaml")
    first = idtd("reproduce", recipe, "out", "--source", videos, "--json", cwd=tmp_path)
    assert first.stdout == (tmp_path / "out" / "report" / "report.json").read_text(encoding="utf-8")
    before = contents(tmp_path)
    second = idtd("reproduce", recipe, "out", "--source", videos, cwd=tmp_path)
    assert second.stderr.count("nothing to do.") == len(second.stderr.splitlines()) == 6
    assert "IDTD" in second.stdout
    assert contents(tmp_path) == before


def test_real_videos(tmp_path: Path) -> None:
    source = shared_data("weizmann4")
    settings = changes(
        distill__steps=3,
        distill__batch_real=4,
        evaluate__students=1,
        evaluate__full_students=0,
        evaluate__fit__steps=4,
    )
    said = idtd("prepare", source, "prepared", "--recipe", "demo", *settings, cwd=tmp_path)
    assert "4 classes" in said.stdout
    assert said.stdout.endswith(" 24 test; 0 rejected, 0 missing.\n")
    idtd("distill", "prepared", "run", cwd=tmp_path)
    idtd("export", "run", "set", cwd=tmp_path)
    said = idtd("evaluate", "set", "--on", "prepared", "--out", "report", cwd=tmp_path)
    assert "top-1 on 24 test videos of 4 classes" in said.stdout
    made = idtd_cli.load(tmp_path / "set")
    assert made.document.classes == ("bend", "jack", "wave1", "wave2")
    # Three steps from means of real segments: the videos still look like these clips, and no two classes alike.
    clips, _ = PreparedSet.open(tmp_path / "prepared").clips("train")
    assert made.videos_NT3HW.float().mean().item() == pytest.approx(clips.float().mean().item(), abs=20)
    videos = made.videos_NT3HW.float()
    assert min((a - b).abs().mean() for i, a in enumerate(videos) for b in videos[:i]) > 1
    assert not torch.equal(videos[0, 0], videos[0, -1])
