from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli.method.feature_pool import FeaturePool
from idtd_cli.method.feature_selectors import FeatureSelectors


def pool(groups: int, size: int) -> FeaturePool:
    return FeaturePool(torch.randn(groups, size, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0)))


def weights(selectors: FeatureSelectors) -> torch.Tensor:
    return torch.softmax(selectors.logits_CIKM / selectors.temperature, dim=-1).detach()


@given(
    classes=st.integers(1, 4),
    instances=st.integers(1, 3),
    segments=st.integers(1, 3),
    spare=st.integers(0, 5),
    scope=st.sampled_from(["class", "dataset"]),
    temperature=st.floats(0.05, 20),
    sharpness=st.floats(0.5, 0.99),
)
def test_each_selector_starts_near_an_entry_of_its_own(
    classes: int, instances: int, segments: int, spare: int, scope: str, temperature: float, sharpness: float
) -> None:
    shared = instances * segments * (classes if scope == "dataset" else 1)
    size = max(3, shared + spare)
    shared_pool = pool(classes if scope == "class" else 1, size)
    selectors = FeatureSelectors(
        classes, instances, segments, shared_pool, temperature=temperature, sharpness=sharpness
    )
    start = weights(selectors)
    largest, own = start.max(-1)
    torch.testing.assert_close(largest, torch.full_like(largest, sharpness))
    rest = start[start < largest[..., None]]
    torch.testing.assert_close(rest, torch.full_like(rest, (1 - sharpness) / (size - 1)))
    for of_one_pool in [own.flatten()] if shared_pool.groups == 1 else own.flatten(1):
        assert len(set(of_one_pool.tolist())) == len(of_one_pool)


@pytest.mark.parametrize(("groups", "needed"), [(3, 2 * 2), (1, 3 * 2 * 2)])
def test_a_pool_with_too_few_entries_is_refused(groups: int, needed: int) -> None:
    FeatureSelectors(3, 2, 2, pool(groups, needed), temperature=1, sharpness=0.9)
    with pytest.raises(ValueError, match=f"{needed} selectors share a pool of {needed - 1} entries"):
        FeatureSelectors(3, 2, 2, pool(groups, needed - 1), temperature=1, sharpness=0.9)


def test_instances_come_in_class_order() -> None:
    shared = pool(3, 4)
    selectors = FeatureSelectors(3, 2, 2, shared, temperature=0.1, sharpness=1 - 1e-6)
    z = selectors(shared)
    assert z.shape == (6, 2, 3, 2, 4, 4)
    own = torch.arange(3)[:, None], torch.arange(4)
    torch.testing.assert_close(z.flatten(0, 1), shared.entries_GM3LHW[own].flatten(0, 1), atol=1e-4, rtol=0)


def test_gain_and_offset_are_of_one_channel_of_one_segment() -> None:
    shared = pool(1, 12)
    selectors = FeatureSelectors(3, 2, 2, shared, temperature=1, sharpness=0.9)
    before = selectors(shared).detach()
    with torch.no_grad():
        selectors.gain_CIK3[1, 1, 0, 2] = 2
        selectors.offset_CIK3[1, 1, 0, 2] = 0.5
    after = selectors(shared).detach()
    torch.testing.assert_close(after[3, 0, 2], 2 * before[3, 0, 2] + 0.5)
    changed = (after != before).flatten(3).any(-1)
    assert changed.nonzero().tolist() == [[3, 0, 2]]


def test_selectors_and_pool_learn_together() -> None:
    shared = pool(2, 4)
    selectors = FeatureSelectors(2, 1, 2, shared, temperature=1, sharpness=0.9)
    selectors(shared).square().sum().backward()
    for parameter in (*selectors.parameters(), *shared.parameters()):
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
        assert (parameter.grad != 0).any()
