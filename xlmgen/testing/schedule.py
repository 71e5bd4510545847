"""Reference values of a spec's noise schedule and sampler options."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from xlmgen.render.kinds.schedule import CLASSES
from xlmgen.render.python import class_name
from xlmgen.runtime import noise
from xlmgen.runtime.noise import Schedule
from xlmgen.spec.family import FamilySpec
from xlmgen.testing.law import Step


def noise_schedule(spec: FamilySpec) -> Schedule:
    """Return the spec's schedule; linear if it has none.

    A schedule of the project's own is a class of the family, which must be imported.
    """
    part = spec.noise_schedule
    if part is not None and part.kind not in CLASSES:
        module = f"xlmgen.families.{spec.name}.schedule_{spec.name}"
        own = getattr(import_module(module), f"{class_name(spec.name)}Schedule")
        made: Schedule = own()
        return made
    kind, names = CLASSES["linear" if part is None else part.kind]
    numbers = {name: part.options[name] for name in names} if part else {}
    schedule: Schedule = getattr(noise, kind)(**numbers)
    return schedule


def event_schedule(spec: FamilySpec, event: str) -> Schedule:
    """Return the schedule of the event `insert` or `unmask` of a spec that has both."""
    part = spec.noise_schedule
    assert part is not None
    options = part.options[event]
    kind, names = CLASSES[options["kind"]]
    numbers = {name: options[name] for name in names}
    schedule: Schedule = getattr(noise, kind)(**numbers)
    return schedule


def alpha(schedule: Schedule, t: float) -> float:
    """Compute α(t) in float64."""
    return float(schedule.alpha(torch.tensor(t, dtype=torch.float64)))


def slope(schedule: Schedule, t: Tensor) -> Tensor:
    """Compute α′(t) in float64 by differentiating α, independently of the schedule."""
    t = t.detach().double().requires_grad_()
    with torch.enable_grad():
        (derivative,) = torch.autograd.grad(schedule.alpha(t).sum(), t)
    return derivative


def loss_weight(schedule: Schedule, t: Tensor) -> Tensor:
    """Compute −α′(t) / (1 − α(t)) in float64 by differentiating α."""
    return -slope(schedule, t) / (1 - schedule.alpha(t.double()))


def _hybrid(t: float, uniform_share: float) -> float:
    c = 2 * uniform_share / (1 - uniform_share) * math.sqrt(t * (1 - t))
    return (t + c) / (1 + c)


NOISE: dict[str, Callable[..., float]] = {
    "linear": lambda t: t,
    "cosine": lambda t: math.sin(math.pi * t / 2),
    "polynomial": lambda t, exponent: t**exponent,
    "geometric": lambda t, sigma_min, sigma_max: (
        -math.expm1(-(sigma_min ** (1 - t)) * sigma_max**t)
    ),
    "hybrid": _hybrid,
}
"""1 − α(t) of every kind of schedule, in plain Python."""


def noise_level(spec: FamilySpec, t: float) -> float:
    """Compute 1 − α(t) by its formula, precisely also for small values."""
    part = spec.noise_schedule
    kind = "linear" if part is None else part.kind
    if kind not in CLASSES:
        level = torch.tensor(t, dtype=torch.float64)
        return float(noise_schedule(spec).noise(level))
    _, names = CLASSES[kind]
    options = part.options if part else {}
    return NOISE[kind](t, **{name: options[name] for name in names})


def exact_ends(spec: FamilySpec) -> bool:
    """Whether α falls from 1 to 0, up to rounding."""
    schedule = noise_schedule(spec)
    return alpha(schedule, 0.0) > 1 - 1e-12 and alpha(schedule, 1.0) < 1e-12


def ancestral_steps(
    spec: FamilySpec, number: int, steps: int, decoding_block: int | None, eta: float
) -> list[Step]:
    """Return the steps of ancestral sampling over `number` positions, with remasking.

    Args:
        decoding_block: positions per decoding block; None means all.
        eta: strength of remasking, if the spec remasks.
    """
    size = decoding_block or number
    areas = [
        range(start, min(start + size, number)) for start in range(0, number, size)
    ]
    found = []
    for index, area in enumerate(areas):
        share = steps // len(areas) + (index < steps % len(areas))
        chances = list(_chances(spec, max(1, share), eta))
        found += [Step(area, reveal, remask) for reveal, remask in chances]
    return found


def levels(spec: FamilySpec, steps: int) -> list[float]:
    """Return α at the start and after every step; 1 at the end."""
    schedule = noise_schedule(spec)
    times = [_time(spec, 1 - step / steps) for step in range(steps)]
    return [*(alpha(schedule, time) for time in times), 1.0]


def _chances(spec: FamilySpec, steps: int, eta: float) -> Iterator[tuple[float, float]]:
    """Return the probabilities of revealing and of remasking for every step."""
    remask = spec.predictor.options.get("remask")
    for step, (now, then) in enumerate(pairwise(levels(spec, steps))):
        sigma = 0.0
        if remask and _in_window(remask["window"], 1 - step / steps):
            sigma = remask_probability(remask["rule"], eta, now, then)
        # α is exactly 1 before the end: everything is visible already.
        yield (then - (1 - sigma) * now) / (1 - now) if now < 1 else 0.0, sigma


def remask_probability(rule: str, eta: float, now: float, then: float) -> float:
    """σ of a rule of remasking, for a step from α = `now` to α = `then`."""
    if rule == "renoise":
        return eta * (1 - then)
    limit = 1.0 if now == 0 else min(1.0, (1 - then) / now)
    return min(eta, limit) if rule == "cap" else eta * limit


def _in_window(window: dict[str, Any] | None, clock: float) -> bool:
    if window is None:
        return True
    if window["kind"] == "switch":
        return bool(clock <= window["t_on"])
    return bool(window["t_off"] < clock <= window["t_on"])


def _time(spec: FamilySpec, clock: float) -> float:
    """Convert the sampler's clock to diffusion time; they differ in a loop's window."""
    remask = spec.predictor.options.get("remask")
    window = remask and remask["window"]
    if not window or window["kind"] != "loop":
        return clock
    on, off = window["t_on"], window["t_off"]
    plateau = on
    if window["alpha_on"] is not None:
        level = torch.tensor(window["alpha_on"], dtype=torch.float64)
        plateau = float(noise_schedule(spec).inverse(level))
    if clock > on:
        return float(plateau + (1 - plateau) * (clock - on) / (1 - on))
    return float(plateau * clock / off) if clock < off else plateau
