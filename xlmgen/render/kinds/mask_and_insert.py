"""Decisions of predictor kind `mask_and_insert`."""

from dataclasses import dataclass

from xlmgen.render.kinds.schedule import SchedulePair, schedule_code
from xlmgen.render.kinds.unmasking import SCORES, Option
from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class Inserting:
    confident: bool  # reveals what the model is surest of
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
    counted = family.model.options["gap_head"] == "distribution"
    score, words = SCORES[o["order"]] if confident else ("", "")
    sampling = {"Generation", "TokenSampler"}
    sampling |= {"categorical"} if counted else set()
    if confident:
        sampling |= {score, "ranks", "round_at_random", "spread"}
        sampling |= {"add_gumbel"} if noisy else set()
    summary = "The process of arXiv:2509.01025 in steps of equal length. "
    if confident:
        summary += (
            f"Of the masked tokens those with {words} are revealed first, as many as "
            "their schedule lets expect: a heuristic."
        )
    else:
        summary += (
            "Exact as the steps grow: what is revealed and inserted in one step is "
            "drawn independently."
        )
    return Inserting(
        confident=confident,
        noisy=noisy,
        score=score,
        headline="masks are inserted and revealed until the row is complete",
        summary=summary,
        options=_options(family, noisy),
        noise_imports=("Rising", *schedule.class_names),
        sampling_imports=tuple(sampling),
    )


def _options(family: FamilySpec, noisy: bool) -> tuple[Option, ...]:
    o = family.predictor.options
    about = {
        "steps": ("int", "number of steps from what is given to the whole row."),
        "max_new_tokens": (
            "int | None",
            "at most so many tokens are inserted; None is the task's answer.",
        ),
        "order_temperature": (
            "float",
            "of the Gumbel noise on the log-scores of the order.",
        ),
        "temperature": (
            "float",
            "divides the logits; 0 takes the most likely token.",
        ),
        "top_k": ("int | None", "draw from the k most likely tokens only."),
        "top_p": (
            "float | None",
            "draw from the smallest set of tokens whose mass reaches p.",
        ),
    }
    return tuple(
        Option(name, kind, o[name], text)
        for name, (kind, text) in about.items()
        if noisy or name != "order_temperature"
    )
