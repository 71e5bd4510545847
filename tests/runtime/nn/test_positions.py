"""A last layer at chosen positions only, against all of it."""

import pytest
import torch

from xlmgen.registry import load_family
from xlmgen.runtime.nn import Attention, Rotary, key_mask, select_positions
from xlmgen.runtime.nn.positions import positions_by_row

AT = torch.tensor([17, 3, 12, 9, 3, 10])
"""Of 3 rows of 6 positions: 1 in the first, as often again, 2 in the second, 3 …"""


def test_columns_are_a_table_of_the_chosen_positions():
    columns, places = positions_by_row(AT, 3, 6)
    assert columns.tolist() == [[3, 3], [3, 4], [5, 0]]
    row = AT // 6
    assert (row * 6 + columns[row, places % 2]).equal(AT)
    assert (places // 2).equal(row)
    assert len(places.unique()) == len(places)


def test_selected_positions_are_flat_and_none_is_all():
    x = torch.arange(36.0).view(3, 6, 2)
    assert select_positions(x, AT).equal(x.view(18, 2)[AT])
    assert select_positions(x, None) is x


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("num_kv_heads", [1, 4])
@pytest.mark.parametrize("mask", ["none", "keys", "pairs"])
def test_attention_from_some_positions_is_that_of_all_there(mask, num_kv_heads, learns):
    torch.manual_seed(0)
    layer, x = Attention(32, 4, num_kv_heads, causal=False), torch.randn(3, 6, 32)
    attended = torch.rand(3, 6) < 0.7
    seen = {
        "none": None,
        "keys": key_mask(attended),
        "pairs": attended[:, None, None] | torch.eye(6, dtype=torch.bool),
    }[mask]
    rotary = Rotary(8)(torch.arange(6)[None] + torch.tensor([[0], [2], [5]]))
    expected = layer(x, rotary, seen).flatten(0, 1)[AT]
    with torch.set_grad_enabled(learns):
        torch.testing.assert_close(layer(x, rotary, seen, positions=AT), expected)


@pytest.mark.parametrize("name", ["mlm", "mdlm", "llada"])
def test_network_is_the_same_where_its_last_block_is_narrow(name):
    """How many positions went through each feed-forward is counted."""
    model = load_family(name).model(16, d_model=16, layers=3, num_heads=2).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    fed = []
    for block in model.blocks:
        block.feedforward.register_forward_hook(lambda _, x, y: fed.append(y.shape[:2]))
    ids = torch.randint(16, (3, 6))
    attended = torch.arange(6) < torch.tensor([[6], [5], [6]])
    for mode in (torch.enable_grad, torch.inference_mode):
        with mode():
            every = model(ids, attended).flatten(0, 1)
            fed.clear()
            chosen = model(ids, attended, positions=AT)
        assert fed == [(3, 6), (3, 6), (len(AT), 16)]
        torch.testing.assert_close(chosen, every[AT])
