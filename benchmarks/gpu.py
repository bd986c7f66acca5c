"""What a GPU makes of it, in one command and under 8 minutes, with its data made on the spot.

    python benchmarks/gpu.py [--minutes 7] [--small]

At the peers' sizes (50 classes, 64 clips of 16×112×112 of each a step, ConvNet3D): the step of distribution matching
against a plain one in float32, and in bfloat16; five students of a set of one clip a class, as the peers train them,
and as we do, one after another and at once, also at the sizes of the demo recipe; steps with a network that serves five
of them; the steps of the other matching losses; students a minute. With each, peak memory, and the FLOP/s reached as a
share of the device's peak where its data sheet is known. `--small` takes sizes that a CPU can do: to see that it runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from step import SMALL, Bench
from students import Bench as StudentsBench

from idtd_cli import host_memory, provenance
from idtd_cli.method.matching import registry as matchings
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.recipe import FitConfig, StudentConfig
from idtd_cli.stages.distill.speed import Speedometer
from idtd_cli.students.training import LabelledVideos, fit

STEPS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=7, help="begin nothing new after this time")
    parser.add_argument("--small", action="store_true")
    asked = parser.parse_args()
    host_memory.keep()
    device = provenance.resolve_device("auto")
    sizes = (4, 4, 1, 32, 8, SMALL) if asked.small else (50, 64, 1, 112, 130, StudentConfig())
    bench = Bench(*sizes, device)
    print(f"{provenance.hardware(device)}; {provenance.versions()}")

    began = time.perf_counter()
    for name, measure in measurements(bench, device, asked.small).items():
        if time.perf_counter() - began > 60 * asked.minutes:
            print(f"{name:34} left out: out of time")
            continue
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            line = measure()
        except torch.OutOfMemoryError:
            line = "does not fit"
        memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if device == "cuda" else ""
        print(f"{name:34} {line}{memory}", flush=True)


def measurements(bench: Bench, device: str, small: bool) -> dict[str, Callable[[], str]]:
    """What is measured, in order of weight."""
    found: dict[str, Callable[[], str]] = {"dm, float32, plain / ours": lambda: against_plain(bench)}
    for size, updates in ({"tiny": 2} if small else {"miniucf": 20, "demo": 100}).items():
        found[f"5 students, {size}, {updates} updates"] = partial(students, size, updates, device)
    for matching in ("dm", "dc", "frepo"):
        for precision in ("float32", "bfloat16") if matching == "dm" else ("float32",):
            for network_steps in (1, 5) if matching == "dm" else (1,):
                changes = {"matching": matching, "precision": precision, "network_steps": network_steps}
                name = f"{matching}, {precision}, {network_steps} step(s) a network"
                found[name] = lambda changes=changes: steps(bench, device, **changes)  # type: ignore[misc]
    found["a student of 100 updates of 256"] = lambda: student(bench, device)
    return found


def against_plain(bench: Bench) -> str:
    off = abs(bench.ours(0) / bench.plain(0) - 1)
    ratios = []
    for turn in range(1, 8):
        times = []
        for step in (bench.ours, bench.plain):
            began = time.perf_counter()
            step(turn)  # its loss is asked for: that waits for the device
            times.append(time.perf_counter() - began)
        ratios.append(times[1] / times[0])
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), losses off by {off:.0e}"


def students(size: str, updates: int, device: str) -> str:
    return StudentsBench(size, 5, updates, device).compared(5)


def steps(bench: Bench, device: str, **changes: object) -> str:
    """Seconds a step of the loop of `idtd distill`, and what the meter of a run says of it."""
    from idtd_cli.method.loop import distil

    config = bench.config.model_copy(update={"steps": STEPS, **changes})
    matching = matchings.build(config, bench.views, bench.draw_network).to(device)
    meter = Speedometer(device, config.precision, config.network_steps)
    loop = distil(bench.videos, matching, bench.optimiser, config, bench.views.shard, bench.task.frames)
    for _ in range(5):  # the first steps choose kernels
        meter.counted(lambda: next(loop))
    synchronise(device)
    meter.restart()
    for _ in range(STEPS - 5):
        next(loop)
    synchronise(device)
    facts = meter.look(STEPS - 5, 0)
    return ", ".join(f"{name} {value:.4g}" for name, value in facts.items() if name != "clips_per_second")


def student(bench: Bench, device: str) -> str:
    network = bench.draw_network(1)
    videos = LabelledVideos(bench.views.real.videos_NF3HW, bench.views.real.labels_N)
    config = FitConfig(steps=100 if device == "cuda" else 2, batch=256)
    synchronise(device)
    began = time.perf_counter()
    fit(network, videos, bench.normalisation, config, TemporalAugmentation(1), bench.task.frames, 0)
    synchronise(device)
    return f"{time.perf_counter() - began:.2f} s for {config.steps} updates"


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
