"""Whether memory and descriptors stay flat: many steps of `idtd distill`, and many files through the engine `local`.

    python benchmarks/soak.py DIR [--steps 2000] [--files 5000] [--json]

Distils two videos a class of a small prepared set of random pixels, IDTD with narrow networks, a checkpoint every 100
steps. Then decodes 50 drawn videos over and over by two workers; every 1,000th file crashes its worker, which is
replaced. Resident memory and descriptors are looked at every 10 steps and every 50 files, of this process and of its
workers. Of the last three quarters a line is fitted to the memory: its slope is what grows. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from idtd_cli import host_memory, provenance, recipe, storage
from idtd_cli.engines import local
from idtd_cli.engines.engine import Rejected
from idtd_cli.prepared import Writer
from idtd_cli.recipe import ClipConfig, SplitConfig
from idtd_cli.runlog import Quiet
from idtd_cli.sources import registry as sources
from idtd_cli.sources.clip import clip_of
from idtd_cli.sources.source import Video
from idtd_cli.stages import demo_data
from idtd_cli.video.decode import Clip

CLIP = ClipConfig(frames=4, stored_frames=8, height=16, width=16, min_frames=4)
CRASH_EVERY, LOOK_EVERY_FILES, LOOK_EVERY_STEPS = 1000, 50, 10
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    asked = parser.parse_args()
    host_memory.keep()  # as the command does

    looks = {f"{asked.files:,} files": decode(asked.dir, asked.files)}
    looks[f"{asked.steps:,} steps"] = {"the process": distil(asked.dir, asked.steps)}
    found = {what: {who: judged(of) for who, of in series.items()} for what, series in looks.items()}
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{provenance.hardware('cpu')}; {provenance.versions()}\n")
    print("| | | KiB more each 100 | resident at the end, MiB | descriptors, least to most |")
    print("| --- | --- | --- | --- | --- |")
    for what, series in found.items():
        for who, facts in series.items():
            least, most = facts["descriptors"]
            print(f"| {what} | {who} | {facts['slope']:.1f} | {facts['resident'] / 1024:.0f} | {least} to {most} |")


class Looks:
    """What a process held, each time that it was looked at."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.resident: list[int] = []  # KiB
        self.descriptors: list[int] = []

    def look(self, done: int, process: int | str) -> None:
        with suppress(OSError):  # it may have ended
            resident = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE_KIB
            descriptors = len(list(Path(f"/proc/{process}/fd").iterdir()))
            self.done.append(done)
            self.resident.append(resident)
            self.descriptors.append(descriptors)


def judged(looks: Looks) -> dict[str, Any]:
    """After a warm-up: KiB more each 100 steps or files, KiB at the end, the fewest and the most descriptors."""
    warm = len(looks.done) // 4
    done, resident = looks.done[warm:], looks.resident[warm:]
    slope = float(np.polyfit(done, resident, 1)[0]) * 100
    descriptors = looks.descriptors[warm:]
    return {"slope": slope, "resident": resident[-1], "descriptors": [min(descriptors), max(descriptors)]}


def decode(folder: Path, count: int) -> dict[str, Looks]:
    """This process, and the worker that lived longest."""
    demo_data.run(folder / "videos", classes=5, train=8, test=2, size=32, frames=12, progress=Quiet())
    videos = sources.find(folder / "videos", 1).videos
    own, workers = Looks(), defaultdict(Looks)
    job = partial(clip_or_crash, clip=CLIP)
    items = [(videos[number % len(videos)], number % CRASH_EVERY == CRASH_EVERY - 1) for number in range(count)]
    crashed = 0
    with closing(local.run(job, items, workers=2, seconds=60, memory_mb=2048)) as results:
        for done, result in enumerate(results, start=1):
            crashed += isinstance(result, Rejected)
            if done % LOOK_EVERY_FILES == 0:
                own.look(done, "self")
                for worker in grandchildren():
                    workers[worker].look(done, worker)
    assert crashed == count // CRASH_EVERY, "a file was rejected that should not have been"
    return {"the process": own, "its oldest worker": max(workers.values(), key=lambda looks: len(looks.done))}


def clip_or_crash(item: tuple[Video, bool], clip: ClipConfig) -> Clip:
    video, crashes = item
    if crashes:
        os._exit(3)
    return clip_of(video, clip, "pyav")


def grandchildren() -> Sequence[int]:
    """Of this process: its children are the server that starts workers, and what else multiprocessing keeps."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return [process for process, parent in parents.items() if parents.get(parent) == os.getpid()]


class Watch(Quiet):
    """A progress that looks at this process."""

    def __init__(self) -> None:
        self.looks, self._done = Looks(), 0

    def advance(self, n: int = 1, **facts: object) -> None:
        before, self._done = self._done, self._done + n
        if self._done // LOOK_EVERY_STEPS > before // LOOK_EVERY_STEPS:
            self.looks.look(self._done, "self")


def distil(folder: Path, steps: int) -> Looks:
    from idtd_cli.stages import distill

    write(folder / "prepared")
    settings = recipe.load(
        "demo",
        [
            "distill.frames=0",
            f"distill.steps={steps}", "distill.checkpoint_every=100", "distill.batch_real=4", "distill.ipc=2",
            "distill.network={widths: [4, 8], kernel: [3, 3, 3], strides: [1, 1], norm: group, dropout: 0.0}",
            "distill.idtd.segments=2", "distill.idtd.fusor.channels=4", "distill.soft_labels.teachers=0",
            f"prepare.clip={CLIP.model_dump_json()}",
        ],
    )  # fmt: skip
    watch = Watch()
    distill.run(folder / "prepared", folder / "run", settings, "cpu", resume=False, progress=watch)
    return watch.looks


def write(folder: Path) -> None:
    """A prepared set of training clips of three classes."""
    rng, names = np.random.default_rng(0), ("a", "b", "c")
    with storage.resumable_folder(folder) as unfinished, closing(Writer(unfinished, CLIP, {}, {"pyav": "1"})) as writer:
        for number, label in enumerate(sorted([0, 1, 2] * 10)):
            writer.add(
                rng.integers(0, 256, (8, 3, 16, 16), dtype=np.uint8), id=f"{names[label]}/{number}.mp4", label=label,
                split="train", group=None, frames=12, first=0, last=11, seconds=0.5,
                width=32, height=32, decoder="pyav",
            )  # fmt: skip
        writer.finish(
            source="random", source_kind="folder", classes=names, split=SplitConfig(), limit=0, recipe_yaml=""
        )


if __name__ == "__main__":
    main()
