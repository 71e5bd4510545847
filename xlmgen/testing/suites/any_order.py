"""Tests of generation in any order."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.statistics import p_value, tally
from xlmgen.testing.suites.model import call
from xlmgen.testing.suites.predictor import LEAST, PROMPTS, PredictorSubject
from xlmgen.testing.toy import ANSWER

REPEAT = 3000


class AnyOrderTests(PredictorSubject):
    """Exact samples in the order of each row, a correct cache, and few passes."""

    def test_samples_follow_the_distribution(self) -> None:
        """Rows of all prompts are in one batch, padded on the right."""
        toy = self.toy()
        prompts = sorted(set(toy.prompts))
        out = self.generate(self.oracle(toy), self.prompts(prompts, REPEAT))
        answers = out.ids[out.generated].view(-1, ANSWER)
        for place, prompt in enumerate(prompts):
            drawn = answers[place * REPEAT : (place + 1) * REPEAT]
            law = toy.padded_law(prompt, self.tokens.pad, self.tokens.vocab_size)
            assert p_value(tally(drawn, self.tokens.vocab_size), law) > LEAST

    def test_holes_follow_the_distribution_given_both_sides(self) -> None:
        """Of the rows of one batch, the first has one hole and the others have more."""
        toy, prompt, token = self.toy(), (6,), 5
        batch = self.prompts([prompt], 3 * REPEAT)
        start = int(batch["fillable"][0].long().argmax())
        batch["input_ids"][1:, start + 1] = token
        batch["fillable"][1:, start + 1] = False
        out = self.generate(self.oracle(toy), batch)
        law = toy.padded_law(prompt, self.tokens.pad, self.tokens.vocab_size)
        law = law[:, token] / law[:, token].sum()
        drawn = out.ids[1:, [start, start + 2]]
        assert (out.ids[1:, start + 1] == token).all()
        assert p_value(tally(drawn, self.tokens.vocab_size), law) > LEAST

    def test_every_row_fills_its_positions_in_its_order(self) -> None:
        orders = list(permutations(range(ANSWER)))
        drawn = dict.fromkeys(orders, 0)
        for order in self.orders(REPEAT):
            drawn[order] += 1
        counts = torch.tensor(list(drawn.values()))
        single = {"left_to_right": orders[0], "right_to_left": orders[-1]}
        order = self.spec.predictor.options["order"]
        if order in single:
            assert drawn[single[order]] == REPEAT
            return
        even = torch.full((len(orders),), 1 / len(orders), dtype=torch.float64)
        assert p_value(counts, even) > LEAST

    def test_greedy_generation_equals_loop_without_cache(self) -> None:
        """The loop runs each row alone, without padding and cache, in its order."""
        model, batch = self.network(), self.prompts(PROMPTS)
        out = self.generate(model, batch, temperature=0.0, trace=True)
        assert out.trace is not None
        for row, prompt in enumerate(PROMPTS):
            ids = [*prompt, self.tokens.bos]
            places = list(range(len(ids)))
            order = out.trace.position[out.trace.row == row].tolist()
            for place in order:
                following = [*places[1:], place]
                logits = call(
                    model,
                    torch.tensor([ids]),
                    position_ids=torch.tensor([places]),
                    next_position_ids=torch.tensor([following]),
                )[0, -1].detach()
                logits[list(self.suppress_tokens)] = -torch.inf
                ids.append(int(logits.argmax()))
                places.append(place)
            made = dict(zip(places, ids, strict=True))
            assert out.ids[row, : len(ids)].tolist() == [made[i] for i in sorted(made)]

    def test_given_tokens_are_read_once_then_token_by_token(self) -> None:
        """Rows with fewer positions to fill read given tokens in the later passes."""
        model = FixedLogits(self.toy(), torch.zeros(self.tokens.vocab_size))
        batch = self.prompts(PROMPTS)
        batch["fillable"][0, -1 - ANSWER :] = False
        out = self.generate(model, batch)
        rows, length = batch["input_ids"].shape
        first = torch.Size([rows, length - ANSWER])
        assert model.shapes == [first] + [torch.Size([rows, 1])] * (ANSWER - 1)
        assert out.forward_passes == ANSWER

    def test_rows_without_positions_to_fill_need_no_pass(self) -> None:
        batch = self.prompts(PROMPTS)
        batch["fillable"] = torch.zeros_like(batch["fillable"])
        out = self.generate(self.oracle(self.toy()), batch)
        assert out.forward_passes == 0
        assert out.ids.equal(batch["input_ids"])

    def orders(self, repeat: int) -> list[tuple[int, ...]]:
        """Generate from one prompt; return the order of every row's positions."""
        model = FixedLogits(self.toy(), torch.zeros(self.tokens.vocab_size))
        batch = self.prompts([(5,)], repeat)
        out = self.generate(model, batch, trace=True)
        assert out.trace is not None
        start = int(batch["fillable"][0].long().argmax())
        step: Tensor = out.trace.step * repeat + out.trace.row
        position = out.trace.position[step.argsort()].view(ANSWER, repeat) - start
        return [tuple(order) for order in position.T.tolist()]
