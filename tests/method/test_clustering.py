from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli.method.clustering import cluster_means


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 1000))
def test_far_apart_groups_are_found(seed: int) -> None:
    where = torch.tensor([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]])
    points = where.repeat_interleave(7, 0) + torch.randn(21, 2, generator=seeded(seed))
    found = cluster_means(points, 3, seeded(seed))
    expected = points.view(3, 7, 2).mean(1)
    assert torch.cdist(expected, found).min(1).values.max() < 1e-3


@given(st.integers(1, 12), st.integers(0, 1000), st.booleans())
def test_the_clusters_are_a_partition(clusters: int, seed: int, copies: bool) -> None:
    """Each mean is the mean of the points that are nearest to it, and with no copies among the points each has some."""
    points = torch.randn(12, 3, generator=seeded(seed))
    if copies:
        points = points[:3].repeat(4, 1)
    found = cluster_means(points, clusters, seeded(seed))
    assert found.shape == (clusters, 3)
    nearest = torch.cdist(points, found).argmin(1)
    assert copies or set(nearest.tolist()) == set(range(clusters))
    for cluster in set(nearest.tolist()):
        torch.testing.assert_close(found[cluster], points[nearest == cluster].mean(0))


def test_as_many_clusters_as_points_are_the_points() -> None:
    points = torch.randn(6, 4, generator=seeded())
    found = cluster_means(points, 6, seeded())
    assert torch.cdist(points, found).min(1).values.max() < 1e-5


def test_one_cluster_is_the_mean() -> None:
    points = torch.randn(6, 4, generator=seeded())
    torch.testing.assert_close(cluster_means(points, 1, seeded()), points.mean(0, keepdim=True))


def test_the_generator_decides() -> None:
    points = torch.randn(40, 4, generator=seeded())
    one, two = (cluster_means(points, 5, seeded(1)) for _ in range(2))
    assert torch.equal(one, two)


def test_more_clusters_than_points_are_refused() -> None:
    with pytest.raises(ValueError, match="3 clusters of 2 points"):
        cluster_means(torch.zeros(2, 1), 3, seeded())
