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
    headline: str
    summary: str
    options: tuple[Option, ...]
    noise_imports: tuple[str, ...]
    sampling_imports: tuple[str, ...]


def decide(family: FamilySpec) -> Inserting:
    o = family.predictor.options
    schedule = schedule_code(family)
    assert isinstance(schedule, SchedulePair)
    confident = o["order"] != "random"
    noisy = confident and o["order_temperature"] > 0
    score = SCORES[o["order"]][0] if confident else ""
    sampling = {"Generation", "TokenSampler"}
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
        headline="masks are inserted and revealed until the row is complete",
        summary=_summary(o["order"]),
        options=tuple(options(predictor_schema(family), o, names)),
        noise_imports=(*schedule.class_names, "step_probs"),
        sampling_imports=tuple(sampling),
    )


def _summary(order: str) -> str:
    process = "The process of arXiv:2509.01025 in steps of equal length."
    if order == "random":
        return (
            f"{process} Exact as the number of steps grows: tokens revealed or "
            "inserted in one step are drawn independently."
        )
    _, words = SCORES[order]
    return (
        f"{process} Reveals the masked tokens with {words} first, as many as the "
        "schedule expects: a heuristic."
    )
