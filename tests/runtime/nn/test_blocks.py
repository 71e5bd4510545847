"""The mask of block diffusion against its definition, one pair at a time."""

import pytest
import torch

from xlmgen.runtime.nn import block_diffusion_mask


def sees(query, key, context, noisy, size):
    """Whether a place sees another; noisy ones come first, then all clean ones."""

    def block(place):
        column = place if place < noisy else place - noisy - context
        return column // size if column >= 0 else -1

    if query < noisy:
        if key < noisy:
            return block(query) == block(key)
        return block(key) < block(query)
    return key >= noisy and block(key) <= block(query)


@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize("context", [0, 1, 3])
def test_mask_is_the_definition(context, size):
    noisy = 5
    clean = torch.zeros(2, context + noisy, dtype=torch.int64)
    mask = block_diffusion_mask(noisy, clean, size, None)
    places = range(context + 2 * noisy)
    expected = [[sees(q, k, context, noisy, size) for k in places] for q in places]
    assert mask.shape[:2] == (1, 1)
    assert mask[0, 0].tolist() == expected


def test_pads_are_seen_by_nobody_in_either_copy():
    clean = torch.zeros(2, 6, dtype=torch.int64)
    attended = torch.ones(2, 6, dtype=torch.bool)
    attended[0, 0] = attended[1, 4:] = False
    mask = block_diffusion_mask(4, clean, 2, attended)
    plain = block_diffusion_mask(4, clean, 2, None)
    hidden = torch.zeros(2, 10, dtype=torch.bool)
    hidden[0, 4] = True  # the clean copy of column 0
    hidden[1, 2:4] = hidden[1, 8:] = True  # both copies of columns 4 and 5
    assert mask.equal(plain & ~hidden[:, None, None])
