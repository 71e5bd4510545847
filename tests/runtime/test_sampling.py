"""Sampling of tokens and selection of positions, against plain definitions."""

import math

import pytest
import torch

from xlmgen.errors import UserError
from xlmgen.runtime import sampling
from xlmgen.runtime.generation import Generation, Tracer, until
from xlmgen.runtime.sampling import (
    TokenSampler,
    add_gumbel,
    categorical,
    entropy,
    even_split,
    geometric_shares,
    keep_top_k,
    keep_top_p,
    log_margin,
    log_top_prob,
    negative_entropy,
    number_due,
    ranks,
    spread,
    temper,
    uniform,
    within_entropy_bound,
)
from xlmgen.testing.statistics import p_value


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_logits(rows=50, vocab=12, seed=0):
    return 2 * torch.randn(rows, vocab, generator=seeded(seed))


def test_categorical_follows_the_softmax():
    logits = torch.tensor([1.0, -1.0, 0.0, 2.0, -torch.inf])
    draws = categorical(logits.expand(20_000, -1), seeded())
    assert p_value(draws.bincount(minlength=5), logits.double().softmax(0)) > 1e-4


@pytest.fixture
def drawn(monkeypatch):
    """Factory that sets the next uniform draw."""

    def say(draw):
        def drawn(shape, device, generator):
            return torch.full(shape, draw, dtype=torch.float64)

        monkeypatch.setattr(sampling, "uniform", drawn)

    return say


def test_categorical_draws_tokens_that_float32_would_lose(drawn):
    """A likely token is followed by 2,000 tokens of probability 10⁻⁸ each."""
    logits = torch.full((1, 2_001), math.log(1e-8))
    logits[0, 0] = 0
    for token in (1, 500, 2_000):
        drawn((1 + (token - 0.5) * 1e-8) / (1 + 2_000 * 1e-8))
        assert categorical(logits).tolist() == [token]


def test_categorical_inverts_the_cumulative_distribution():
    logits = torch.tensor([[0.0, -torch.inf, 1e-4, 2.0, -torch.inf]]).expand(500, -1)
    sums = logits.double().softmax(-1).cumsum(-1)
    draws = uniform((500, 1), logits.device, seeded(7))
    expected = (sums <= draws).sum(-1)
    assert categorical(logits, seeded(7)).equal(expected)
    assert set(expected.tolist()) == {0, 2, 3}


def test_categorical_does_not_draw_zero_probability(drawn):
    """At both ends of the interval of the draw."""
    logits = torch.tensor([[-torch.inf, 0.0, 3.0, -torch.inf]])
    for draw, token in ((0.0, 1), (1 - 2**-53, 2)):
        drawn(draw)
        assert categorical(logits).tolist() == [token]


@pytest.mark.parametrize("k", [1, 3, 12, 50])
def test_top_k_keeps_the_k_largest(k):
    logits = random_logits()
    kept = keep_top_k(logits, k).isfinite()
    for row, keep in zip(logits, kept, strict=True):
        largest = sorted(range(12), key=lambda v: -float(row[v]))[:k]
        assert sorted(keep.nonzero().flatten().tolist()) == sorted(largest)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.999, 1.0])
def test_top_p_keeps_the_smallest_set_that_reaches_p(p):
    logits = random_logits().double()
    kept = keep_top_p(logits, p)
    for row, keep in zip(logits, kept, strict=True):
        probs, smallest = row.softmax(0), []
        for token in sorted(range(12), key=lambda v: -float(row[v])):
            if sum(float(probs[v]) for v in smallest) >= p:
                break
            smallest.append(token)
        assert sorted(keep.isfinite().nonzero().flatten().tolist()) == sorted(smallest)
        assert keep[smallest].equal(row[smallest])


def test_excluded_ids_are_removed_before_top_k_and_top_p():
    logits = torch.tensor([[9.0, 1.0, 0.5, 0.0]])
    for options in ({"top_k": 1}, {"top_p": 0.1}, {"temperature": 0.0}):
        sampler = TokenSampler((0,), **options)
        draws = sampler(logits.expand(100, -1), seeded())
        assert set(draws.tolist()) == {1}


def test_temperature_is_applied_before_top_p():
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    sampler = TokenSampler((), temperature=10.0, top_p=0.5)
    assert set(sampler(logits.expand(500, -1), seeded()).tolist()) == {0, 1}


HUGE, TINY = 3e38, 1e-39
"""Near the ends of float32."""


@pytest.mark.parametrize(
    ("logits", "temperature", "token"),
    [
        ([HUGE, 1.0, 2.0, 0.5], 0.01, 0),
        ([HUGE, 1.0, -HUGE, HUGE], 0.01, 0),
        ([1.0, 2.0, 3.0, 0.5], TINY, 2),
        ([1.0, 2.0, 3.0, 9.0], 1e-320, 2),
        ([-HUGE, -HUGE, -1.0, HUGE], 1e-30, 2),
    ],
)
@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_p": 0.9}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_small_temperature_draws_the_largest_allowed_logit(
    logits, temperature, token, options, dtype
):
    sampler = TokenSampler((3,), temperature=temperature, **options)
    given = torch.tensor(logits, dtype=dtype).expand(200, -1)
    assert set(sampler(given, seeded()).tolist()) == {token}


@pytest.mark.parametrize("temperature", [TINY, 0.01, 1.0, 40.0, 1e38])
def test_tempered_logits_equal_float64_softmax(temperature):
    """Compared with probabilities computed by Python floats."""
    excluded = torch.tensor([1.0, -math.inf, 0.0, 0.5])
    for row in (random_logits(1)[0], excluded, HUGE * torch.tensor([1.0, 0.5, 0.0])):
        top = max(row.tolist())
        weights = [math.exp((v - top) / temperature) for v in row.tolist()]
        expected = torch.tensor(weights, dtype=torch.float64) / sum(weights)
        found = temper(row, temperature).double().softmax(-1)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-12)


def test_temperature_beyond_float32_keeps_excluded_ids_excluded():
    tempered = temper(torch.tensor([[1.0, -math.inf, 0.0]]), 1e39)
    assert tempered.softmax(-1).tolist() == [[0.5, 0.0, 0.5]]


NOT_DRAWABLE = {
    "nan": [1.0, math.nan, 0.0, 0.0],
    "all nan": [math.nan] * 4,
    "infinite": [math.inf, 1.0, 0.0, 0.0],
    "all excluded": [-math.inf, -math.inf, -math.inf, 9.0],
}


@pytest.mark.parametrize("row", NOT_DRAWABLE.values(), ids=NOT_DRAWABLE)
@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0}, {"temperature": 0.1, "top_k": 2, "top_p": 0.5}]
)
def test_row_without_allowed_token_is_an_error(row, options):
    sampler = TokenSampler((3,), **options)
    logits = torch.tensor([[0.0] * 4, row])
    with pytest.raises(UserError, match="of 2 rows of logits 1 have NaN"):
        sampler(logits)
    with pytest.raises(UserError, match="cannot sample"):
        sampler.rate(logits, entropy)
    assert sampler(logits[:0]).shape == (0,)


def test_allowed_is_normalised_over_allowed_ids():
    logits = random_logits()
    allowed = TokenSampler((3, 5)).allowed(logits)
    assert allowed.dtype == torch.float64
    assert allowed[:, [3, 5]].isneginf().all()
    rest = [v for v in range(12) if v not in (3, 5)]
    expected = logits.double()[:, rest].log_softmax(-1)
    torch.testing.assert_close(allowed[:, rest], expected)


@pytest.mark.parametrize("rated", [1, 30, 2**20])
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_rows_are_rated_in_chunks(monkeypatch, rated, rows, largest):
    monkeypatch.setattr(sampling, "RATED", rated)
    logits, sampler = random_logits()[:1].expand(rows, -1), TokenSampler((3,))
    logits = logits * torch.arange(1, rows + 1)[:, None]
    with largest:
        ours = sampler.rate(logits, entropy)
    assert largest.bytes <= 8 * max(rated, 12)
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, entropy(sampler.allowed(logits)))


def test_entropy_and_scores_equal_their_definitions():
    log_probs = TokenSampler((0,)).allowed(random_logits())
    for row, h, top, margin, negative in zip(
        log_probs.exp().tolist(),
        entropy(log_probs),
        log_top_prob(log_probs),
        log_margin(log_probs),
        negative_entropy(log_probs),
        strict=True,
    ):
        best = sorted(row, reverse=True)
        assert float(h) == pytest.approx(-sum(p * math.log(p) for p in row if p))
        assert float(negative) == -float(h)
        assert float(top) == pytest.approx(math.log(best[0]))
        assert float(margin) == pytest.approx(math.log(best[0] - best[1]))


def test_margin_of_tie_is_finite():
    tie = torch.tensor([[0.5, 0.5, 1e-9]]).log().double()
    assert log_margin(tie).isfinite().all()


def test_gumbel_noise_gives_softmax_at_its_temperature():
    scores = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    generator = seeded()
    wins = torch.stack(
        [add_gumbel(scores, 2.0, generator).argmax() for _ in range(5000)]
    )
    assert p_value(wins.bincount(minlength=3), (scores / 2).softmax(0)) > 1e-4
    assert add_gumbel(scores, 0.0, generator).equal(scores)


def test_spread_puts_values_at_true_positions():
    where = torch.tensor([[True, False, True], [False, True, False]])
    full = spread(torch.tensor([1.0, 2.0, 3.0]), where)
    inf = torch.inf
    assert full.tolist() == [[1.0, -inf, 2.0], [-inf, 3.0, -inf]]


def test_ranks_count_from_the_largest():
    scores = torch.tensor([[0.3, 2.0, -1.0, 2.0], [-torch.inf, 0.0, 1.0, -torch.inf]])
    assert ranks(scores).tolist() == [[2, 0, 3, 1], [2, 1, 0, 3]]


@pytest.mark.parametrize("steps", [1, 3, 7, 20])
@pytest.mark.parametrize("total", [0, 1, 7, 12])
def test_even_split_takes_all_in_even_steps(total, steps):
    left, taken = torch.tensor([total]), []
    for step in range(steps):
        now = even_split(left, steps - step)
        taken.append(int(now))
        left = left - now
    assert sum(taken) == total
    assert max(taken) - min(taken) <= 1


def test_entropy_bound_takes_best_positions_within_bound():
    generator = seeded()
    for _ in range(200):
        scores = torch.randn(1, 6, generator=generator)
        scores[0, 4:] = -torch.inf
        entropies = torch.rand(1, 6, generator=generator)
        bound = float(torch.rand(1, generator=generator) * 2)
        chosen = within_entropy_bound(scores, entropies, bound)[0]
        taken = []
        for place in sorted(range(4), key=lambda p: -float(scores[0, p])):
            costs = [float(entropies[0, p]) for p in [*taken, place]]
            if taken and sum(costs) - max(costs) > bound:
                break
            taken.append(place)
        assert sorted(chosen.nonzero().flatten().tolist()) == sorted(taken)


def test_entropy_bound_without_candidates_takes_nothing():
    scores = torch.full((1, 3), -torch.inf)
    assert not within_entropy_bound(scores, torch.zeros(1, 3), 9.0).any()


def test_uniform_is_float64_in_the_unit_interval():
    draws = uniform((100, 100), torch.device("cpu"), seeded())
    assert draws.dtype == torch.float64
    assert 0 <= draws.min() < draws.max() < 1


def test_trace_keeps_the_order_of_writing():
    tracer = Tracer()
    where = torch.tensor([[False, True], [True, False]])
    tokens = torch.tensor([8, 9])
    tracer.write(0, where, tokens)
    tokens.zero_()  # a trace keeps what was written, not what becomes of it
    tracer.write_at(1, torch.tensor([1]), torch.tensor([1]), torch.tensor([7]))
    trace = tracer.trace()
    assert trace.step.tolist() == [0, 0, 1]
    assert trace.row.tolist() == [0, 1, 1]
    assert trace.position.tolist() == [1, 0, 1]
    assert trace.token.tolist() == [8, 9, 7]
    assert len(Tracer().trace().token) == 0


def test_answers_end_before_first_eos():
    ids = torch.tensor([[2, 5, 6, 2, 7], [5, 5, 5, 5, 5], [5, 2, 2, 5, 5]])
    generated = torch.tensor([[False, True, True, True, True]] * 3)
    generation = Generation(ids, generated, forward_passes=1)
    assert generation.answers(2) == [[5, 6], [5, 5, 5, 5], []]
    assert generation.lengths(2).tolist() == [2, 4, 0]


def test_until_ends_before_first_stop():
    assert until([1, 2, 3, 2], 2) == [1]
    assert until([], 2) == []
    assert until([1, 3], 2) == [1, 3]


def test_geometric_shares_are_sums_of_powers():
    assert geometric_shares(3, 2.0) == pytest.approx([1 / 7, 3 / 7, 1])
    assert geometric_shares(3, 0.5) == pytest.approx([4 / 7, 6 / 7, 1])
    assert geometric_shares(4, 1.0) == pytest.approx([0.25, 0.5, 0.75, 1])
    for growth in (0.01, 100.0):
        shares = geometric_shares(10_000, growth)
        assert shares[-1] == 1
        assert shares == sorted(shares)


def test_number_due_is_the_difference_to_the_share():
    total, left = torch.tensor([10, 10, 3, 0]), torch.tensor([10, 6, 3, 0])
    assert number_due(total, left, 0.5).tolist() == [5, 1, 1, 0]
    assert number_due(total, left, 1.0).tolist() == [10, 6, 3, 0]
    third = torch.tensor([3 * 10**9])
    assert number_due(third, third, 1 / 3).tolist() == [10**9]


def test_log_prob_is_that_of_the_model_without_suppressed_ids():
    sampler = TokenSampler((0,), temperature=0.5, top_k=1)
    logits = random_logits()
    tokens = torch.arange(50) % 12
    kept = logits.double().clone()
    kept[:, 0] = -torch.inf
    expected = kept.log_softmax(-1)[torch.arange(50), tokens]
    torch.testing.assert_close(sampler.log_prob(logits, tokens), expected)
    assert sampler.log_prob(logits[:0], tokens[:0]).shape == (0,)


def test_log_prob_of_chunks_equals_that_of_all_rows(monkeypatch):
    sampler, logits, tokens = TokenSampler(), random_logits(), torch.arange(50) % 12
    expected = sampler.log_prob(logits, tokens)
    monkeypatch.setattr(sampling, "RATED", 40)
    assert sampler.log_prob(logits, tokens).equal(expected)
