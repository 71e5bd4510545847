"""Decisions of collator kind `block_masking`."""

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class BlockMasking:
    clip: tuple[float, float]  # the times that training draws


def decide(family: FamilySpec) -> BlockMasking:
    clip = family.collator.options["clip"]
    if clip is None:
        assert family.noise_schedule is not None, "a contract of the kind"
        clip = (family.noise_schedule.options["sampling_eps"], 1)
    return BlockMasking(clip=(float(clip[0]), float(clip[1])))
