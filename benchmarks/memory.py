"""How much memory `idtd distill` takes of sets of growing size: clips in memory, and clips that are streamed.

    python benchmarks/memory.py DIR [--clips 6000 24000 72000] [--classes 100] [--steps 20] [--batch-real 4]

Makes prepared sets of random pixels (8 frames of 64×64, as many clips of each class, the largest 7 GB) in DIR, one at a
time, and removes each at the end. Every run is a process of its own, with narrow networks, K = 2 and a video a class.
Memory is looked at every 10 ms: anonymous memory, which the process cannot do without, and all that is resident. Linux
only.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from idtd_cli import host_memory, provenance, recipe, storage
from idtd_cli.prepared import Writer
from idtd_cli.recipe import ClipConfig, Recipe, SplitConfig
from idtd_cli.runlog import Quiet

CLIP = ClipConfig(frames=8, stored_frames=8, height=64, width=64)
SHAPE = (8, 3, 64, 64)
#: Clips that differ; a set repeats them. A prime number: no class has one twice.
DIFFERENT = 997
#: Share of the free memory that clips may take.
SHARES = {"in memory": math.inf, "streamed": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--clips", type=int, nargs="+", default=[6_000, 24_000, 72_000])
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-real", type=int, default=4)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # a process that is measured: RECIPE, one of SHARES
    asked = parser.parse_args()
    if asked.run:
        host_memory.keep()  # as the command does
        run(asked.dir, *asked.run)
        return

    asked.dir.mkdir(parents=True, exist_ok=True)
    content = asked.dir / "recipe.yaml"
    content.write_text(recipe_of(asked.steps, asked.batch_real).to_yaml())
    print(f"{provenance.hardware('cpu')}; {provenance.versions()}\n")
    print(f"{asked.classes} classes, {asked.steps} steps, {asked.batch_real} real clips a class and step.\n")
    print("| clips | uint8, GB | clips are | peak anonymous, GB | peak resident, GB | start, s | a step, s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for count in asked.clips:
        prepared = asked.dir / f"prepared-{count}"
        write(prepared, count, asked.classes)
        for name in SHARES:
            anonymous, resident, times = measured([str(prepared), "--run", str(content), name])
            shutil.rmtree(prepared.with_suffix(".run"))
            figures = [count * math.prod(SHAPE) / 1e9, name, anonymous / 1e9, resident / 1e9, *times]
            cells = [f"{figure:.2f}" if isinstance(figure, float) else figure for figure in figures]
            print(f"| {count:,} | {' | '.join(cells)} |", flush=True)
        shutil.rmtree(prepared)


def recipe_of(steps: int, batch_real: int) -> Recipe:
    overrides = [
        "distill.frames=0",
        f"distill.steps={steps}", f"distill.checkpoint_every={steps}", f"distill.batch_real={batch_real}",
        "distill.network={widths: [8, 8], kernel: [3, 3, 3], strides: [2, 2], norm: group, dropout: 0.0}",
        "distill.idtd.segments=2", "distill.idtd.fusor.channels=2", f"prepare.clip={CLIP.model_dump_json()}",
    ]  # fmt: skip
    return recipe.load("demo", overrides)


def write(folder: Path, count: int, classes: int) -> None:
    """A prepared set of training clips alone."""
    clips = np.random.default_rng(0).integers(0, 256, (DIFFERENT, *SHAPE), dtype=np.uint8)
    names = tuple(f"class{label:03d}" for label in range(classes))
    with storage.resumable_folder(folder) as unfinished, closing(Writer(unfinished, CLIP, {}, {"pyav": "1"})) as writer:
        for number in range(count):
            label = number * classes // count
            writer.add(
                clips[number % DIFFERENT], id=f"{names[label]}/{number:06d}.mp4", label=label, split="train",
                group=None, frames=300, first=0, last=299, seconds=10.0, width=340, height=256, decoder="pyav",
            )  # fmt: skip
        writer.finish(
            source="random", source_kind="folder", classes=names, split=SplitConfig(), limit=0, recipe_yaml=""
        )


def measured(arguments: list[str]) -> tuple[int, int, list[float]]:
    """Peak anonymous and peak resident memory of a run in bytes; seconds before its first step, and of a step."""
    command = [sys.executable, __file__, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    anonymous = 0
    while process.poll() is None:
        anonymous = max(anonymous, status(process.pid).get("RssAnon", 0))
        time.sleep(0.01)
    assert process.returncode == 0, command
    assert process.stdout
    resident, *times = json.load(process.stdout)
    return anonymous, int(resident), times


def status(process: int | str) -> dict[str, int]:
    """The lines of /proc/PROCESS/status that are sizes, in bytes; none of a process that has ended."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line.endswith(" kB")}


class Clock(Quiet):
    """Notes when the first step begins and when the last one has ended."""

    @contextmanager
    def stage(self, name: str, total: int | None, done: int = 0) -> Iterator[Clock]:
        self.began = time.perf_counter()
        yield self
        self.ended = time.perf_counter()


def run(prepared: Path, content: str, name: str) -> None:
    """What is measured: one distillation, in this process."""
    from idtd_cli.stages import clips, distill

    clips.SHARE = SHARES[name]
    clock, settings = Clock(), recipe.load(content)
    start = time.perf_counter()
    distill.run(prepared, prepared.with_suffix(".run"), settings, "cpu", resume=False, progress=clock)
    seconds = (clock.began - start, (clock.ended - clock.began) / settings.distill.steps)
    print(json.dumps([status("self")["VmHWM"], *seconds]))


if __name__ == "__main__":
    main()
