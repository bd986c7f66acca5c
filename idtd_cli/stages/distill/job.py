"""What a run works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from idtd_cli.method.matching.trajectories import Trajectories
from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
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

    def draw_network(self, seed: int) -> Network:
        """A network of the recipe's kind: the random weights that a seed gives, or a random snapshot of an expert."""
        network = registry.build(self.config.network, self.task, seed, self.device)
        if self.trajectories is not None:
            first = self.config.network_snapshots or self.trajectories.snapshots
            network.load_state_dict(self.trajectories.weights(*self.trajectories.draw(first, seed)))
        return network
