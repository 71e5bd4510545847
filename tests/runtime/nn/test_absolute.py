"""Embeddings of absolute positions."""

import pytest
import torch

from xlmgen.runtime.nn import AbsolutePositions


@pytest.fixture
def layer():
    torch.manual_seed(0)
    layer = AbsolutePositions(32)
    torch.nn.init.normal_(layer.projection.weight, std=32**-0.5)
    return layer


def test_even_and_odd_positions_differ_in_one_feature():
    features = AbsolutePositions(32)
    torch.nn.init.eye_(features.projection.weight)
    bit = features(torch.arange(2000)[None])[0, :, 0]
    expected = torch.tensor([1.0, -1.0]).repeat(1000)
    torch.testing.assert_close(bit, expected, atol=1e-3, rtol=0)


def test_positions_can_be_told_apart_as_by_a_table(layer):
    """A linear readout of the embeddings gives any function of 24 positions."""
    embedded = layer(torch.arange(24)[None])[0].double()
    assert torch.linalg.matrix_rank(embedded) == 24
    targets = torch.randn(24, 3, dtype=torch.float64)
    readout = torch.linalg.lstsq(embedded, targets).solution
    torch.testing.assert_close(embedded @ readout, targets, atol=1e-6, rtol=1e-4)


def test_far_positions_stay_distinct(layer):
    embedded = layer(torch.tensor([[0, 1, 511, 512, 4095, 4096, 19_999]]))[0]
    distances = torch.cdist(embedded, embedded) + 9 * torch.eye(7)
    assert distances.min() > 0.5


def test_embedding_depends_on_the_position_alone(layer):
    positions = torch.tensor([[0, 1, 2, 3], [2, 3, 0, 0]])
    embedded = layer(positions)
    assert embedded.shape == (2, 4, 32)
    torch.testing.assert_close(embedded[1, :2], embedded[0, 2:])
    torch.testing.assert_close(embedded[1, 2:], embedded[0, [0, 0]])


def test_scale_is_that_of_a_token_embedding(layer):
    variance = layer(torch.arange(200)[None]).var()
    assert 0.3 < variance < 1.2


def test_only_the_projection_is_saved(layer):
    assert list(layer.state_dict()) == ["projection.weight"]
