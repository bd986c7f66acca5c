"""One step of pixel matching: ours against a plain one, written as the field's research scripts write it.

    python benchmarks/step.py [--classes 8] [--batch 32] [--ipc 1] [--size 32] [--rounds 10] [--device cpu]
    python benchmarks/step.py --peer --device cuda     50 classes, 64 clips of 16×112×112 of each, the peers' ConvNet3D

The plain step goes class by class: it takes that class's clips from host memory as contiguous float32, embeds them and
the synthetic videos of the class, and adds up the squared distances of the means. Ours is the step of `idtd distill`
with `method: pixel`. Both draw the same networks and the same clips from the same seeds, at float32, and their first
losses are compared. Each runs in a process of its own, ours with the memory settings of the command, the plain one with
those of Python; they take turns, and of the ratios of the rounds the median, the least and the most are reported.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

import torch

from idtd_cli import host_memory, provenance
from idtd_cli.baselines.pixel import PixelVideos
from idtd_cli.method import seeds
from idtd_cli.method.matching.distribution_matching import DistributionMatching
from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.shard import Shard
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views, read
from idtd_cli.method.views import RealViews, SyntheticViews
from idtd_cli.recipe import DistillConfig, StudentConfig
from idtd_cli.students import registry

FRAMES, STORED = 16, 32
SMALL = StudentConfig(widths=(16, 32, 64), kernel=(3, 5, 5), strides=(2, 1, 1), norm="group", dropout=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32, help="real clips of each class")
    parser.add_argument("--ipc", type=int, default=1)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--clips", type=int, default=51, help="of each class")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peer", action="store_true", help="the peers' sizes and network")
    asked = parser.parse_args()
    network = SMALL
    if asked.peer:
        asked.classes, asked.batch, asked.size, network = 50, 64, 112, StudentConfig()
    sizes = (asked.classes, asked.batch, asked.ipc, asked.size, asked.clips, network, asked.device)
    with Way("ours", sizes) as ours, Way("plain", sizes) as plain:
        (one, _), (two, _) = ours.step(0), plain.step(0)
        print(f"loss of the first step: ours {one:.6g}, plain {two:.6g}, off by {abs(one / two - 1):.1e}")
        if abs(one / two - 1) > 1e-3:
            raise SystemExit("the two do not compute the same thing")
        seconds: dict[str, list[float]] = {"ours": [], "plain": []}
        for number in range(1, asked.rounds + 1):
            for way in (ours, plain):
                seconds[way.name].append(way.step(number)[1])
    ratios = [p / o for o, p in zip(seconds["ours"], seconds["plain"], strict=True)]
    print(f"{provenance.hardware(asked.device)}; {provenance.versions()}; {asked.rounds} rounds")
    for name, values in seconds.items():
        print(f"{name:6} {statistics.median(values):.3f} s a step ({min(values):.3f} to {max(values):.3f})")
    print(f"plain / ours {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


class Way:
    """A process that takes one of the two kinds of step when it is told to, and else waits."""

    def __init__(self, name: str, sizes: tuple[object, ...]) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=serve, args=(name, sizes, there))

    def __enter__(self) -> Way:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._here.send(None)
        self._process.join()

    def step(self, number: int) -> tuple[float, float]:
        """Loss and seconds of a step."""
        self._here.send(number)
        found: tuple[float, float] = self._here.recv()
        return found


def serve(name: str, sizes: tuple[Any, ...], orders: Connection) -> None:
    if name == "ours":
        host_memory.keep()
    step = getattr(Bench(*sizes), name)
    while (number := orders.recv()) is not None:
        began = time.perf_counter()
        loss = step(number)  # asked for, it waits for the device
        orders.send((loss, time.perf_counter() - began))


class Bench:
    """Random clips, and the two ways to take a step on them."""

    def __init__(
        self, classes: int, batch: int, ipc: int, size: int, clips: int, network: StudentConfig, device: str
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (classes * clips, STORED, 3, size, size)
        self.host_NF3HW = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        self.labels_N = torch.arange(classes).repeat_interleave(clips)
        self.config = DistillConfig(method="pixel", ipc=ipc, batch_real=batch)
        self.task = registry.Task(classes, FRAMES, size, size)
        self.network, self.device = network, device
        self.sta = TemporalAugmentation(segments=1)
        self.normalisation = Normalisation((0.5, 0.5, 0.5), (0.3, 0.3, 0.3), device)

        real = RealClips(self.host_NF3HW.to(device), self.labels_N.to(device), classes)
        self.views = RealViews(real, self.normalisation, self.sta, FRAMES)
        self.matching = DistributionMatching(self.config, self.views, self.draw_network)
        first = torch.randn(classes * ipc, 1, 3, FRAMES, size, size, generator=generator)
        self.videos = PixelVideos(self.config.pixel, first).to(device)
        self.optimiser = torch.optim.Adam(self.videos.step_sizes(), betas=(0.5, 0.99))
        self.synthetic = SyntheticViews(Shard(classes), ipc, self.sta, FRAMES, torch.device(device))
        self.pixels_N3THW = first[:, 0].clone().to(device).requires_grad_()
        self.sgd = torch.optim.SGD([self.pixels_N3THW], lr=1e-3, momentum=0.5)

    def draw_network(self, seed: int) -> Network:
        return registry.build(self.network, self.task, seed, self.device)

    def ours(self, turn: int) -> float:
        """A step of `idtd distill`; gives the loss in the plain step's units."""
        look = self.matching.look(turn)
        generator = torch.Generator(self.device).manual_seed(seeds.of_step(0, turn))
        match = look.match(self.videos(), self.synthetic, generator)
        self.optimiser.zero_grad(set_to_none=True)
        match.loss.backward()
        self.optimiser.step()
        return (match.loss.detach() * look.scatter).item()

    def plain(self, turn: int) -> float:
        """The same step, class by class."""
        seed = seeds.of_turn(0, turn)
        network = as_published(self.draw_network(seed)).to(memory_format=torch.contiguous_format).eval()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        generator = torch.Generator(self.device).manual_seed(seed)
        index_CB = self.views.real.draw(self.config.batch_real, generator)
        views = self.sta.of_real(index_CB.flatten(), generator)
        clips_BT3HW = read(self.host_NF3HW, on_host(views), FRAMES)  # float32 on the host, as a data loader gives it
        loss = torch.zeros((), device=self.device)
        for label, clips in enumerate(clips_BT3HW.unflatten(0, (self.task.classes, -1))):
            real = self.normalisation.normalise(clips.to(self.device)).transpose(1, 2).contiguous()
            synthetic = self.pixels_N3THW.unflatten(0, (self.task.classes, -1))[label]
            with torch.no_grad():
                real_mean = network.embed(real).mean(0)
            loss = loss + (real_mean - network.embed(synthetic).mean(0)).square().sum()
        self.sgd.zero_grad()
        loss.backward()
        self.sgd.step()
        return loss.item()


def as_published(network: Network) -> Network:
    """ConvNet3D with its blocks in the peers' order, ReLU and then max-pool."""
    blocks = list(network.blocks)
    for number, block in enumerate(blocks):
        if isinstance(block, torch.nn.ReLU):
            blocks[number - 1], blocks[number] = blocks[number], blocks[number - 1]
    network.blocks = torch.nn.Sequential(*blocks)
    return network


def on_host(views: Views) -> Views:
    return Views(views.index_B.cpu(), views.start_B.cpu(), views.end_B.cpu(), views.shortest)


if __name__ == "__main__":
    main()
