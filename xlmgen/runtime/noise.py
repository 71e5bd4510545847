"""Noise schedules, and sampling of times.

α(t), the probability that a token is clean at time t, falls from 1 at t = 0 to 0 at
t = 1. Every schedule has α, 1 − α, its derivative α′, the weight w(t) = −α′/(1−α) of
the masked-diffusion bound (Sahoo et al. 2024, arXiv:2406.07524, eq. 10) and the inverse
α⁻¹.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "CosineSchedule",
    "GeometricSchedule",
    "HybridSchedule",
    "LinearSchedule",
    "PolynomialSchedule",
    "Schedule",
    "draw_block_times",
    "draw_times",
    "loop_times",
    "step_probs",
    "with_reconstruction",
]


class Schedule(Protocol):
    """Interface of a noise schedule; all methods are elementwise."""

    def alpha(self, t: Tensor) -> Tensor:
        """Probability that a token is clean at time t."""

    def noise(self, t: Tensor) -> Tensor:
        """1 − α(t), in closed form, which stays precise where it is small."""

    def alpha_prime(self, t: Tensor) -> Tensor:
        """dα/dt ≤ 0."""

    def weight(self, t: Tensor) -> Tensor:
        """w(t) = −α′(t) / (1 − α(t)), in closed form, for 0 < t ≤ 1."""

    def inverse(self, alpha: Tensor) -> Tensor:
        """Time at which α(t) has the given value."""


@dataclass(frozen=True)
class LinearSchedule:
    """α = 1 − t: the log-linear schedule of the total noise −log α; w = 1/t."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def noise(self, t: Tensor) -> Tensor:
        return t

    def alpha_prime(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def weight(self, t: Tensor) -> Tensor:
        return 1 / t

    def inverse(self, alpha: Tensor) -> Tensor:
        return 1 - alpha


@dataclass(frozen=True)
class CosineSchedule:
    """α = 1 − cos(π(1−t)/2)."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - torch.cos(math.pi / 2 * (1 - t))

    def noise(self, t: Tensor) -> Tensor:
        return torch.sin(math.pi / 2 * t)

    def alpha_prime(self, t: Tensor) -> Tensor:
        return -math.pi / 2 * torch.sin(math.pi / 2 * (1 - t))

    def weight(self, t: Tensor) -> Tensor:
        # Numerator and denominator are precise near their zeros, t = 1 and t = 0.
        return -self.alpha_prime(t) / self.noise(t)

    def inverse(self, alpha: Tensor) -> Tensor:
        return 1 - 2 / math.pi * torch.acos(1 - alpha)


@dataclass(frozen=True)
class PolynomialSchedule:
    """α = 1 − t^e; w = e/t."""

    exponent: float = 2.0

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t**self.exponent

    def noise(self, t: Tensor) -> Tensor:
        return t**self.exponent

    def alpha_prime(self, t: Tensor) -> Tensor:
        return -self.exponent * t ** (self.exponent - 1)

    def weight(self, t: Tensor) -> Tensor:
        return self.exponent / t

    def inverse(self, alpha: Tensor) -> Tensor:
        return (1 - alpha) ** (1 / self.exponent)


@dataclass(frozen=True)
class GeometricSchedule:
    """α = exp(−σ_min^(1−t) σ_max^t).

    The only schedule whose ends are not exactly 1 and 0: the bound has additional terms
    for reconstruction at t = 0 and for the prior at t = 1.
    """

    sigma_min: float = 1e-4
    sigma_max: float = 20.0

    @property
    def _rate(self) -> float:
        """d log σ / dt"""
        return math.log(self.sigma_max) - math.log(self.sigma_min)

    def _sigma(self, t: Tensor) -> Tensor:
        log_sigma = (1 - t) * math.log(self.sigma_min) + t * math.log(self.sigma_max)
        # Positive for any σ_min, since the weight divides by it.
        return log_sigma.exp().clamp(min=torch.finfo(t.dtype).tiny)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-self._sigma(t))

    def noise(self, t: Tensor) -> Tensor:
        return -torch.expm1(-self._sigma(t))

    def alpha_prime(self, t: Tensor) -> Tensor:
        sigma = self._sigma(t)
        return -self._rate * sigma * torch.exp(-sigma)

    def weight(self, t: Tensor) -> Tensor:
        sigma = self._sigma(t)
        return self._rate * sigma / torch.expm1(sigma)

    def inverse(self, alpha: Tensor) -> Tensor:
        log_sigma = torch.log(-torch.log(alpha))
        return ((log_sigma - math.log(self.sigma_min)) / self._rate).clamp(0, 1)


@dataclass(frozen=True)
class HybridSchedule:
    """Noise of MASK and of random tokens together (GIDD, arXiv:2503.04482).

    With c = B √(t (1 − t)), a token at time t is clean with probability α = (1 − t) /
    (1 + c), MASK with t / (1 + c), and random with c / (1 + c). The share of random
    tokens is 0 at both ends and largest at t = ½.

    Args:
        uniform_share: that largest share, which gives B.
    """

    uniform_share: float = 0.2

    def ratio(self, t: Tensor) -> Tensor:
        """c(t), the number of random tokens for each that is not."""
        scale = 2 * self.uniform_share / (1 - self.uniform_share)
        return scale * torch.sqrt(t * (1 - t))

    def alpha(self, t: Tensor) -> Tensor:
        """Probability that a token is clean at time t."""
        return (1 - t) / (1 + self.ratio(t))

    def masked(self, t: Tensor) -> Tensor:
        """Probability that a token is MASK at time t."""
        return t / (1 + self.ratio(t))

    def random(self, t: Tensor) -> Tensor:
        """Probability that a token is drawn from the ordinary ones at time t."""
        c = self.ratio(t)
        return c / (1 + c)

    def noise(self, t: Tensor) -> Tensor:
        """1 − α(t)."""
        return self.masked(t) + self.random(t)

    def times(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Times u⁴, dense near 0, and one over the density that each is drawn with.

        Near t = 0 the share of random tokens is proportional to √t, and the loss of
        such a token to 1/t. With times drawn uniformly, estimates of the bound would
        have an infinite variance.

        Args:
            u: (B,), uniform on (0, 1].

        Returns:
            (B,) and (B,)
        """
        return u**4, 4 * u**3


def draw_times(
    batch_size: int,
    generator: torch.Generator | None = None,
    *,
    sampling_eps: float = 0.0,
    antithetic: bool = True,
) -> Tensor:
    """Draw one time per row, uniform on (sampling_eps, 1].

    Antithetic times share one uniform draw, u_i = (u + i/B) mod 1, so every batch
    covers the interval evenly (the low-discrepancy sampler of arXiv:2107.00630).

    Returns:
        (B,) float32, above 0, where the weights are infinite.
    """
    if antithetic:
        offsets = np.arange(batch_size, dtype=np.float32) / batch_size
        u = (torch.rand(1, generator=generator).numpy() + offsets) % 1
    else:
        u = torch.rand(batch_size, generator=generator).numpy()
    return torch.from_numpy(1 - (1 - sampling_eps) * u)


def draw_block_times(
    rows: int,
    blocks: int,
    generator: torch.Generator | None = None,
    *,
    antithetic: bool = True,
) -> Tensor:
    """Draw one time for every block of every row, uniform on (0, 1].

    Antithetic times are those of `draw_times`, assigned so that the times of each row,
    of each block over all rows, and of the batch are each spread evenly.

    Returns:
        (B, K) float32
    """
    times = draw_times(rows * blocks, generator, antithetic=antithetic)
    row, block = torch.arange(rows)[:, None], torch.arange(blocks)
    return times[row + rows * ((row + block) % blocks)]


def step_probs(schedule: Schedule, times: Tensor) -> list[float]:
    """Probability of revealing a masked token in each step of a sampler.

    1 − (1 − α(s)) / (1 − α(t)) for a step from t to s, and exactly 1 in the last step.
    It is computed from 1 − α, since α may round to 1 near t = 0.

    Args:
        schedule: a schedule with exact ends.
        times: (T,), falling from 1 to 0.

    Returns:
        T − 1 probabilities.
    """
    noise = [*schedule.noise(times[:-1]).tolist(), 0.0]
    return [1 - then / now for now, then in pairwise(noise)]


def loop_times(clock: Tensor, t_on: float, t_off: float, plateau: float) -> Tensor:
    """Diffusion times of a sampler with a plateau (ReMDM-loop, arXiv:2503.00307).

    As the clock falls from 1 to `t_on`, the time falls linearly from 1 to `plateau`. It
    is constant until the clock reaches `t_off`, and then falls linearly to 0.

    Args:
        clock: any shape, falling from 1 to 0.
        t_on: clock at the start of the plateau.
        t_off: clock at the end of the plateau.
        plateau: time of the plateau.

    Returns:
        Times in the shape of `clock`.
    """
    before = plateau + (1 - plateau) * (clock - t_on) / (1 - t_on)
    after = plateau * clock / t_off
    times = torch.where(clock > t_on, before, torch.full_like(clock, plateau))
    return torch.where(clock < t_off, after, times)


def with_reconstruction(t: Tensor, share: float = 1 / 8) -> tuple[Tensor, Tensor]:
    """Set a share of uniform times to 0, to estimate the reconstruction term.

    Args:
        t: (B,), uniform on (0, 1].
        share: expected share of rows that estimate the term at t = 0 instead of the
            integral.

    Returns:
        Times (B,), and one over the density that each was drawn with (B,).
    """
    at_start = t <= share
    times = torch.where(at_start, 0, (t - share) / (1 - share))
    return times, torch.where(at_start, 1 / share, 1 / (1 - share))
