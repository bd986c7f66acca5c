"""Students of a small set: one after another as the field's scripts train them, and as we do, and several at once.

    python benchmarks/students.py [--students 5] [--updates 2] [--rounds 10] [--device cpu] [--sizes NAME ...]

Each of the sizes below is a set that is one batch, and the student that trains on it. The plain way is that of the
peers' evaluation (yuz1wan/video_distillation): a DataLoader over float32 clips on the device, each batch standardised
by itself, the layers in their order and their layout, scores and loss fetched after each update; they fetch more, and
fetch it more often. Ours is the loop of `idtd evaluate` with `normalisation: peer`, one student at a time and all at
once. All three train the same students from the same weights, and what they end with is compared. They take turns in
one process, and of the ratios of the rounds the median, the least and the most are reported.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from step import SMALL, as_published
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from idtd_cli import host_memory, provenance
from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import IMAGENET, Normalisation, PeerNormalisation
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.recipe import FitConfig, StudentConfig
from idtd_cli.students import registry
from idtd_cli.students.training import LabelledVideos, fit, fit_together

#: Name → classes, clips of each, height and width, student. Frames are 16.
SIZES = {
    "demo": (8, 4, 32, SMALL),
    "miniucf": (50, 1, 112, StudentConfig()),
    "miniucf-small": (5, 1, 64, StudentConfig()),
    "tiny": (3, 2, 16, SMALL.model_copy(update={"widths": (4, 8), "kernel": (3, 3, 3), "strides": (1, 1)})),
}
FRAMES = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=5)
    parser.add_argument("--updates", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["demo", "miniucf-small"])
    asked = parser.parse_args()
    host_memory.keep()
    print(f"{provenance.hardware(asked.device)}; {provenance.versions()}; {asked.rounds} rounds, ", end="")
    print(f"{torch.get_num_threads()} threads, {asked.students} students of {asked.updates} updates")
    for name in asked.sizes:
        print(f"{name}: {Bench(name, asked.students, asked.updates, asked.device).compared(asked.rounds)}", flush=True)


@dataclass
class Bench:
    """A set of random clips, and the three ways to train students on it."""

    size: str
    students: int
    updates: int
    device: str

    def __post_init__(self) -> None:
        classes, each, pixels, self.network = SIZES[self.size]
        self.task = registry.Task(classes, FRAMES, pixels, pixels)
        shape = (classes * each, FRAMES, 3, pixels, pixels)
        clips = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        labels_N = torch.arange(classes).repeat_interleave(each)
        self.videos = LabelledVideos(clips.to(self.device), labels_N.to(self.device))
        self.config = FitConfig(steps=self.updates, batch=256, decay=False)
        self.float_N3THW = Normalisation(*IMAGENET, self.device).normalise(self.videos.videos_NF3HW).transpose(1, 2)
        self.float_N3THW = self.float_N3THW.contiguous()

    def compared(self, rounds: int) -> str:
        """How they compare, in words."""
        # The first turn chooses kernels; it also tells whether they do the same.
        plain, alone, at_once = (way() for way in self.ways())
        off = f"weights apart: alone and at once {apart(alone, at_once):.0e}"
        if self.network.dropout == 0:  # without it, nothing is random in a set of one batch
            off += f", plain and alone {apart(plain, alone):.0e}"
        seconds = torch.tensor([[self.timed(way) for way in self.ways()] for _ in range(rounds)])
        plain_R, alone_R, at_once_R = seconds.unbind(1)
        return "; ".join(
            [
                f"seconds {', '.join(f'{value:.3f}' for value in seconds.median(0).values.tolist())}",
                f"plain / alone {ratio(plain_R, alone_R)}",
                f"plain / at once {ratio(plain_R, at_once_R)}",
                f"alone / at once {ratio(alone_R, at_once_R)}",
                off,
            ]
        )

    def ways(self) -> tuple[Callable[[], list[Network]], ...]:
        return self.plain, self.alone, self.at_once

    def timed(self, way: Callable[[], object]) -> float:
        self.wait()
        began = time.perf_counter()
        way()
        self.wait()
        return time.perf_counter() - began

    def wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def fresh(self) -> list[Network]:
        return [registry.build(self.network, self.task, seed, self.device) for seed in range(self.students)]

    def alone(self) -> list[Network]:
        students, normalisation = self.fresh(), PeerNormalisation(self.device)
        for seed, student in enumerate(students):
            fit(student, self.videos, normalisation, self.config, TemporalAugmentation(1), FRAMES, seed)
        return students

    def at_once(self) -> list[Network]:
        students, normalisation, every = self.fresh(), PeerNormalisation(self.device), [self.videos] * self.students
        seeds = range(self.students)
        fit_together(students, every, normalisation, self.config, TemporalAugmentation(1), FRAMES, seeds)
        return students

    def plain(self) -> list[Network]:
        students = [as_published(one).to(memory_format=torch.contiguous_format) for one in self.fresh()]
        for student in students:
            self.train_plainly(student.train())
        return students

    def train_plainly(self, student: Network) -> None:
        config = self.config
        optimiser = torch.optim.SGD(
            student.parameters(), lr=config.step_size, momentum=config.momentum, weight_decay=config.weight_decay
        )
        batches = DataLoader(TensorDataset(self.float_N3THW, self.videos.labels_N), config.batch, shuffle=True)
        loss_sum, right, done = 0.0, 0, 0
        while done < self.updates:
            for clips, labels_B in batches:
                scores_BC = student((clips - clips.mean()) / clips.std())
                loss = functional.cross_entropy(scores_BC, labels_B)
                right += (scores_BC.detach().cpu().argmax(1) == labels_B.cpu()).sum().item()
                loss_sum += loss.item() * len(labels_B)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                done += 1


def apart(some: list[Network], others: list[Network]) -> float:
    """The most that a weight is apart in two lists of students."""
    first, second = ([weight for each in networks for weight in each.parameters()] for networks in (some, others))
    return max((one - other).abs().max().item() for one, other in zip(first, second, strict=True))


def ratio(one_R: torch.Tensor, other_R: torch.Tensor) -> str:
    found = (one_R / other_R).tolist()
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


if __name__ == "__main__":
    main()
