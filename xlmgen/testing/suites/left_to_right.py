"""Tests of generation from left to right."""

from __future__ import annotations

import torch

from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.statistics import p_value, tally
from xlmgen.testing.suites.model import call
from xlmgen.testing.suites.predictor import LEAST, PROMPTS, PredictorSubject
from xlmgen.testing.toy import ANSWER

REPEAT = 3000
NETWORK_PROMPTS = [(5,), (6, 7, 5), (7, 2), ()]


class LeftToRightTests(PredictorSubject):
    """Exact samples, a correct cache, and rows that end independently."""

    def test_samples_follow_the_distribution(self) -> None:
        """Rows of all prompts are in one batch, padded on the left."""
        toy = self.toy()
        prompts = sorted(set(toy.prompts))
        batch = self.prompts(prompts, REPEAT)
        out = self.generate(self.oracle(toy), batch)
        answers = out.ids[:, batch["input_ids"].shape[1] :]
        for place, prompt in enumerate(prompts):
            drawn = answers[place * REPEAT : (place + 1) * REPEAT]
            law = toy.padded_law(prompt, self.tokens.pad, self.tokens.vocab_size)
            assert p_value(tally(drawn, self.tokens.vocab_size), law) > LEAST

    def test_greedy_generation_equals_loop_without_cache(self) -> None:
        """The loop runs each row alone, without padding and cache."""
        model = self.network()
        batch = self.prompts(NETWORK_PROMPTS) | {"max_new_tokens": 6}
        out = self.generate(model, batch, temperature=0.0)
        for row, prompt in enumerate(NETWORK_PROMPTS):
            ids: list[int] = [*prompt, self.tokens.bos]
            answer: list[int] = []
            while len(answer) < 6 and self.tokens.eos not in answer:
                logits = call(model, torch.tensor([ids + answer]))[0, -1].detach()
                logits[list(self.suppress_tokens)] = -torch.inf
                answer.append(int(logits.argmax()))
            made = out.ids[row][out.generated[row]].tolist()
            assert made == answer

    def test_eos_in_prompt_does_not_end_row(self) -> None:
        logits = torch.zeros(self.tokens.vocab_size)
        logits[7] = 20.0
        model = FixedLogits(self.toy(), logits)
        out = self.generate(model, self.prompts([(2,), (5, 2), (2, 2)]))
        assert out.answers(self.tokens.eos) == [[7] * ANSWER] * 3

    def test_rows_end_independently(self) -> None:
        """A row ends at its first EOS; later tokens are PAD and not generated."""
        toy = self.toy()
        out = self.generate(self.oracle(toy), self.prompts(PROMPTS, repeat=50))
        lengths = set()
        for ids, generated in zip(out.ids, out.generated, strict=True):
            made = ids[generated].tolist()
            ended = (
                made.index(self.tokens.eos) + 1 if self.tokens.eos in made else ANSWER
            )
            assert len(made) == ended
            start = int(generated.long().argmax())
            assert (ids[start + len(made) :] == self.tokens.pad).all()
            lengths.add(len(made))
        assert len(lengths) > 1 or not self.spec.collator.options["eos"]

    def test_number_of_passes_is_length_of_longest_row(self) -> None:
        logits = torch.zeros(self.tokens.vocab_size)
        logits[self.tokens.eos] = 30.0
        out = self.generate(FixedLogits(self.toy(), logits), self.prompts(PROMPTS))
        assert out.forward_passes == 1

    def test_prompt_is_read_once_then_token_by_token(self) -> None:
        logits = torch.zeros(self.tokens.vocab_size)
        logits[7] = 30.0
        model = FixedLogits(self.toy(), logits)
        batch = self.prompts(PROMPTS)
        self.generate(model, batch)
        first = batch["input_ids"].shape
        assert model.shapes == [first] + [torch.Size([len(PROMPTS), 1])] * (ANSWER - 1)

    def test_max_new_tokens_limits_answers(self) -> None:
        logits = torch.zeros(self.tokens.vocab_size)
        logits[7] = 30.0
        model = FixedLogits(self.toy(), logits)
        batch = self.prompts(PROMPTS)
        own = self.generate(model, batch, max_new_tokens=2)
        assert own.generated.sum(1).tolist() == [2] * 3
        tasks = self.generate(model, batch, max_new_tokens=None)
        assert tasks.generated.sum(1).tolist() == [ANSWER] * 3
