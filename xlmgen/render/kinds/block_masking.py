"""Decisions of collator kind `block_masking`."""

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class BlockMasking:
    times: str  # expression of the lowest and highest time to draw


def decide(family: FamilySpec) -> BlockMasking:
    clip = family.collator.options["clip"]
    if clip is None:
        assert family.noise_schedule is not None, "a contract of the kind"
        clip = (family.noise_schedule.options["sampling_eps"], 1)
    training, full = (float(clip[0]), float(clip[1])), (0.0, 1.0)
    if training == full:
        return BlockMasking(times=f"{full}")
    return BlockMasking(times=f"{full} if evaluation else {training}")
