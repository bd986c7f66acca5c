"""The code by which people are told to load a set, in the docs and on the card, run as it stands there.

A published set is opened from the Hub in three ways, and each gives the clips that were exported.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import idtd_cli
from idtd_cli.distilled import DistilledSet
from idtd_cli.runlog import Quiet
from idtd_cli.stages import publish
from tests.hub_server import Account, Hub

ROOT = Path(__file__).parents[2]
#: Runs each block, which ends in the body of its loop, and keeps what the loop saw.
RUN = """
import json, sys
import numpy as np
for number, code in enumerate(json.load(sys.stdin)):
    names = {"seen": []}
    values = "clips_BCTHW.numpy(), labels_B.numpy()" if "idtd_cli" in code else "np.stack(frames), label"
    exec(f"{code}\\n    seen.append(({values}))", names | {"np": np})
    videos, labels = zip(*names["seen"])
    join = np.concatenate if "idtd_cli" in code else np.stack
    np.savez(f"{number}.npz", videos=join(videos), labels=join(labels))
"""


def test_three_ways_to_the_same_clips(
    hub: Hub, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.accounts["t"] = Account("owner")
    monkeypatch.setenv("HF_TOKEN", "t")
    publish.run(exported, "owner/name", Quiet(), licence="other")
    page, card = (ROOT / "docs/using.md").read_text(), hub.repos["owner/name"].files["README.md"].decode()
    blocks = [block for text in (page, card) for block in re.findall(r"```python\n(.*?)\n```", text, re.S)]
    assert [re.findall(r"idtd_cli|webdataset|datasets", block)[0] for block in blocks] == [
        "idtd_cli", "webdataset", "datasets",
    ] * 2  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(blocks), cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = DistilledSet.open(exported)
    videos_NTHW3 = made.videos_NT3HW.permute(0, 1, 3, 4, 2).numpy()
    views = {(clip.numpy().tobytes(), int(label)) for clip, label in idtd_cli.load(exported)}  # nothing random in these
    for number, block in enumerate(blocks):
        with np.load(tmp_path / f"{number}.npz") as found:
            videos, labels = found["videos"], found["labels"]
            if "idtd_cli" in block:
                assert videos.shape == (6, 3, 4, 16, 16)
                assert {(clip.tobytes(), int(label)) for clip, label in zip(videos, labels, strict=True)} == views
            else:
                assert np.array_equal(videos, videos_NTHW3)
                assert np.array_equal(labels, made.labels_N.numpy())


def test_datasets_decodes_to_the_same_pixels(exported: Path, tmp_path: Path) -> None:
    """The extra hub-video, where it and the libraries of FFmpeg are installed."""
    pytest.importorskip("torchcodec", reason="needs the extra hub-video", exc_type=(ImportError, RuntimeError))
    import datasets

    shards = [str(path) for path in exported.glob("data/*.tar")]
    rows = datasets.load_dataset("webdataset", data_files={"train": shards}, split="train", cache_dir=str(tmp_path))
    made = DistilledSet.open(exported)
    for row, video_T3HW in zip(rows, made.videos_NT3HW, strict=True):
        assert np.array_equal(row["mp4"].get_frames_in_range(0, len(video_T3HW)).data, video_T3HW)
