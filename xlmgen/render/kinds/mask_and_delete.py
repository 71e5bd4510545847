"""Decisions of collator kind `mask_and_delete`."""

from dataclasses import dataclass

from xlmgen.render.kinds.schedule import SchedulePair, sampling_eps, schedule_code
from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class Deleting:
    sampling_eps: str  # expression of the distance that times keep from 0
    max_gap: int | None  # largest number of missing tokens the model can predict
    gap_imports: tuple[str, ...]  # from xlmgen.runtime.collate.gaps
    noise_imports: tuple[str, ...]
    end: str  # last token of every row, as text for docstrings


def decide(family: FamilySpec) -> Deleting:
    schedule = schedule_code(family)
    assert isinstance(schedule, SchedulePair)
    limited = "gap_head:distribution" in family.provided
    return Deleting(
        sampling_eps=sampling_eps(family),
        max_gap=family.model.options["max_gap"] if limited else None,
        gap_imports=(
            "GapLayout",
            "compact_rows",
            "infill_gaps",
            "lm_gaps",
            "prompt_gaps",
            "room",
            "seq2seq_gaps",
            *(("refuse_longer_gaps",) if limited else ()),
        ),
        noise_imports=(*schedule.class_names, "draw_times"),
        end=" [EOS]" if family.collator.options["eos"] else "",
    )
