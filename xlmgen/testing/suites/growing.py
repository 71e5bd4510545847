"""Base of the suites for families that insert and unmask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from xlmgen.runtime.generation import Generation
from xlmgen.testing.oracle import Oracle
from xlmgen.testing.remnants import FixedGrowth, RemnantOracle
from xlmgen.testing.schedule import event_schedule
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.predictor import Batch, PredictorSubject, Prompts
from xlmgen.testing.toy import ANSWER, Toy

ASKED = 9
"""Number of samples for the most frequent answer."""


class GrowingFamily(FamilyTests):
    """Toys and oracles of a family with missing tokens."""

    @property
    def ended(self) -> bool:
        """Whether every row ends with a given EOS."""
        return bool(self.spec.collator.options["eos"])

    @property
    def longest(self) -> int | None:
        """Largest gap that the head predicts; None if it predicts expectations."""
        options = self.spec.model.options
        counted = options["gap_head"] == "distribution"
        return int(options["max_gap"]) if counted else None

    def toy(self, *, prompted: bool = True) -> Toy:
        """Make the usual toy; EOS is given and not part of the answer."""
        toy = super().toy(prompted=prompted)
        if self.ended:
            toy.answer[torch.arange(len(toy)), toy.lengths - 1] = False
        return toy

    def remnant_oracle(self, toy: Toy, distractors: tuple[int, ...]) -> RemnantOracle:
        return RemnantOracle(
            toy,
            self.tokens.vocab_size,
            self.tokens.mask,
            event_schedule(self.spec, "insert"),
            self.longest,
            distractors,
        )


class GrowingSubject(GrowingFamily, PredictorSubject):
    """A predictor of growing rows, with prompts built without the collator."""

    @property
    def plain(self) -> dict[str, Any]:
        """Options with few steps, enough for all tests but that of the distribution."""
        return super().plain | {"steps": 12}

    def answers(self, model: nn.Module, batch: Batch) -> list[list[int]]:
        """Return the most frequent of several samples, because lengths are random."""
        often = {
            key: None if value is None else value.repeat_interleave(ASKED, 0)
            for key, value in batch.items()
        }
        out = self.generate(model, often, temperature=0.0, steps=32)
        drawn = out.answers(self.tokens.eos)
        groups = [drawn[i : i + ASKED] for i in range(0, len(drawn), ASKED)]
        return [max(group, key=group.count) for group in groups]

    def prompts(self, prompts: Prompts, repeat: int = 1) -> Batch:
        """Build `prompt [BOS]`, with EOS if the family has one, padded on the right."""
        end = [self.tokens.eos] * self.ended
        rows = [[*prompt, self.tokens.bos, *end] for prompt in prompts]
        free = [
            [*[False] * len(prompt), True, *[False] * len(end)] for prompt in prompts
        ]
        width = max(map(len, rows))
        ids = torch.tensor([r + [self.tokens.pad] * (width - len(r)) for r in rows])
        gaps = torch.tensor([f + [False] * (width - len(f)) for f in free])
        attended = torch.arange(width) < torch.tensor([[len(row)] for row in rows])
        mask = attended.repeat_interleave(repeat, 0)
        return {
            "input_ids": ids.repeat_interleave(repeat, 0),
            "attention_mask": None if mask.all() else mask,
            "insertable": gaps.repeat_interleave(repeat, 0),
            "max_insertions": torch.full((len(mask),), ANSWER - int(self.ended)),
        }

    def oracle(self, toy: Toy) -> Oracle:
        """Make an oracle with the highest logits for ids that must not be generated."""
        return self.remnant_oracle(toy, self.suppress_tokens)

    def fixed(self, logits: Tensor, expected: int = 50) -> Oracle:
        """Make a network with constant logits and constant output for gaps."""
        if self.longest is None:
            return FixedGrowth(self.toy(), logits, torch.tensor(float(expected)))
        gap = torch.full((self.longest + 1,), -30.0)
        gap[min(expected, self.longest)] = 0.0
        return FixedGrowth(self.toy(), logits, gap)

    def start(self, batch: Batch, out: Generation) -> Tensor:
        """Place the given tokens at the positions that were not generated."""
        ids, mask = batch["input_ids"], batch["attention_mask"]
        start = torch.full_like(out.ids, self.tokens.pad)
        for row, generated in enumerate(out.generated):
            given = ids[row] if mask is None else ids[row][mask[row]]
            places = (~generated).nonzero().squeeze(1)
            start[row, places[: len(given)]] = given
        return start

    def first_tokens(self, logits: list[float], **numbers: Any) -> Tensor:
        """Count (V,) the first generated tokens for constant logits."""
        batch = self.prompts([(5,)], repeat=3000)
        model = self.fixed(torch.tensor(logits))
        out = self.generate(model, batch, **{"steps": 2, **numbers})
        place = batch["insertable"][0].long().argmax() + 1
        drawn = out.ids[:, place][out.generated[:, place]]
        return drawn.bincount(minlength=self.tokens.vocab_size)
