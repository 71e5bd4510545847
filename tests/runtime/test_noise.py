"""Noise schedules against explicit formulas, and derivatives by autograd."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
import torch

from xlmgen.runtime.noise import (
    CosineSchedule,
    GeometricSchedule,
    HybridSchedule,
    LinearSchedule,
    PolynomialSchedule,
    draw_block_times,
    draw_times,
    loop_times,
    step_probs,
)

FORMULAS = {
    LinearSchedule(): lambda t: 1 - t,
    CosineSchedule(): lambda t: 1 - math.cos(math.pi * (1 - t) / 2),
    PolynomialSchedule(2.0): lambda t: 1 - t**2,
    PolynomialSchedule(0.5): lambda t: 1 - t**0.5,
    GeometricSchedule(1e-3, 15.0): lambda t: math.exp(-(1e-3 ** (1 - t)) * 15**t),
}
TIMES = torch.linspace(0.02, 0.98, 25, dtype=torch.float64)

schedules = pytest.mark.parametrize("schedule", FORMULAS, ids=str)


@schedules
def test_alpha_equals_its_formula(schedule):
    expected = [FORMULAS[schedule](float(t)) for t in TIMES]
    torch.testing.assert_close(
        schedule.alpha(TIMES), torch.tensor(expected, dtype=torch.float64)
    )


@schedules
def test_noise_is_one_minus_alpha_and_precise(schedule):
    torch.testing.assert_close(schedule.noise(TIMES), 1 - schedule.alpha(TIMES))
    early = torch.tensor([1e-7, 1e-5, 1e-3, 0.5], dtype=torch.float64)
    torch.testing.assert_close(
        schedule.noise(early.float()).double(),
        schedule.noise(early.float().double()),
        rtol=1e-5,
        atol=0,
    )


@schedules
def test_alpha_prime_equals_autograd(schedule):
    t = TIMES.clone().requires_grad_()
    (slope,) = torch.autograd.grad(schedule.alpha(t).sum(), t)
    torch.testing.assert_close(schedule.alpha_prime(TIMES), slope)
    assert (slope < 0).all()


@schedules
def test_weight_is_rate_over_masked_share(schedule):
    expected = -schedule.alpha_prime(TIMES) / (1 - schedule.alpha(TIMES))
    torch.testing.assert_close(schedule.weight(TIMES), expected)


@schedules
def test_weight_is_precise_in_float32(schedule):
    times = torch.tensor([1e-6, 1e-4, 1e-2, 0.5, 0.999], dtype=torch.float64)
    torch.testing.assert_close(
        schedule.weight(times.float()).double(),
        schedule.weight(times.float().double()),
        rtol=1e-4,
        atol=1e-6,
    )


@schedules
def test_inverse_of_alpha_is_the_time(schedule):
    torch.testing.assert_close(schedule.inverse(schedule.alpha(TIMES)), TIMES)


@schedules
def test_inverse_of_ends_is_in_the_unit_interval(schedule):
    ends = schedule.inverse(torch.tensor([0.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(ends, torch.tensor([1.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize(
    "schedule", [s for s in FORMULAS if not isinstance(s, GeometricSchedule)], ids=str
)
def test_ends_are_exactly_one_and_zero(schedule):
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(schedule.alpha(ends), 1 - ends, rtol=0, atol=1e-15)


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("sampling_eps", [0.0, 1e-3, 0.3])
def test_times_are_in_their_interval(antithetic, sampling_eps):
    t = draw_times(
        1000,
        torch.Generator().manual_seed(0),
        sampling_eps=sampling_eps,
        antithetic=antithetic,
    )
    assert t.dtype == torch.float32
    assert t.min() > 0
    assert t.min() >= sampling_eps
    assert t.max() <= 1
    middle = (1 + sampling_eps) / 2
    assert abs(float(t.mean()) - middle) < 0.03


def test_antithetic_times_have_one_per_stratum():
    for seed in range(50):
        t = draw_times(8, torch.Generator().manual_seed(seed)).double()
        assert sorted(((t * 8).ceil() - 1).tolist()) == list(range(8))


def test_independent_times_are_not_stratified():
    generator = torch.Generator().manual_seed(0)
    t = draw_times(64, generator, antithetic=False).double()
    assert len(set(((t * 64).ceil() - 1).tolist())) < 60


def test_each_antithetic_time_is_uniform():
    """Of the first row over many batches, not only within a batch."""
    generator = torch.Generator().manual_seed(0)
    first = torch.stack([draw_times(4, generator)[0] for _ in range(4000)])
    counts = (first * 4).ceil().long().clamp(1, 4).bincount(minlength=5)[1:]
    assert (counts - 1000).abs().max() < 120


def test_loop_times_have_a_plateau():
    clock = torch.tensor([1.0, 0.8, 0.6, 0.5, 0.3, 0.2, 0.1, 0.0])
    times = loop_times(clock, t_on=0.6, t_off=0.2, plateau=0.4)
    expected = [1.0, 0.7, 0.4, 0.4, 0.4, 0.4, 0.2, 0.0]
    torch.testing.assert_close(times, torch.tensor(expected))


def test_block_times_are_stratified_in_rows_blocks_and_batch():
    for seed in range(20):
        t = draw_block_times(8, 3, torch.Generator().manual_seed(seed)).double()
        assert t.shape == (8, 3)
        assert sorted(((t * 24).ceil() - 1).flatten().tolist()) == list(range(24))
        for row in t:
            assert sorted(((row * 3).ceil() - 1).tolist()) == [0, 1, 2]
        for block in t.T:
            shares = ((block * 3).ceil() - 1).long().bincount(minlength=3)
            assert shares.min() >= 1
            assert shares.max() <= 4


def test_each_block_time_is_uniform():
    generator = torch.Generator().manual_seed(0)
    for antithetic in (True, False):
        drawn = [
            draw_block_times(3, 2, generator, antithetic=antithetic)
            for _ in range(4000)
        ]
        for place in ((0, 0), (2, 1)):
            t = torch.stack([times[place] for times in drawn])
            counts = (t * 4).ceil().long().clamp(1, 4).bincount(minlength=5)[1:]
            assert (counts - 1000).abs().max() < 120


def test_independent_block_times_are_not_stratified():
    generator = torch.Generator().manual_seed(0)
    t = draw_block_times(16, 4, generator, antithetic=False).double()
    assert len(set(((t * 64).ceil() - 1).flatten().tolist())) < 60


@pytest.mark.parametrize("exponent", [1, 3, 20])
def test_step_probs_are_exact_where_alpha_rounds_to_one(exponent):
    """Against fractions, to the last step."""
    times = torch.linspace(1, 0, 65, dtype=torch.float64)
    noise = [Fraction(step, 64) ** exponent for step in range(64, -1, -1)]
    exact = [float(1 - s / t) for t, s in pairwise(noise)]
    found = step_probs(PolynomialSchedule(float(exponent)), times)
    assert found == pytest.approx(exact, rel=1e-14)
    assert found[-1] == 1


@pytest.mark.parametrize("schedule", [LinearSchedule(), CosineSchedule()], ids=str)
def test_step_probs_multiply_to_the_total(schedule):
    times = torch.linspace(1, 0, 12, dtype=torch.float64)
    left = math.prod(1 - prob for prob in step_probs(schedule, times)[:6])
    assert left == pytest.approx(1 - float(schedule.alpha(times[6])))


@pytest.mark.parametrize("sigma_min", [1e-17, 1e-50, 1e-320])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_geometric_schedule_with_tiny_noise_is_finite(sigma_min, dtype):
    schedule = GeometricSchedule(sigma_min, 20.0)
    t = torch.tensor([0.0, 1e-6, 0.01, 0.3, 0.9, 1.0], dtype=dtype)
    noise, weight = schedule.noise(t), schedule.weight(t)
    assert ((noise > 0) & (noise <= 1)).all()
    assert (weight.isfinite() & (weight >= 0)).all()
    log_rate = math.log(20.0) - math.log(sigma_min)
    assert float(weight[0]) == pytest.approx(log_rate, rel=1e-5)  # σ → 0
    assert ((schedule.inverse(1 - noise) >= 0) & (schedule.inverse(noise) <= 1)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cosine_weight_is_zero_at_the_end(dtype):
    """In float32 as in float64, close to both ends: π/2 · cot(πt/2)."""
    schedule = CosineSchedule()
    assert float(schedule.weight(torch.tensor(1.0, dtype=dtype))) == 0.0
    left = 2.0 ** -torch.arange(1, 20, dtype=torch.float64)  # exact in float32
    for t, cotangent in (
        (left, [1 / math.tan(math.pi / 2 * u) for u in left.tolist()]),
        (1 - left, [math.tan(math.pi / 2 * u) for u in left.tolist()]),
    ):
        expected = math.pi / 2 * torch.tensor(cotangent, dtype=torch.float64)
        found = schedule.weight(t.to(dtype)).double()
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
def test_ratio_of_noise_is_precise_in_float32(exponent):
    """Near t = 0, where α itself rounds to 1."""
    schedule = PolynomialSchedule(exponent)
    t = 2.0 ** -torch.arange(2, 14)  # exact in float32
    ratio = schedule.noise(t / 2) / schedule.noise(t)
    torch.testing.assert_close(ratio, torch.full_like(t, 0.5**exponent))


def test_hybrid_times_have_the_weight_of_their_density():
    u = torch.linspace(0.01, 1, 50, dtype=torch.float64).requires_grad_()
    times, weight = HybridSchedule().times(u)
    (slope,) = torch.autograd.grad(times.sum(), u)
    torch.testing.assert_close(weight, slope)
    assert times[-1] == 1
    assert (times[1:] > times[:-1]).all()


def test_hybrid_noise_is_square_of_the_draw_near_zero():
    """The share of random tokens grows with √t = u²."""
    u = torch.tensor([0.1, 0.2], dtype=torch.float64)
    one, other = HybridSchedule().random(HybridSchedule().times(u)[0])
    assert float(other / one) == pytest.approx(4, rel=0.02)
