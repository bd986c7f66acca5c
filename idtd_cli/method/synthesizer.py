"""Synthesizer: Feature Pool → Feature Selectors → Temporal Fusor, the learnable variables that render to videos."""

from __future__ import annotations

from torch import Tensor, nn

from idtd_cli.method.feature_pool import FeaturePool
from idtd_cli.method.feature_selectors import FeatureSelectors
from idtd_cli.method.parametrisation import Parametrisation
from idtd_cli.method.temporal_fusor import TemporalFusor
from idtd_cli.recipe import IdtdConfig


class Synthesizer(Parametrisation):
    """IDTD's parametrisation of N = C·I videos of K segments."""

    def __init__(self, config: IdtdConfig, classes: int, ipc: int, entries_GM3LHW: Tensor) -> None:
        """Start from these entries, normalised: selectors near one-hot, fusor at identity."""
        super().__init__()
        self.config = config
        self.segments, self.diversity = config.segments, config.diversity
        self.pool = FeaturePool(entries_GM3LHW)
        self.selectors = FeatureSelectors(
            classes,
            ipc,
            config.segments,
            self.pool,
            temperature=config.selectors.temperature,
            sharpness=config.selectors.sharpness,
        )
        self.fusor = TemporalFusor(config.fusor.channels)

    def forward(self) -> Tensor:
        video_N3THW: Tensor = self.fusor(self.selectors(self.pool))
        return video_N3THW.transpose(1, 2)

    def shared(self) -> list[nn.Parameter]:
        pool = self.pool.parameters() if self.config.pool.scope == "dataset" else ()
        return [*pool, *self.fusor.parameters()]

    def step_sizes(self) -> list[dict[str, object]]:
        return [
            {"params": list(part.parameters()), "lr": section.step_size}
            for part, section in (
                (self.pool, self.config.pool),
                (self.selectors, self.config.selectors),
                (self.fusor, self.config.fusor),
            )
        ]
