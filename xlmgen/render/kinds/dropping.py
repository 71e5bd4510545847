"""Decisions of collator kind `dropping`."""

from dataclasses import dataclass

from xlmgen.spec.family import FamilySpec


@dataclass(frozen=True)
class Dropping:
    end: str  # last token of every row, as text for docstrings
    imports: tuple[str, ...]  # from xlmgen.runtime.collate.dropping
    layouts: tuple[str, ...]  # from xlmgen.runtime.collate.layout


def decide(family: FamilySpec) -> Dropping:
    eos = family.collator.options["eos"]
    given_end = ("refuse_packed", "with_given_end") if eos else ()
    return Dropping(
        end=" EOS" if eos else "",
        imports=("drop_tokens", *given_end),
        layouts=(
            "Example",
            "Layout",
            "count",
            "flat_positions",
            "infill_layout",
            "lm_layout",
            "masked_prompt_layout",
            "seq2seq_layout",
        ),
    )
