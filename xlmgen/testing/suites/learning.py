"""Test that a small network overfits one batch and generates it."""

from __future__ import annotations

import torch
from torch import nn

from xlmgen.runtime.special_tokens import MaxLength
from xlmgen.testing.suites.predictor import Batch, PredictorSubject
from xlmgen.testing.toy import ANSWER, seeded

ROUNDS, STEPS = 40, 50
"""Maximum number of rounds, and steps per round; each round ends with generation."""

WIDTH = 32

PAIRS = [((5,), (6, 7)), ((6,), (7, 7)), ((7, 5), (5, 6)), ((7, 6), (6, 5))]


class LearningTests(PredictorSubject):
    """Test of collator, loss, network and predictor together."""

    def test_batch_is_overfitted_and_generated(self) -> None:
        targets = self.targets
        examples = [
            {"prompt": list(prompt), "target": target}
            for (prompt, _), target in zip(PAIRS, targets, strict=True)
        ]
        batch = self.question(targets)
        model, loss = self.fresh_network(d_model=WIDTH), self.family.loss(self.tokens)
        collate = self.family.collators["seq2seq"](self.tokens, MaxLength(ANSWER, 3))
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        generator, answers = seeded(0), []
        for _ in range(ROUNDS):
            model.train()
            for _ in range(STEPS):
                optimizer.zero_grad()
                output = loss(model, collate(examples * 16, generator))
                torch.autograd.backward(output["loss"])
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            answers = self.answers(model.eval(), batch)
            if answers == self.expected(targets):
                break
        assert answers == self.expected(targets)

    @property
    def targets(self) -> list[list[int]]:
        """Answers of maximum length, with or without EOS."""
        eos = self.spec.collator.options.get("eos", True)
        return [[*target] if eos else [*target, 5] for _, target in PAIRS]

    @property
    def one_hole(self) -> bool:
        """Whether training masks too few tokens to generate a full answer."""
        return isinstance(self.spec.collator.options.get("rate"), float)

    def question(self, targets: list[list[int]]) -> Batch:
        """Build prompts, with all answer tokens but one if training masks few."""
        batch = self.prompts([prompt for prompt, _ in PAIRS])
        if self.one_hole:
            for row, target in enumerate(targets):
                start = int(batch["fillable"][row].long().argmax())
                rest = [*target, self.tokens.eos][1:ANSWER]
                batch["input_ids"][row, start + 1 : start + ANSWER] = torch.tensor(rest)
                batch["fillable"][row, start + 1 :] = False
        return batch

    def expected(self, targets: list[list[int]]) -> list[list[int]]:
        """Return the tokens to generate."""
        return [target[:1] for target in targets] if self.one_hole else targets
