"""Oracles of hidden Markov models return their conditionals to rendered predictors."""

from itertools import product

import pytest
import torch

from xlmgen.runtime.special_tokens import SpecialTokens
from xlmgen.testing.markov import UNKNOWN, HiddenMarkov
from xlmgen.testing.markov_oracle import (
    BlockMarkovOracle,
    CausalMarkovOracle,
    MarkovOracle,
)

FIRST = 5
MASK = SpecialTokens().mask


def tokens(model):
    return SpecialTokens(vocab_size=FIRST + model.emission.shape[1])


def oracle(kind, model, **numbers):
    return kind(model, first=FIRST, vocab_size=tokens(model).vocab_size, **numbers)


def probabilities(network, *inputs, **options):
    return network.head(network(*inputs, **options)).double().softmax(-1)


def test_masked_oracle_returns_conditionals_given_visible_tokens():
    model = HiddenMarkov.random(2, 3, 4, seed=2, peak=0.5)
    ids = torch.tensor([[FIRST, MASK, FIRST + 2, MASK]])
    expected = model.conditionals(torch.tensor([[0, UNKNOWN, 2, UNKNOWN]]))
    network = oracle(MarkovOracle, model)
    found = probabilities(network, ids)
    torch.testing.assert_close(found[..., FIRST:], expected, atol=1e-6, rtol=0)
    assert float(found[..., :FIRST].max()) < 1e-12
    chosen = torch.tensor([3, 1])
    assert probabilities(network, ids, positions=chosen).equal(found[0, chosen])


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_noised_oracle_returns_clean_tokens_given_the_noised_others(alpha):
    model = HiddenMarkov.random_chain(3, 3, seed=1, peak=0.5)
    rows = torch.tensor(list(product(range(3), repeat=3)))
    probs = model.log_prob(rows).exp()
    noised = torch.tensor([[0, 2, 1]])
    same = alpha * (rows == noised) + (1 - alpha) / 3  # (27, 3)
    network = oracle(MarkovOracle, model, alpha=lambda t: 1 - t)
    found = probabilities(network, noised + FIRST, t=torch.tensor([1 - alpha]))
    for position in range(3):
        others = [i for i in range(3) if i != position]
        weights = probs * same[:, others].prod(1)
        mass = torch.stack([weights[rows[:, position] == v].sum() for v in range(3)])
        expected = mass / mass.sum()
        torch.testing.assert_close(
            found[0, position, FIRST:], expected, atol=1e-6, rtol=0
        )
    total = (probs * same.prod(1)).sum().log()
    kept = torch.tensor([alpha])
    assert float(model.log_prob(noised, kept)[0]) == pytest.approx(float(total))


def test_block_oracle_sums_over_later_blocks():
    model = HiddenMarkov.random(2, 3, 6, seed=3, peak=0.5)
    network = oracle(BlockMarkovOracle, model)
    cache = network.new_cache(1, 7)
    bos = torch.tensor([[SpecialTokens().bos]])
    network(bos, positions=torch.empty(0, dtype=torch.long), cache=cache)
    cache.advance(1)
    first = torch.tensor([[FIRST + 1, FIRST]])
    network(first, positions=torch.empty(0, dtype=torch.long), cache=cache)
    cache.advance(2)
    block = torch.tensor([[MASK, FIRST + 2]])
    found = probabilities(network, block, positions=torch.arange(2), cache=cache)
    known = torch.tensor([[1, 0, UNKNOWN, 2, UNKNOWN, UNKNOWN]])
    expected = model.conditionals(known)[0, 2:4]
    torch.testing.assert_close(found[:, FIRST:], expected, atol=1e-6, rtol=0)


def test_causal_oracle_returns_the_next_token_given_the_previous():
    model = HiddenMarkov.random(2, 3, 4, seed=3, peak=0.5)
    network = oracle(CausalMarkovOracle, model)
    ids = torch.tensor([[SpecialTokens().bos, FIRST + 2, FIRST]])
    whole = probabilities(network, ids, cache=network.new_cache(1, 5))[0]
    cache = network.new_cache(1, 5)
    parts = [probabilities(network, ids[:, [i]], cache=cache)[0, 0] for i in range(3)]
    torch.testing.assert_close(torch.stack(parts), whole)
    for shown in range(3):
        known = torch.tensor([[2, 0][:shown] + [UNKNOWN] * (4 - shown)])
        expected = model.conditionals(known)[0, shown]
        torch.testing.assert_close(whole[shown, FIRST:], expected, atol=1e-6, rtol=0)
