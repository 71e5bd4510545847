"""A network of a few thousand parameters learns one batch by heart, and says it."""

from __future__ import annotations

import torch

from xlmgen.testing.suites.predictor import PredictorSubject
from xlmgen.testing.toy import ANSWER, seeded
from xlmgen.tokens import Block

STEPS = 250
PAIRS = [((5,), (6, 7)), ((6,), (7, 7)), ((7, 5), (5, 6)), ((7, 6), (6, 5))]


class LearningTests(PredictorSubject):
    """Collator, loss, network and predictor together."""

    def test_one_batch_is_learnt_and_generated(self) -> None:
        eos = self.spec.collator.options["eos"]
        targets = [target if eos else (*target, 5) for _, target in PAIRS]
        examples = [
            {"prompt": list(prompt), "target": list(target)}
            for (prompt, _), target in zip(PAIRS, targets, strict=True)
        ]
        model = self.fresh_network(d_model=32).train()
        collate = self.family.collators["seq2seq"](self.tokens, Block(ANSWER, 3))
        loss, generator = self.family.loss(self.tokens), seeded(0)
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(STEPS):
            batch = collate(examples * 4, generator)
            optimizer.zero_grad()
            torch.autograd.backward(loss(model, batch)["loss"])
            optimizer.step()
        prompts = [prompt for prompt, _ in PAIRS]
        out = self.generate(model.eval(), self.prompts(prompts), temperature=0.0)
        assert out.answers(self.tokens.eos) == [list(target) for target in targets]
