"""Attention and its masks against a loop that follows the definition."""

import math

import pytest
import torch

from xlmgen.runtime.nn import Attention, Rotary, causal_mask, key_mask, token_positions
from xlmgen.runtime.nn.rotary import rotate


def plain_attention(layer, x, positions, seen):
    """Softmax attention, one head and one query at a time.

    Args:
        x: (L, D).
        positions: (L,).
        seen: (L, L) bool, query by key.
    """
    length, width = x.shape
    size = layer.head_dim
    rows = layer.qkv.weight.view(-1, size, width)
    cos, sin = Rotary(size)(positions[None])
    out = torch.zeros(length, layer.num_heads, size)
    for head in range(layer.num_heads):
        group = head * layer.num_kv_heads // layer.num_heads
        q = rotate(x @ rows[head].T, (cos[0, 0], sin[0, 0]))
        k = rotate(x @ rows[layer.num_heads + group].T, (cos[0, 0], sin[0, 0]))
        v = x @ rows[layer.num_heads + layer.num_kv_heads + group].T
        for i in range(length):
            scores = torch.tensor(
                [
                    float(q[i] @ k[j]) / math.sqrt(size) if seen[i, j] else -math.inf
                    for j in range(length)
                ]
            )
            out[i, head] = scores.softmax(0) @ v
    return out.reshape(length, -1) @ layer.out.weight.T


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_the_definition(causal, num_kv_heads):
    torch.manual_seed(0)
    layer = Attention(16, 4, num_kv_heads, causal=causal)
    x, length = torch.randn(1, 5, 16), 5
    positions = torch.arange(length)
    seen = torch.ones(length, length).tril().bool() if causal else torch.ones(5, 5) > 0
    with torch.no_grad():
        y = layer(x, Rotary(4)(positions[None]))
        torch.testing.assert_close(y[0], plain_attention(layer, x[0], positions, seen))


def test_key_mask_hides_pads():
    torch.manual_seed(0)
    layer = Attention(8, 2, 2, causal=False)
    x, attended = torch.randn(2, 4, 8), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]) > 0
    positions = token_positions(torch.zeros(2, 4), attended)
    with torch.no_grad():
        y = layer(x, Rotary(4)(positions), key_mask(attended))
        seen = attended[0].expand(4, 4)
        expected = plain_attention(layer, x[0], positions[0], seen)
    torch.testing.assert_close(y[0], expected)


@pytest.mark.parametrize("past", [0, 2])
@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("padded", [False, True])
def test_causal_mask_is_the_definition(past, length, padded):
    """A query sees what is attended and not behind it; a pad sees itself too."""
    keys = past + length
    attended = torch.ones(2, keys, dtype=torch.bool)
    if padded:
        attended[1, :2] = False
    ids = torch.zeros(2, length, dtype=torch.int64)
    mask = causal_mask(ids, attended if padded else None, past)
    if mask is None:  # `Attention` does it: everything, or plainly causal
        assert not padded
        assert length == 1 or past == 0
        return
    mask = mask.expand(2, 1, length, keys)
    for row in range(2):
        for query in range(length):
            for key in range(keys):
                own = key == past + query
                seen = bool(attended[row, key]) and key <= past + query
                if own and length == 1:
                    continue  # the newest token is never a pad
                assert mask[row, 0, query, key] == (seen or own)


DOCUMENTS = torch.tensor([[1, 1, 2, 2, 2], [1, 2, 3, 0, 0], [1, 1, 1, 1, 1]])


@pytest.mark.parametrize("past", [0, 2])
def test_masks_of_documents_are_the_definition(past):
    """A query sees the tokens of its document, and, if causal, those before it."""
    length = DOCUMENTS.shape[1] - past
    causal = causal_mask(torch.zeros(3, length), DOCUMENTS, past)
    assert causal.shape == (3, 1, length, past + length)
    both = key_mask(DOCUMENTS)
    for row, documents in enumerate(DOCUMENTS.tolist()):
        for query, document in enumerate(documents):
            same = [other == document for other in documents]
            assert both[row, 0, query].tolist() == same
            if query >= past:
                seen = [yes and key <= query for key, yes in enumerate(same)]
                assert causal[row, 0, query - past].tolist() == seen


def test_positions_begin_again_with_every_document():
    ids = torch.zeros(3, 5)
    expected = [[0, 1, 0, 1, 2], [0, 0, 0, 0, 1], [0, 1, 2, 3, 4]]
    assert token_positions(ids, DOCUMENTS).tolist() == expected
    after = token_positions(ids[:, 2:], DOCUMENTS, past=2)
    assert after.tolist() == [row[2:] for row in expected]


def test_positions_count_attended_tokens_on_either_side():
    ids = torch.zeros(3, 4)
    attended = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1]]) > 0
    positions = token_positions(ids, attended)
    assert positions[attended].tolist() == [0, 1, 0, 1, 0, 1, 2, 3]
    assert positions.min() == 0


def test_positions_go_on_behind_a_cache():
    new = torch.zeros(2, 1)
    attended = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]]) > 0
    assert token_positions(new, attended, past=3).tolist() == [[2], [3]]
    assert token_positions(new, None, past=3).tolist() == [[3]]


def test_rotated_products_depend_on_the_distance_only():
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)
    rotary = Rotary(8)

    def product(i, j):
        at = [rotary(torch.tensor([[p]])) for p in (i, j)]
        return float((rotate(q, at[0]) * rotate(k, at[1])).sum())

    assert product(5, 2) == pytest.approx(product(103, 100), abs=1e-4)
    assert product(5, 2) != pytest.approx(product(5, 3), abs=1e-3)
    assert float(rotate(q, rotary(torch.tensor([[7]]))).norm()) == pytest.approx(
        float(q.norm()), rel=1e-5
    )


def test_rotation_turns_each_pair_by_its_frequency():
    x = torch.tensor([1.0, 0.0, 0.0, 2.0]).view(1, 1, 1, 4)
    y = rotate(x, Rotary(4, theta=100.0)(torch.tensor([[3]])))
    slow = 3 * 100.0**-0.5
    expected = [math.cos(3), -2 * math.sin(slow), math.sin(3), 2 * math.cos(slow)]
    torch.testing.assert_close(y.flatten(), torch.tensor(expected))
