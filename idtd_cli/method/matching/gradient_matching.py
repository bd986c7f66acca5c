"""Gradient matching (DC; Zhao, Mopuri & Bilen, arXiv 2006.05929): equal gradients of the loss, class by class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from idtd_cli.method.matching.learning_networks import LearningNetworks
from idtd_cli.method.matching.matching import Match, Matching
from idtd_cli.method.network import Network
from idtd_cli.method.shard import Shard
from idtd_cli.method.views import RealViews, SyntheticViews
from idtd_cli.recipe import DistillConfig


class GradientMatching(Matching):
    """Gradients with respect to a network's weights, of the cross-entropy of each class alone."""

    def __init__(self, config: DistillConfig, real: RealViews, draw_network: Callable[[int], Network]) -> None:
        super().__init__()
        self._config, self._real = config, real
        self.learning = LearningNetworks(config.dc, config.seed, draw_network)

    def look(self, turn: int) -> _Look:
        network = self.learning.of_turn(turn)
        clips = self._real.of_turn(self._config, turn).unflatten(0, (self._real.classes, -1))
        with torch.no_grad():
            gradients, embedding_CBD = class_gradients(network, clips, self._real.shard.classes.start)
        return _Look(network, self._real.shard, gradients, embedding_CBD.float().mean(1, keepdim=True))

    def learn(self, turn: int, videos_NT3HW: Tensor, views: SyntheticViews, generator: torch.Generator) -> None:
        self.learning.learn(turn, videos_NT3HW, views, generator)


@dataclass(frozen=True)
class _Look:
    """The gradients that the real clips give in one network.

    The loss is the mean over rows of the published sum: of order 1 for any network, so that the weight of the
    diversity loss means the same in all.
    """

    network: Network
    shard: Shard
    gradients: dict[str, Tensor]
    centre_C1D: Tensor

    def embed(self, x_B3THW: Tensor) -> Tensor:
        return self.network.embed(x_B3THW)

    def match(self, videos_NT3HW: Tensor, views: SyntheticViews, generator: torch.Generator) -> Match:
        x_P3THW = views.show(videos_NT3HW, views.draw(generator))
        x_CV3THW = x_P3THW.unflatten(0, (len(self.centre_C1D), -1))
        gradients, embedding_CVD = class_gradients(self.network, x_CV3THW, self.shard.classes.start)
        rows = self.shard.of * sum(gradient.shape[1] for gradient in gradients.values())
        return Match(gradient_distance(self.gradients, gradients) / rows, embedding_CVD.flatten(0, 1))


def class_gradients(network: Network, x_CB3THW: Tensor, first: int = 0) -> tuple[dict[str, Tensor], Tensor]:
    """Gradients of the mean cross-entropy of each class's clips, and the clips' embeddings.

    All classes in one batch (`vmap` makes the weight gradients of a convolution one grouped convolution), and
    differentiable in the clips.

    Args:
        network: in eval mode; a clip's scores must not depend on other clips.
        x_CB3THW: B clips of each of C classes.
        first: number of the first of these classes.

    Returns:
        name of a weight → gradients (C, …), for weights that are matrices or convolutions: biases, and scales and
        offsets of norms, are left out, as published. Embeddings (C, B, D).
    """
    classes, count = x_CB3THW.shape[:2]
    label_CB = torch.arange(first, first + classes, device=x_CB3THW.device)[:, None].expand(classes, count)
    model = _CrossEntropy(network)
    weights: dict[str, Tensor] = {name: weight for name, weight in model.named_parameters() if weight.ndim > 1}

    def loss(weights: dict[str, Tensor], x_B3THW: Tensor, label_B: Tensor) -> tuple[Tensor, Tensor]:
        value, embedding_BD = functional_call(model, weights, (x_B3THW, label_B))
        return value, embedding_BD

    gradients, embedding_CBD = vmap(grad(loss, has_aux=True), in_dims=(None, 0, 0))(weights, x_CB3THW, label_CB)
    return gradients, embedding_CBD


def gradient_distance(real: dict[str, Tensor], synthetic: dict[str, Tensor]) -> Tensor:
    """1 − cosine between the gradients of each row of each weight, summed over rows, weights and classes.

    A row is all that leads to one output. One whose gradient is zero counts 1.

    Args:
        real: name of a weight → gradients (C, out, …).
        synthetic: the same names and shapes.
    """
    distances = [
        1 - functional.cosine_similarity(real[name].float().flatten(2), gradient.float().flatten(2), dim=2)
        for name, gradient in synthetic.items()
    ]
    return torch.stack([distance_CR.sum() for distance_CR in distances]).sum()


class _CrossEntropy(nn.Module):
    """A network's loss and embeddings in one call, as `functional_call` wants it."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x_B3THW: Tensor, label_B: Tensor) -> tuple[Tensor, Tensor]:
        embedding_BD = self.network.embed(x_B3THW)
        return functional.cross_entropy(self.network.classify(embedding_BD), label_B), embedding_BD
