"""Tests of the kit's oracles, distributions and statistics by brute force."""

import itertools
import math

import pytest
import torch

from xlmgen.runtime.special_tokens import SpecialTokens
from xlmgen.testing.law import Step, sampler_law
from xlmgen.testing.oracle import CausalOracle, MaskedOracle
from xlmgen.testing.statistics import p_value, tally, total_variation
from xlmgen.testing.toy import entropy, make_toy, seeded

TOKENS = SpecialTokens(vocab_size=8)
V = TOKENS.vocab_size


def toy(**changes):
    options = {"prompts": [(5,), (6,)], "lengths": range(3), "bos": False}
    return make_toy(TOKENS, **options | {"eos": True, "pads": True} | changes)


def test_toy_is_a_correlated_distribution():
    table = toy()
    assert len(table) == 26
    assert float(table.probs.sum()) == pytest.approx(1)
    assert len({tuple(row) for row in table.rows.tolist()}) == len(table)
    second = table.given((5,))
    assert float(second.sum()) == pytest.approx(1)
    assert total_variation(second[:13], table.given((6,))[13:]) > 0.1
    assert 1 < entropy(second) < math.log(13)


def test_masked_oracle_returns_conditionals_of_table():
    table = toy()
    oracle = MaskedOracle(table, V, TOKENS.mask)
    row = torch.tensor([[5, TOKENS.mask, 6, TOKENS.mask]])
    probs = oracle(row)[0].double().softmax(-1)
    for position, token in itertools.product((1, 3), range(V)):
        fits = [
            (float(p), r[position])
            for r, p in zip(table.rows.tolist(), table.probs, strict=True)
            if r[0] == 5 and r[2] == 6
        ]
        expected = sum(p for p, t in fits if t == token) / sum(p for p, _ in fits)
        assert float(probs[position, token]) == pytest.approx(expected, abs=1e-6)


def test_masked_oracle_conditions_on_length():
    table = toy(pads=False)
    oracle = MaskedOracle(table, V, TOKENS.mask)
    ids = torch.tensor([[5, TOKENS.mask, TOKENS.mask, 0]])
    probs = oracle(ids, torch.tensor([[True, True, True, False]])).softmax(-1)
    assert float(probs[0, 2, TOKENS.eos]) == pytest.approx(1, abs=1e-5)


def test_product_of_causal_oracle_equals_table():
    table = toy(bos=True, pads=False)
    oracle = CausalOracle(table, V)
    for row, length, p in zip(table.rows, table.lengths, table.probs, strict=True):
        ids = row[:length][None]
        log_probs = oracle(ids).double().log_softmax(-1)[0, :-1]
        total = log_probs.gather(1, ids[0, 1:, None]).sum()
        start = table.probs[table.rows[:, 0] == row[0]].sum()
        assert float(total) == pytest.approx(math.log(p / start), abs=1e-4)


def test_causal_oracle_with_pads_and_cache_is_equal():
    table = toy(bos=True, pads=False)
    oracle = CausalOracle(table, V)
    ids = torch.tensor([[5, TOKENS.bos, 6, 7]])
    padded = torch.tensor([[0, 0, 5, TOKENS.bos, 6, 7]])
    attended = torch.tensor([[False, False, True, True, True, True]])
    plain = oracle(ids)
    torch.testing.assert_close(oracle(padded, attended)[:, 2:], plain)
    cache = oracle.new_cache(1, 6)
    first = oracle(padded[:, :4], attended[:, :4], cache=cache)
    rest = oracle(padded[:, 4:], attended, cache=cache)
    torch.testing.assert_close(torch.cat((first[:, 2:], rest), dim=1), plain)


def law(table, steps, prompt=5):
    row = torch.tensor([prompt] + [TOKENS.mask] * 3)
    return sampler_law(
        MaskedOracle(table, V, TOKENS.mask),
        row,
        row == TOKENS.mask,
        steps,
        mask=TOKENS.mask,
        suppress_tokens=(TOKENS.mask,),
        vocab_size=V,
    )


def data(table):
    truth = torch.zeros(V, V, V, dtype=torch.float64)
    for row, p in zip(table.rows, table.given((5,)), strict=True):
        truth[tuple(row[1:].tolist())] += p
    return truth


def test_distribution_of_single_reveals_equals_data():
    table = toy()
    for order in itertools.permutations(range(3)):
        steps = [Step((place,), 1.0) for place in order]
        assert total_variation(law(table, steps), data(table)) < 1e-6


def test_distribution_of_one_step_is_product_of_marginals():
    table, truth = toy(), data(toy())
    product = torch.einsum(
        "i,j,k->ijk", truth.sum((1, 2)), truth.sum((0, 2)), truth.sum((0, 1))
    )
    one = law(table, [Step(range(3), 1.0)])
    assert total_variation(one, product) < 1e-6
    assert total_variation(one, truth) > 0.1


def even_steps(number, sigma=0.0):
    """Make ancestral steps of the linear schedule with fixed remasking probability."""
    steps = []
    for step in range(number):
        now, then = step / number, (step + 1) / number
        back = min(sigma, (1 - then) / now if now else 1.0)
        steps.append(Step(range(3), (then - (1 - back) * now) / (1 - now), back))
    return steps


def test_error_of_ancestral_sampling_falls_with_steps():
    table = toy()
    errors = [
        total_variation(law(table, even_steps(n)), data(table)) for n in (1, 4, 16, 64)
    ]
    assert all(b < 0.5 * a for a, b in itertools.pairwise(errors))


def test_number_of_masks_does_not_depend_on_remasking():
    """At every step 1 − α_s of the positions are masked."""
    table, number = toy(), 8
    for sigma in (0.0, 0.2, 1.0):
        steps = even_steps(number, sigma)
        for done in range(1, number):
            found = law(table, steps[:done])
            masked = float(found[TOKENS.mask].sum())
            assert masked == pytest.approx(1 - done / number, abs=1e-9)


def test_p_values_are_uniform_for_true_samples_and_tiny_for_others():
    probs = torch.tensor([0.5, 0.3, 0.15, 0.05])
    generator = seeded()

    def counts(weights):
        drawn = torch.multinomial(weights, 500, replacement=True, generator=generator)
        return drawn.bincount(minlength=4)

    values = torch.tensor([p_value(counts(probs), probs) for _ in range(400)])
    for tenth in range(1, 10):
        assert abs(float((values < tenth / 10).double().mean()) - tenth / 10) < 0.08
    other = torch.tensor([0.4, 0.4, 0.15, 0.05])
    assert p_value(counts(other), probs) < 1e-4
    assert p_value(torch.tensor([5, 5, 1]), torch.tensor([0.5, 0.5, 0.0])) == 0


def test_p_value_equals_tail_of_chi_square():
    """With two degrees of freedom the tail is exp(−x/2)."""
    counts, probs = torch.tensor([40, 30, 30]), torch.full((3,), 1 / 3)
    statistic = sum((c - 100 / 3) ** 2 / (100 / 3) for c in (40, 30, 30))
    assert p_value(counts, probs) == pytest.approx(math.exp(-statistic / 2), rel=1e-5)


def test_tally_counts_strings():
    samples = torch.tensor([[1, 2], [1, 2], [0, 3]])
    counts = tally(samples, 4)
    assert counts[1, 2] == 2
    assert counts[0, 3] == 1
    assert counts.sum() == 3
