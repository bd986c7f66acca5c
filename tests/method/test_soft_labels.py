from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.soft_labels import SoftLabels, soft_labels
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views, whole

LOGITS_NKC = torch.tensor([[[4.0, 0.0], [0.0, 2.0]], [[1.0, 1.0], [3.0, -1.0]]])


def views(*stretches: tuple[int, float, float]) -> Views:
    index, start, end = zip(*stretches, strict=True)
    return Views(torch.tensor(index), torch.tensor(start), torch.tensor(end), shortest=0.1)


def test_a_view_has_the_labels_of_what_it_shows() -> None:
    soft = SoftLabels(LOGITS_NKC, 1.0)
    seen = views((0, 0.0, 0.5), (0, 0.5, 1.0), (1, 0.6, 0.7), (1, 0.0, 1.0), (0, 0.25, 0.625))
    expected = [[4.0, 0.0], [0.0, 2.0], [3.0, -1.0], [2.0, 0.0], [8 / 3, 2 / 3]]
    assert torch.allclose(soft.of_views(seen), torch.tensor(expected))


@given(st.integers(1, 7), st.integers(0, 1 << 20))
def test_a_view_of_one_segment_has_its_labels_however_many_there_are(segments: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits_NKC = torch.randn(3, segments, 4, generator=generator)
    piece_P = torch.arange(3 * segments)
    augmentation = TemporalAugmentation(segments, speed=1.5)  # faster views stay within their segment
    seen = augmentation.of_synthetic(piece_P // segments, piece_P % segments, generator)
    assert torch.allclose(SoftLabels(logits_NKC, 2.0).of_views(seen), logits_NKC.flatten(0, 1), atol=1e-4)


def test_the_loss_is_least_where_a_student_says_what_the_teachers_say() -> None:
    soft, seen = SoftLabels(LOGITS_NKC, 3.0), views((0, 0.0, 0.5), (1, 0.5, 1.0))
    scores_BC = soft.of_views(seen).clone().requires_grad_()
    soft.loss(scores_BC, seen).backward()
    assert scores_BC.grad is not None
    assert scores_BC.grad.abs().max() < 1e-6
    assert soft.loss(scores_BC + torch.tensor([1.0, 0.0]), seen) > soft.loss(scores_BC, seen)


def test_one_hot_labels_are_classes() -> None:
    logits_NKC = 1e4 * functional.one_hot(torch.tensor([[1], [0]]), 2).float()
    scores_BC = torch.tensor([[0.3, -0.2], [1.5, 0.1]])
    found = SoftLabels(logits_NKC, 1.0).loss(scores_BC, whole(torch.tensor([0, 1])))
    assert torch.isclose(found, functional.cross_entropy(scores_BC, torch.tensor([1, 0])))


@pytest.mark.parametrize("temperature", [10.0, 100.0])
def test_gradients_are_as_large_whatever_the_temperature(temperature: float) -> None:
    """Far above the logits they tend to (z_student − z_teacher) / C, both centred; divided by B for the mean."""
    scores_BC = torch.tensor([[0.5, -0.5], [0.0, 0.0]], requires_grad=True)
    seen = views((0, 0.0, 0.5), (0, 0.5, 1.0))
    SoftLabels(LOGITS_NKC / 10, temperature).loss(scores_BC, seen).backward()
    centred = LOGITS_NKC[0] / 10 - (LOGITS_NKC[0] / 10).mean(1, keepdim=True)
    assert torch.allclose(scores_BC.grad, (scores_BC.detach() - centred) / 2 / 2, rtol=0.02)  # type: ignore[arg-type]


class _Brightness(nn.Module):
    """A teacher: scores are the brightness of a clip at its beginning and at its end, times something."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x_B3THW: Tensor) -> Tensor:
        return self.factor * x_B3THW.mean((1, 3, 4))[:, [0, -1]]


def test_each_piece_is_shown_by_itself_and_teachers_are_averaged() -> None:
    bright_NT = torch.arange(0, 240, 10).view(3, 8)
    videos_NT3HW = bright_NT[..., None, None, None].expand(3, 8, 3, 4, 4).to(torch.uint8)
    plain = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "cpu")
    teachers = [_Brightness(255.0), _Brightness(3 * 255.0)]
    found = soft_labels(videos_NT3HW, 2, teachers, plain, 4, 5.0)  # type: ignore[arg-type]
    assert found.temperature == 5.0
    first, last = bright_NT[:, [0, 4]], bright_NT[:, [3, 7]]  # of the pieces' four frames
    assert torch.allclose(found.logits_NKC, 2.0 * torch.stack([first, last], 2), atol=0.01)


def test_many_pieces_are_no_other_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    videos_NT3HW = torch.randint(0, 256, (5, 6, 3, 4, 4), dtype=torch.uint8)
    plain = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "cpu")
    together = soft_labels(videos_NT3HW, 3, [_Brightness(1.0)], plain, 4, 1.0)  # type: ignore[list-item]
    monkeypatch.setattr("idtd_cli.method.soft_labels._AT_A_TIME", 2)
    apart = soft_labels(videos_NT3HW, 3, [_Brightness(1.0)], plain, 4, 1.0)  # type: ignore[list-item]
    assert torch.allclose(together.logits_NKC, apart.logits_NKC, atol=1e-6)
