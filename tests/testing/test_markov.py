"""Forward–backward equals sums over all sequences of a short model."""

from itertools import pairwise, product

import pytest
import torch

from xlmgen.testing.markov import UNKNOWN, HiddenMarkov


def chain(length=4):
    return HiddenMarkov.random_chain(3, length, seed=1, peak=0.5)


def hidden(length=4):
    return HiddenMarkov.random(2, 3, length, seed=2, peak=0.5)


def table(model):
    """Compute the probabilities of all sequences by summing over paths of states."""
    states, tokens = model.emission.shape
    rows = list(product(range(tokens), repeat=model.length))
    probs = []
    for row in rows:
        total = 0.0
        for path in product(range(states), repeat=model.length):
            p = float(model.initial[path[0]])
            for before, after in pairwise(path):
                p *= float(model.transition[before, after])
            for state, token in zip(path, row, strict=True):
                p *= float(model.emission[state, token])
            total += p
        probs.append(total)
    return torch.tensor(rows), torch.tensor(probs, dtype=torch.float64)


@pytest.mark.parametrize("make", [chain, hidden])
def test_log_prob_of_known_tokens_is_the_sum_over_all_sequences(make):
    model = make()
    rows, probs = table(model)
    assert float(probs.sum()) == pytest.approx(1, abs=1e-12)
    for known in ([0, 1, 2, 0], [UNKNOWN, 1, UNKNOWN, 2], [UNKNOWN] * 4):
        ids = torch.tensor([known])
        fits = ((ids == UNKNOWN) | (ids == rows)).all(1)
        expected = probs[fits].sum().log()
        assert float(model.log_prob(ids)[0]) == pytest.approx(float(expected))


@pytest.mark.parametrize("make", [chain, hidden])
def test_conditionals_leave_out_the_token_of_their_own_position(make):
    model = make()
    rows, probs = table(model)
    ids = torch.tensor([[0, UNKNOWN, 2, UNKNOWN], [1, 1, UNKNOWN, UNKNOWN]])
    found = model.conditionals(ids)
    for row, position in product(range(2), range(4)):
        others = ids[row].clone()
        others[position] = UNKNOWN
        fits = ((others == UNKNOWN) | (others == rows)).all(1)
        mass = [float(probs[fits & (rows[:, position] == v)].sum()) for v in range(3)]
        expected = torch.tensor(mass, dtype=torch.float64)
        torch.testing.assert_close(found[row, position], expected / expected.sum())


def test_entropy_of_a_chain_is_that_of_its_table():
    _, probs = table(chain())
    assert chain().entropy == pytest.approx(float(torch.special.entr(probs).sum()))
    with pytest.raises(ValueError, match="Markov chain"):
        _ = hidden().entropy


def test_mean_log_prob_of_samples_tends_to_the_entropy():
    model = HiddenMarkov.random_chain(27, 256, seed=0)
    samples = model.sample(500, torch.Generator().manual_seed(0))
    costs = -model.log_prob(samples)
    error = float(costs.std()) / len(costs) ** 0.5
    assert float(costs.mean()) == pytest.approx(model.entropy, abs=4 * error)


def test_neighbours_of_a_chain_give_what_forward_backward_gives():
    model = HiddenMarkov.random_chain(5, 40, seed=3)
    generator = torch.Generator().manual_seed(0)
    ids = model.sample(20, generator)
    for share in (0.0, 0.1, 0.5, 0.95, 1.0):
        hidden = torch.rand(ids.shape, generator=generator) < share
        some = ids.masked_fill(hidden, UNKNOWN)
        expected = HiddenMarkov.conditionals(model, some)
        torch.testing.assert_close(model.conditionals(some), expected)
        positions = torch.randperm(some.numel(), generator=generator)[:50]
        found = model.conditionals_at(some, positions)
        torch.testing.assert_close(found, expected.flatten(0, 1)[positions])
        log_prob = HiddenMarkov.log_prob(model, some)
        torch.testing.assert_close(model.log_prob(some), log_prob)


def test_replaced_tokens_of_a_chain_are_summed_over():
    model = chain()
    rows, probs = table(model)
    ids, kept = torch.tensor([[0, 1, UNKNOWN, 2]]), torch.tensor([0.6])
    same = torch.where(ids == UNKNOWN, 1.0, 0.6 * (rows == ids) + 0.4 / 3)
    total = (probs * same.prod(1)).sum()
    assert float(model.log_prob(ids, kept)[0].exp()) == pytest.approx(float(total))
