"""The reference of uniform diffusion has the enumerated numbers of the literature."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch

from xlmgen.testing.state import (
    StateSampler,
    at_random,
    mixture_of_bridges,
    plug_in_bridge,
    score_entropy,
    uniform_level,
    with_own_token,
    without_own_token,
)
from xlmgen.testing.statistics import total_variation
from xlmgen.testing.suites.state_subject import sine_nodes

K, L = 3, 2
STRINGS = torch.tensor(list(product(range(K), repeat=L)))
DATA = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(K**L)))
ENTROPY = 1.7819731928


def joint(alpha):
    """p(x, z), (x, z) over strings."""
    same = STRINGS[:, None] == STRINGS
    return DATA[:, None] * (alpha * same + (1 - alpha) / K).prod(-1)


def marginal(alpha):
    """p_t(z) over strings, (K, K)."""
    return joint(alpha).sum(0).view(K, K)


def cavity(strings, alpha):
    """p(x_i | z without z_i), (N, L, K)."""
    same = strings[:, None] == STRINGS  # (N, x, L)
    chances = alpha * same + (1 - alpha) / K
    found = torch.zeros(*strings.shape, K, dtype=torch.float64)
    for place in range(L):
        others = [j for j in range(L) if j != place]
        weights = DATA * chances[..., others].prod(-1)
        for token in range(K):
            at = STRINGS[:, place] == token
            found[:, place, token] = weights[:, at].sum(1)
    return found / found.sum(-1, keepdim=True)


def posterior(strings, alpha):
    """p(x_i | z), (N, L, K), from the joint distribution."""
    given = joint(alpha)[:, (strings * torch.tensor([K, 1])).sum(1)]  # (x, N)
    given = given / given.sum(0)
    tokens = torch.nn.functional.one_hot(STRINGS, K).double()  # (x, L, K)
    return torch.einsum("xn,xlk->nlk", given, tokens)


def bound(predict):
    """The integral of the score entropy over time, by the linear schedule."""
    total = 0.0
    clean = torch.nn.functional.one_hot(STRINGS, K)[:, None]  # (x, 1, L, K)
    for node, weight in sine_nodes(24):
        alpha = 1 - node
        predicted, true = (
            (alpha * each + (1 - alpha) / K).expand(K**L, K**L, L, K)
            for each in (predict(STRINGS, alpha), clean)
        )
        terms = score_entropy(predicted, true, STRINGS.expand(K**L, K**L, L)).sum(-1)
        total += weight * float((joint(alpha) * terms).sum()) / (K * alpha)
    return total


def test_bound_of_the_cavity_is_the_entropy():
    assert -float((DATA * DATA.log()).sum()) == pytest.approx(ENTROPY)
    assert bound(cavity) == pytest.approx(ENTROPY, abs=1e-5)


def test_bound_of_the_posterior_is_larger():
    assert bound(posterior) == pytest.approx(2.684, abs=1e-3)


@pytest.mark.parametrize("alpha", [0.01, 0.4, 0.99])
def test_each_distribution_converts_to_the_other(alpha):
    c, d = cavity(STRINGS, alpha), posterior(STRINGS, alpha)
    torch.testing.assert_close(with_own_token(c, STRINGS, alpha), d)
    torch.testing.assert_close(without_own_token(d, STRINGS, alpha), c)


@pytest.mark.parametrize("levels", list(pairwise([0.0, 0.2, 0.7, 0.95, 1.0])))
def test_bridges_of_both_distributions_are_the_same_law(levels):
    alpha_t, alpha_s = levels
    c, d = cavity(STRINGS, alpha_t), posterior(STRINGS, alpha_t)
    now, then = uniform_level(alpha_t, K), uniform_level(alpha_s, K)
    plugged = plug_in_bridge(c, STRINGS, now, then)
    mixed = mixture_of_bridges(d, STRINGS, now, then)
    torch.testing.assert_close(plugged, mixed)
    if alpha_t > 0:
        crossed = plug_in_bridge(d, STRINGS, now, then)
        assert (crossed - mixed).abs().max() > 0.01


def sampler(choose=at_random):
    """By the linear schedule: α = 1 − t."""
    return StateSampler(
        lambda strings, t: cavity(strings, 1 - t),
        lambda t: uniform_level(1 - t, K),
        own=False,
        number=L,
        size=K,
        choose=choose,
    )


def test_law_approaches_the_data_as_steps_grow():
    def distance(steps):
        times = [1 - step / steps for step in range(steps + 1)]
        return total_variation(sampler().law(times), DATA.view(K, K))

    one, four, sixteen, many = map(distance, (1, 4, 16, 128))
    assert one > 2 * four > 4 * sixteen
    assert many < 0.01


def least(rate):
    """Choose the position with the least confidence in its noisy value."""

    def choose(strings, t):
        p = (1 - t) * cavity(strings, 1 - t) + t / K
        chosen = torch.zeros(strings.shape, dtype=torch.float64)
        return chosen.scatter(1, rate(p).argmin(1, keepdim=True), 1.0)

    return choose


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.7, 0.99])
def test_correction_at_random_keeps_every_marginal(alpha):
    after = sampler().correct(marginal(alpha), 1 - alpha)
    torch.testing.assert_close(after, marginal(alpha))


def test_correction_of_the_least_confident_token_moves_the_marginal():
    def margin(p):
        best = p.topk(2).values
        return best[..., 0].log() - best[..., 1].log()

    moved = [
        total_variation(sampler(least(rate)).correct(marginal(0.7), 0.3), marginal(0.7))
        for rate in (margin, lambda p: p.amax(-1))
    ]
    assert moved == pytest.approx([0.0558, 0.1055], abs=1e-4)
