"""Tests of the remnant oracle by brute force."""

import math

import pytest
import torch

from xlmgen.runtime.noise import CosineSchedule, LinearSchedule
from xlmgen.runtime.special_tokens import SpecialTokens
from xlmgen.testing.remnants import (
    MASKED,
    MISSING,
    VISIBLE,
    RemnantOracle,
    fate_chances,
    insertion_slack,
    remnants,
)
from xlmgen.testing.toy import make_toy, seeded

TOKENS = SpecialTokens(vocab_size=8)
LINEAR = LinearSchedule()


def toy():
    return make_toy(
        TOKENS, prompts=[(5,), (6,)], lengths=range(3), bos=True, eos=False, pads=False
    )


def test_mask_probability_equals_integral_for_linear_schedules():
    t = torch.tensor([0.9, 0.5, 0.03]).double()
    chances = fate_chances(LINEAR, LINEAR, t)
    torch.testing.assert_close(chances[:, MISSING], t)
    torch.testing.assert_close(chances[:, MASKED], -t * t.log())
    torch.testing.assert_close(chances.sum(1), torch.ones(3).double())


def test_mask_probability_equals_frequency_for_other_schedules():
    insert, unmask = CosineSchedule(), LINEAR
    first, second = torch.rand(2, 200_000, generator=seeded(0)).double()
    inserted = insert.inverse(first)
    unmasked = inserted * second  # uniform from T₁ to 0
    share = ((inserted >= 0.4) & (unmasked < 0.4)).double().mean()
    chances = fate_chances(insert, unmask, torch.tensor(0.4))
    assert float(share) == pytest.approx(float(chances[MASKED]), abs=4e-3)


def test_number_of_remnants_is_product_of_token_states():
    left = remnants(toy(), (MISSING, MASKED, VISIBLE))
    assert len(left) == 2 * (1 + 3 * 3 + 9 * 9)
    assert (left.gaps.sum(1) == left.fates[:, MISSING]).all()
    assert (left.masked.sum(1) == left.fates[:, MASKED]).all()


@pytest.mark.parametrize("longest", [None, 2])
def test_oracle_equals_frequencies_of_draws(longest):
    """Draws rows and token states, and keeps the remnants `5 [BOS] [MASK]`."""
    table, t = toy(), 0.6
    oracle = RemnantOracle(table, 8, TOKENS.mask, LINEAR, longest)
    asked = torch.tensor([[5, TOKENS.bos, TOKENS.mask]])
    logits, gap = oracle(asked, t=torch.tensor([t]))
    found = {}
    for prompt, target, p in zip(
        table.prompts, table.targets, table.probs.tolist(), strict=True
    ):
        for kept, token in enumerate(target):
            if prompt == (5,):  # all others are missing, each with chance t
                key = (token, kept, len(target) - kept - 1)
                found[key] = found.get(key, 0) + p * t ** (len(target) - 1)
    total = sum(found.values())
    for token in (5, 6, 7):
        p = sum(p for key, p in found.items() if key[0] == token) / total
        assert float(logits[0, 2].softmax(0)[token]) == pytest.approx(p, abs=1e-5)
    for place, position in ((1, 1), (2, 2)):
        counts = [
            sum(p for key, p in found.items() if key[place] == n) / total
            for n in range(3)
        ]
        if longest is None:
            expected = sum(n * p for n, p in enumerate(counts)) / t
            assert float(gap[0, position]) == pytest.approx(expected, abs=1e-5)
        else:
            assert gap[0, position].softmax(0).tolist() == pytest.approx(
                counts, abs=1e-5
            )


def test_insertion_slack_has_closed_form():
    for n in (2, 3, 10, 50):
        total = sum(math.log(k) / ((k + 1) * (k + 2)) for k in range(1, n))
        expected = math.log(n) + 2 * (n + 1) * total
        assert insertion_slack(n) == pytest.approx(expected)
    assert insertion_slack(0) == insertion_slack(1) == 0
