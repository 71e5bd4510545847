"""Decisions of predictor kind `mask_and_insert`."""

from dataclasses import dataclass

from xlmgen.render.kinds.options import Option, options, predictor_schema
from xlmgen.render.kinds.schedule import SchedulePair, schedule_code
from xlmgen.render.kinds.unmasking import SCORES
from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class Inserting:
    confident: bool  # reveals the most confident positions first
    noisy: bool
    score: str
    options: tuple[Option, ...]
    noise_imports: tuple[str, ...]
    sampling_imports: tuple[str, ...]


def decide(family: FamilySpec) -> Inserting:
    o = family.predictor.options
    schedule = schedule_code(family)
    assert isinstance(schedule, SchedulePair)
    confident = o["order"] != "random"
    noisy = confident and o["order_temperature"] > 0
    score = SCORES[o["order"]] if confident else ""
    sampling = {"TokenSampler"}
    if family.model.options["gap_head"] == "distribution":
        sampling |= {"categorical"}
    if confident:
        sampling |= {score, "ranks", "round_at_random", "spread"}
        sampling |= {"add_gumbel"} if noisy else set()
    names = (
        *("steps", "max_new_tokens"),
        *(("order_temperature",) if noisy else ()),
        *("temperature", "top_k", "top_p"),
    )
    return Inserting(
        confident=confident,
        noisy=noisy,
        score=score,
        options=tuple(options(predictor_schema(family), o, names)),
        noise_imports=(*schedule.class_names, "step_probs"),
        sampling_imports=tuple(sampling),
    )
