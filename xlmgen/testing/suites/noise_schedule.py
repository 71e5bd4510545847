"""Tests of a noise schedule that a family renders."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from xlmgen.runtime.noise import Schedule
from xlmgen.testing.schedule import noise_schedule, slope
from xlmgen.testing.subject import FamilyTests

TIMES = torch.linspace(0, 1, 101, dtype=torch.float64)


class ScheduleTests(FamilyTests):
    """The functions of a schedule agree with α(t), which falls from 1 to 0."""

    @property
    def schedule(self) -> Schedule:
        return noise_schedule(self.spec)

    def test_alpha_falls_between_its_ends(self) -> None:
        alpha = self.schedule.alpha(TIMES)
        assert (alpha.diff() < 0).all()
        close = 1e-12 if "exact_ends" in self.provided else 0.05
        assert float(alpha[0]) == pytest.approx(1, abs=close)
        assert float(alpha[-1]) == pytest.approx(0, abs=close)

    def test_noise_is_one_minus_alpha_and_precise_near_zero(self) -> None:
        self.same(self.schedule.noise(TIMES), 1 - self.schedule.alpha(TIMES))
        if "exact_ends" in self.provided:  # else it is not small
            small = torch.logspace(-6, -3, 4)
            self.same(self.schedule.noise(small), self.schedule.noise(small.double()))

    def test_alpha_prime_is_the_derivative(self) -> None:
        inside = TIMES[1:-1]
        self.same(self.schedule.alpha_prime(inside), slope(self.schedule, inside))

    def test_weight_is_slope_by_noise(self) -> None:
        inside = TIMES[1:-1]
        expected = -slope(self.schedule, inside) / self.schedule.noise(inside)
        self.same(self.schedule.weight(inside), expected)
        assert self.schedule.weight(TIMES[1:]).isfinite().all()

    def test_inverse_of_alpha_is_the_time(self) -> None:
        self.same(self.schedule.inverse(self.schedule.alpha(TIMES)), TIMES)

    def test_float32_times_give_float32(self) -> None:
        times = TIMES[1:].float()
        for function in ("alpha", "noise", "alpha_prime", "weight"):
            assert getattr(self.schedule, function)(times).dtype == torch.float32

    def same(self, found: Tensor, expected: Tensor) -> None:
        expected = expected.to(found.dtype)
        close = 1e-7 if found.dtype == torch.float64 else 1e-5
        torch.testing.assert_close(found, expected, rtol=close, atol=close * 1e-3)
