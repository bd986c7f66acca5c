"""How time and memory of `idtd prepare`, `distill` and `evaluate` grow with the clips: one set, 4 and 16 times as many.

    python benchmarks/scale.py DIR [--clips 256]

Draws `--clips` videos of 8 classes, 24 frames of 32×32, and takes each once, 4 and 16 times, under other names. Every
command is a process of its own. Its seconds are those of the clock and, which is what to look at on a busy machine,
those of processors, of all processes that it started; memory is the most that one of them had resident. Networks are
narrow, there are 10 steps, and one student of each kind with 20 updates: what is looked at is what grows. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import yaml

CLASSES, TIMES = 8, (1, 4, 16)
NETWORK = {"widths": [4, 8], "kernel": [3, 3, 3], "strides": [2, 1], "norm": "group", "dropout": 0.0}
RECIPE = {
    "name": "scale",
    "prepare": {"clip": {"frames": 16, "stored_frames": 16, "height": 32, "width": 32}},
    "distill": {"steps": 10, "batch_real": 4, "network": NETWORK, "idtd": {"segments": 2, "fusor": {"channels": 4}}},
    "evaluate": {"students": 1, "full_students": 1, "student": NETWORK, "fit": {"steps": 20, "batch": 16}},
}
_CHILD_SUBREAPER = 36


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--clips", type=int, default=256)
    asked = parser.parse_args()
    # What a command leaves behind, such as the server that starts its workers, comes to this process, which counts it.
    ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1)

    asked.dir.mkdir(parents=True, exist_ok=True)
    recipe = asked.dir / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(RECIPE))
    drawn = asked.dir / "drawn"
    test = asked.clips // (4 * CLASSES)
    idtd("demo-data", drawn, "--classes", CLASSES, "--train", 3 * test, "--test", test, "--size", 32, "--frames", 24)
    found: dict[str, list[Cost]] = {"prepare": [], "distill": [], "evaluate": []}
    for times in TIMES:
        here = asked.dir / f"times-{times}"
        multiply(drawn, here / "videos", times)
        found["prepare"].append(idtd("prepare", here / "videos", here / "prepared", "--recipe", recipe))
        found["distill"].append(idtd("distill", here / "prepared", here / "run", "--device", "cpu"))
        idtd("export", here / "run", here / "set")
        evaluate = ("evaluate", here / "set", "--on", here / "prepared", "--out", here / "report", "--device", "cpu")
        found["evaluate"].append(idtd(*evaluate))
        shutil.rmtree(here)
    report(found, 4 * test * CLASSES)


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds of the clock, of processors, and bytes of its largest process."""

    wall: float
    cpu: float
    memory: int


def idtd(*arguments: object) -> Cost:
    """Run a command to the end of all its processes."""
    command = [sys.executable, "-m", "idtd_cli", *map(str, arguments)]
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        return _cost(subprocess.Popen(command, stdout=said, stderr=said), start, said)


def _cost(process: subprocess.Popen[bytes], start: float, said: IO[bytes]) -> Cost:
    wall, cpu, memory = 0.0, 0.0, 0
    while True:
        try:
            number, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return Cost(wall, cpu, memory)
        if number == process.pid:
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            assert process.returncode == 0, f"{process.args}\n{said.read().decode()}"
        cpu += usage.ru_utime + usage.ru_stime
        memory = max(memory, usage.ru_maxrss * 1024)


def multiply(source: Path, into: Path, times: int) -> None:
    """Class folders with each video so many times."""
    for video in sorted(source.rglob("*.mp4")):
        folder = into / video.parent.relative_to(source)
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(times):
            shutil.copyfile(video, folder / f"{video.stem}-{number:02d}.mp4")


def report(found: dict[str, list[Cost]], clips: int) -> None:
    """What docs/benchmarks.md holds, as Markdown."""
    from idtd_cli import provenance

    print(f"{provenance.hardware('cpu')}; {provenance.versions()}\n")
    print("| | clips | seconds | of processors | MiB | seconds of processors a further clip | KiB a further clip |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for command, costs in found.items():
        for times, cost in zip(TIMES, costs, strict=True):
            further = clips * (times - 1)
            more = f"{(cost.cpu - costs[0].cpu) / further:.5f}" if further else ""
            memory = f"{(cost.memory - costs[0].memory) / further / 1024:.2f}" if further else ""
            figures = f"{cost.wall:.1f} | {cost.cpu:.1f} | {cost.memory / 2**20:.0f}"
            print(f"| `{command}` | {clips * times:,} | {figures} | {more} | {memory} |")
    print("\nClips 16 times: " + "; ".join(f"{command} {growth(costs)}" for command, costs in found.items()) + ".")


def growth(costs: list[Cost]) -> str:
    first, last = costs[0], costs[-1]
    return (
        f"{last.cpu / first.cpu:.2f} times the seconds of processors, {last.memory / first.memory:.2f} times the memory"
    )


if __name__ == "__main__":
    main()
