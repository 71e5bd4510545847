"""Decisions of collator kind `masking`."""

from dataclasses import dataclass

from xlmgen.render.kinds.schedule import ScheduleCode, sampling_eps, schedule_code
from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class Masking:
    time: bool  # the masking probability follows a noise schedule
    sampling_eps: str  # expression of the smallest time to draw
    uniform: bool  # every row draws its masking probability
    scaled: str  # expression that scales a draw from [0, 1] to its range
    replaces: bool  # some selected tokens are randomised or kept
    mask_until: float
    random_until: float
    word: str  # for the chosen tokens: selected or masked
    pad_to_max_length: bool
    layouts: tuple[str, ...]  # imports from xlmgen.runtime.collate.layout
    noise_imports: tuple[str, ...]
    summary: str
    replace_summary: str
    lm_layout: str
    seq2seq_layout: str


def decide(family: FamilySpec) -> Masking:
    options = family.collator.options
    rate, replace = options["rate"], options["replace"]
    replaces = replace["mask"] < 1
    time = rate == "schedule"
    uniform = rate["uniform"] if isinstance(rate, dict) else None
    word = "selected" if replaces else "masked"
    if time:
        summary = f"Tokens are {word} at the rate of the noise schedule."
    elif uniform:
        summary = (
            f"Tokens are {word} with a probability that every row draws from "
            f"[{uniform[0]:.12g}, {uniform[1]:.12g}]."
        )
    else:
        summary = f"Tokens are {word} with probability {rate}."
    schedule = schedule_code(family)
    assert isinstance(schedule, ScheduleCode)
    shares = {"masked": "mask", "replaced at random": "random", "kept": "keep"}
    bos = "[BOS] " if options["bos"] else ""
    eos = " [EOS]" if options["eos"] else ""
    pads = " [PAD]…" if options["padding"] == "predict" else ""
    return Masking(
        time=time,
        sampling_eps=sampling_eps(family) if time else "",
        uniform=uniform is not None,
        scaled=_scaled(*uniform) if uniform else "",
        replaces=replaces,
        mask_until=replace["mask"],
        random_until=round(replace["mask"] + replace["random"], 12),
        word=word,
        pad_to_max_length=options["padding"] == "predict",
        layouts=(
            "Example",
            "Layout",
            "flat_positions",
            "infill_layout",
            "lm_layout",
            "masked_prompt_layout",
            "seq2seq_layout",
            *(() if replaces else ("with_token_at",)),
        ),
        noise_imports=(
            "draw_times",
            *(() if schedule.exact_ends else ("with_reconstruction",)),
        ),
        summary=summary,
        replace_summary=", ".join(
            f"{100 * replace[key]:g} % are {words}" for words, key in shares.items()
        ),
        lm_layout=f"{bos}tokens{eos}{pads}",
        seq2seq_layout=f"prompt {bos}target{eos}{pads}",
    )


def _scaled(low: float, high: float) -> str:
    """Return the expression that scales a draw from [0, 1]; empty for that range."""
    if (low, high) == (0, 1):
        return ""
    scaled = f"{round(high - low, 12):.12g} * mask_prob"
    return f"{low:.12g} + {scaled}" if low else scaled
