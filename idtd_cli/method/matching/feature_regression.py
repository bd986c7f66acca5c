"""Feature regression (FRePo; Zhou, Nezhadarya & Ba, arXiv 2206.00719): synthetic features predict real labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from idtd_cli.method.matching.learning_networks import LearningNetworks
from idtd_cli.method.matching.matching import Match, Matching
from idtd_cli.method.network import Network
from idtd_cli.method.views import RealViews, SyntheticViews
from idtd_cli.recipe import DistillConfig


class FeatureRegression(Matching):
    """Kernel ridge regression on the embeddings of networks that learn from the synthetic videos."""

    def __init__(self, config: DistillConfig, real: RealViews, draw_network: Callable[[int], Network]) -> None:
        super().__init__()
        self._config, self._real = config, real
        self.learning = LearningNetworks(config.frepo, config.seed, draw_network)

    def look(self, turn: int) -> _Look:
        network = self.learning.of_turn(turn)
        real_BD = self._real.embedded(network.embed, self._config, turn)
        return _Look(network, real_BD.unflatten(0, (self._real.classes, -1)), self._config.frepo.ridge)

    def learn(self, turn: int, videos_NT3HW: Tensor, views: SyntheticViews, generator: torch.Generator) -> None:
        self.learning.learn(turn, videos_NT3HW, views, generator)


@dataclass(frozen=True)
class _Look:
    """The real clips as one network sees them."""

    network: Network
    real_CBD: Tensor
    ridge: float

    @property
    def centre_C1D(self) -> Tensor:
        return self.real_CBD.float().mean(1, keepdim=True)

    def embed(self, x_B3THW: Tensor) -> Tensor:
        return self.network.embed(x_B3THW)

    def match(self, videos_NT3HW: Tensor, views: SyntheticViews, generator: torch.Generator) -> Match:
        embedding_PD = self.embed(views.show(videos_NT3HW, views.draw(generator)))
        synthetic_CVD = embedding_PD.unflatten(0, (len(self.real_CBD), -1))
        return Match(feature_regression(self.real_CBD, synthetic_CVD, self.ridge), embedding_PD)


def feature_regression(real_CBD: Tensor, synthetic_CVD: Tensor, ridge: float) -> Tensor:
    """Half the squared error of the labels that a ridge regression on synthetic features predicts for real ones.

    Labels are one-hot less 1/C, and fixed; the error is summed over them and averaged over the real clips. Computed in
    double precision: a kernel of features that are much alike is close to singular.

    Args:
        real_CBD: features of B real clips of each class.
        synthetic_CVD: features of V views of the synthetic videos of each class.
        ridge: in units of the mean of the kernel's diagonal.
    """
    (classes, clips, _), views = real_CBD.shape, synthetic_CVD.shape[1]
    real_TD, synthetic_SD = real_CBD.double().flatten(0, 1), synthetic_CVD.double().flatten(0, 1)
    label_CC = torch.eye(classes, dtype=torch.float64, device=real_TD.device) - 1 / classes
    label_TC, label_SC = label_CC.repeat_interleave(clips, 0), label_CC.repeat_interleave(views, 0)

    kernel_SS = synthetic_SD @ synthetic_SD.T
    diagonal_S = (ridge * kernel_SS.diagonal().mean()).expand(len(kernel_SS))
    # `_ex`: the plain functions look whether they succeeded, which makes the host wait for the device.
    factor_SS, _ = torch.linalg.cholesky_ex(kernel_SS + diagonal_S.diag())
    predicted_TC = real_TD @ synthetic_SD.T @ torch.cholesky_solve(label_SC, factor_SS)
    return functional.mse_loss(predicted_TC, label_TC, reduction="sum").float() / (2 * len(label_TC))
