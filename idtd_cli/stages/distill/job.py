"""What a run works on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from idtd_cli.method.matching.trajectories import Trajectories
from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.soft_labels import SoftLabels, soft_labels
from idtd_cli.ranks import ALONE, Ranks
from idtd_cli.recipe import DistillConfig
from idtd_cli.stages.distill.validate import Validation
from idtd_cli.students import registry


@dataclass(frozen=True)
class Job:
    """A recipe's `distill` section, the real clips, and experts, if some were given."""

    config: DistillConfig
    task: registry.Task
    real: RealClips
    normalisation: Normalisation
    device: str
    trajectories: Trajectories | None = None
    #: on rank 0, if it is asked for
    validation: Validation | None = None
    #: folder for event files, if they are wanted
    tensorboard: Path | None = None
    #: those that share the classes
    ranks: Ranks = ALONE

    @property
    def frames(self) -> int:
        """T: of a synthetic video."""
        return self.config.video_frames(self.task.frames)

    @property
    def clips_a_video(self) -> int:
        """P: clips, as networks see them, that take as many frames."""
        return self.config.clips_a_video(self.task.frames)

    def draw_network(self, seed: int) -> Network:
        """A network of the recipe's kind: the random weights that a seed gives, or a random snapshot of an expert."""
        network = registry.build(self.config.network, self.task, seed, self.device)
        if first := self.config.network_snapshots:
            assert self.trajectories is not None
            network.load_state_dict(self.trajectories.weights(*self.trajectories.draw(first, seed)))
        return network

    def soft_labels(self, videos_NT3HW: Tensor) -> SoftLabels | None:
        """What the recipe's teachers say of videos, uint8 and on the job's device; None if it has no teachers."""
        config, experts = self.config.soft_labels, self.trajectories
        if not config.teachers:
            return None
        assert experts is not None

        def teachers() -> Iterator[Network]:
            network = registry.build(self.config.network, self.task, 0, self.device).eval()
            for number in range(config.teachers):
                network.load_state_dict(experts.weights(number, experts.snapshots - 1))
                yield network

        segments, frames = self.config.segments(self.task.frames), self.task.frames
        return soft_labels(videos_NT3HW, segments, teachers(), self.normalisation, frames, config.temperature)
