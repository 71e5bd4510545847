"""Conversions between distributions of noisy and of clean tokens."""

import pytest
import torch

from xlmgen.runtime.uniform_noise import denoised

SUPPRESSED = (1, 4)
ORDINARY = [0, 2, 3, 5]


def with_noise(c, alpha):
    """Logits of the noisy tokens; suppressed ones have the highest."""
    logits = torch.full((len(c), 6), 9.0, dtype=torch.float64)
    logits[:, ORDINARY] = (alpha * c + (1 - alpha) / 4).log() + 3.0
    return logits


@pytest.mark.parametrize("alpha", [1e-6, 0.3, 1.0])
def test_denoised_distribution_is_the_clean_one(alpha):
    c = torch.tensor([[0.7, 0.0, 0.1, 0.2], [0.25] * 4], dtype=torch.float64)
    logits = with_noise(c, alpha)
    before = logits.clone()
    found = denoised(logits, alpha, SUPPRESSED)
    assert logits.equal(before)
    assert found[:, list(SUPPRESSED)].isneginf().all()
    expected = torch.zeros(2, 6, dtype=torch.float64)
    expected[:, ORDINARY] = c
    torch.testing.assert_close(found.softmax(-1), expected, rtol=1e-6, atol=1e-9)


def test_tokens_that_noise_alone_makes_likelier_get_no_probability():
    logits = torch.tensor([[0.9, 0.0, 0.05, 0.03, 0.0, 0.02]]).log()
    found = denoised(logits, 0.5, SUPPRESSED).softmax(-1)
    assert found[0].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_pure_noise_gives_a_distribution():
    logits = torch.zeros(3, 6)
    found = denoised(logits, 0.0, SUPPRESSED).softmax(-1)
    expected = torch.full((3, 4), 0.25, dtype=torch.float64)
    torch.testing.assert_close(found[:, ORDINARY], expected, rtol=0, atol=1e-3)
