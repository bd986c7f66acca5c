from __future__ import annotations

import torch

from idtd_cli.method.synthesizer import Synthesizer
from idtd_cli.recipe import IdtdConfig

C, IPC, K, M, L = 2, 2, 3, 6, 2


def synthesizer(**selectors: float) -> Synthesizer:
    config = IdtdConfig.model_validate(
        {
            "segments": K,
            "diversity": 0.5,
            "pool": {"step_size": 3},
            "selectors": {"step_size": 2} | selectors,
            "fusor": {"channels": 4, "step_size": 1},
        }
    )
    entries = torch.randn(C, M, 3, L, 4, 5, generator=torch.Generator().manual_seed(0))
    return Synthesizer(config, C, IPC, entries)


def test_it_starts_as_real_segments_one_after_another() -> None:
    made = synthesizer(sharpness=1 - 1e-6)
    videos = made()
    assert videos.shape == (C * IPC, K * L, 3, 4, 5)
    for n in range(C * IPC):
        for k in range(K):
            entry = made.pool.entries_GM3LHW[n // IPC, n % IPC * K + k].transpose(0, 1)
            torch.testing.assert_close(videos[n, k * L : (k + 1) * L], entry, atol=1e-4, rtol=0)


def test_the_loop_finds_what_it_needs() -> None:
    made = synthesizer()
    assert (made.segments, made.diversity) == (K, 0.5)


def test_each_part_has_its_own_step_size() -> None:
    made = synthesizer()
    groups = made.step_sizes()
    assert [group["lr"] for group in groups] == [3, 2, 1]
    parts = (made.pool, made.selectors, made.fusor)
    for group, part in zip(groups, parts, strict=True):
        assert [id(p) for p in group["params"]] == [id(p) for p in part.parameters()]  # type: ignore[attr-defined]
    assert sum(len(list(part.parameters())) for part in parts) == len(list(made.parameters()))


def test_a_loss_on_the_videos_reaches_every_part() -> None:
    made = synthesizer()
    optimiser = torch.optim.SGD(made.step_sizes(), lr=0.1)
    for _ in range(2):  # the fusor's first convolution is reached once its last one has left zero
        optimiser.zero_grad()
        made().square().mean().backward()
        optimiser.step()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name
