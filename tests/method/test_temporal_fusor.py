from __future__ import annotations

import torch

from idtd_cli.method.temporal_fusor import TemporalFusor

N, K, L = 2, 3, 4


def segments() -> torch.Tensor:
    return torch.randn(N, K, 3, L, 6, 5, generator=torch.Generator().manual_seed(0))


def trained() -> TemporalFusor:
    """A fusor whose residual is not zero any more."""
    torch.manual_seed(0)
    fusor = TemporalFusor(4)
    last = fusor.residual[-1]
    assert isinstance(last, torch.nn.Conv3d)
    torch.nn.init.normal_(last.weight)
    return fusor


def test_it_starts_as_the_segments_one_after_another() -> None:
    z = segments()
    video = TemporalFusor(4)(z)
    assert video.shape == (N, 3, K * L, 6, 5)
    for k in range(K):
        assert torch.equal(video[:, :, k * L : (k + 1) * L], z[:, k])


def test_it_joins_neighbouring_segments_and_no_other_videos() -> None:
    fusor, z = trained(), segments()
    before = fusor(z)
    changed = z.clone()
    changed[0, 1, :, 0] += 1  # the first frame of the second segment
    moved = (fusor(changed) != before).any(1).flatten(2).any(-1)
    assert not moved[1].any()
    # Two convolutions over three frames each: two frames to either side.
    assert moved[0].nonzero().flatten().tolist() == [L - 2, L - 1, L, L + 1, L + 2]


def test_it_learns_from_its_first_step_on() -> None:
    fusor, z = TemporalFusor(4), segments()
    start = fusor(z).detach()
    optimiser = torch.optim.SGD(fusor.parameters(), lr=0.01)
    for _ in range(2):  # the first moves the last convolution away from zero, the second reaches the one before it
        optimiser.zero_grad()
        fusor(z).square().mean().backward()
        optimiser.step()
    assert not torch.equal(fusor(z), start)
    assert all(parameter.grad is not None and (parameter.grad != 0).any() for parameter in fusor.parameters())
