from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli.method.normalisation import Normalisation, PeerNormalisation, for_network

_MEAN = st.tuples(*[st.floats(0, 1)] * 3)
_STD = st.tuples(*[st.floats(0, 0.5)] * 3)


@given(_MEAN, _STD)
def test_every_value_comes_back(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    normalisation = Normalisation(mean, std, "cpu")
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 1, 16, 16).expand(1, 2, 3, 16, 16)
    assert torch.equal(normalisation.to_uint8(normalisation.normalise(every)), every)


def test_each_channel_has_zero_mean_and_unit_variance() -> None:
    clips = torch.randint(0, 256, (4, 5, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    clips[:, :, 1] //= 4
    share = clips.double() / 255
    over = (0, 1, 3, 4)
    normalisation = Normalisation(share.mean(over).tolist(), share.std(over, correction=0).tolist(), "cpu")
    normalised = normalisation.normalise(clips)
    torch.testing.assert_close(normalised.mean(over), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.std(over, correction=0), torch.ones(3))


def test_the_peers_standardise_each_batch_over_all_of_it() -> None:
    clips = torch.randint(0, 90, (4, 5, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    clips[:, :, 1] += 100
    seen = PeerNormalisation("cpu").batch(clips)
    assert seen.mean().abs() < 1e-5
    assert seen.std() == pytest.approx(1, abs=1e-5)
    assert seen[:, :, 1].mean() > 1  # channels are not brought together
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    by_hand = (clips / 255 - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(seen, (by_hand - by_hand.mean()) / by_hand.std(), atol=1e-4, rtol=1e-4)


def test_what_a_file_cannot_hold_is_clipped() -> None:
    normalisation = Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "cpu")
    wild = torch.tensor([-9.0, 0.0, 9.0]).view(1, 3, 1, 1, 1).expand(1, 3, 3, 1, 1)
    assert normalisation.to_uint8(wild)[0, :, 0, 0, 0].tolist() == [0, 128, 255]


def test_networks_take_channels_first() -> None:
    clips = torch.rand(2, 4, 3, 6, 5)
    given_to_network = for_network(clips)
    assert given_to_network.shape == (2, 3, 4, 6, 5)
    assert given_to_network.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(given_to_network[1, 2, 3], clips[1, 3, 2])
