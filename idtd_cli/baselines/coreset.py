"""Coresets: the few real clips of a class that stand for all of it, by where a trained network sees them.

Both choices are greedy and draw nothing at random: the first n clips are the same however many are asked for, and of
clips that are equally good the first is taken.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.real_clips import RealClips

#: embeddings (N, D) of the clips of a class → indices of as many different ones as asked for, the best first
Choice = Callable[[Tensor, int], Tensor]


def herding(x_ND: Tensor, count: int) -> Tensor:
    """Clips whose mean is that of the class: each one brings the mean of those chosen as near to it as any can.

    Welling, "Herding dynamical weights to learn", ICML 2009; in the form of iCaRL (Rebuffi et al., CVPR 2017), which
    takes no clip twice.
    """
    x_ND = x_ND.double()
    mean_D, sum_D = x_ND.mean(0), torch.zeros_like(x_ND[0])
    chosen: list[Tensor] = []
    for size in range(1, count + 1):
        # By sums instead of means, which is `size` times as far.
        squared_N = (sum_D + x_ND - size * mean_D).square().sum(1)
        chosen.append(_without(squared_N, chosen, torch.inf).argmin())
        sum_D = sum_D + x_ND[chosen[-1]]
    return torch.stack(chosen)


def k_center(x_ND: Tensor, count: int) -> Tensor:
    """Clips that no other of the class is far from: the one nearest to the mean, then always the farthest from all.

    Gonzalez, "Clustering to minimize the maximum intercluster distance", TCS 1985, whose first centre is any; the
    largest distance is at most twice the least possible. Sener & Savarese, ICLR 2018, choose coresets so.
    """
    x_ND = x_ND.double()
    chosen = [(x_ND - x_ND.mean(0)).square().sum(1).argmin()]
    squared_N = torch.full_like(x_ND[:, 0], torch.inf)
    for _ in range(count - 1):
        squared_N = torch.minimum(squared_N, (x_ND - x_ND[chosen[-1]]).square().sum(1))
        chosen.append(_without(squared_N, chosen, -torch.inf).argmax())  # also where only copies are left
    return torch.stack(chosen)


CHOICES: dict[str, Choice] = {"herding": herding, "k-center": k_center}


def coreset(embeddings_of: Callable[[Tensor], Tensor], count_C: Tensor, ipc: int, choice: Choice) -> Tensor:
    """Indices (C·I) of the I = `ipc` clips chosen of each class, in class order.

    The embeddings of one class are in memory at a time.

    Args:
        embeddings_of: indices (n) of clips → embeddings (n, D).
        count_C: how many clips each class has, `ipc` or more; clips are sorted by class.
        ipc: clips to choose of each class.
        choice: how.
    """
    of_class = torch.arange(int(count_C.sum()), device=count_C.device).split(count_C.tolist())
    return torch.cat([index_n[choice(embeddings_of(index_n), ipc)] for index_n in of_class])


@torch.no_grad()
def embeddings(
    real: RealClips,
    index_N: Tensor,
    embed: Callable[[Tensor], Tensor],
    normalisation: Normalisation,
    frames: int,
    batch: int = 64,
) -> Tensor:
    """Embeddings (N, D) of some clips, each whole in T = `frames` frames as a set would store it.

    `embed` takes normalised clips (B, 3, T, H, W) to embeddings (B, D).
    """
    return torch.cat(
        [embed(for_network(normalisation.normalise(real.whole(index_B, frames)))) for index_B in index_N.split(batch)]
    )


def _without(values_N: Tensor, chosen: list[Tensor], value: float) -> Tensor:
    """The values, with `value` in place of those of the clips that were chosen already."""
    return values_N.index_fill(0, torch.stack(chosen), value) if chosen else values_N
