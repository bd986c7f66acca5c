"""What a run works on."""

from __future__ import annotations

from dataclasses import dataclass

from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.recipe import DistillConfig
from idtd_cli.students import registry


@dataclass(frozen=True)
class Job:
    """A recipe's `distill` section, and the real clips, in the device's memory."""

    config: DistillConfig
    task: registry.Task
    real: RealClips
    normalisation: Normalisation
    device: str

    def draw_network(self, seed: int) -> Network:
        """A network of the recipe's kind with the random weights that a seed gives."""
        return registry.build(self.config.network, self.task, seed, self.device)
