"""Generation by inserting masks and revealing them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from xlmgen.testing.growth import SCORES, Step, growth_law
from xlmgen.testing.schedule import rising
from xlmgen.testing.statistics import p_value, total_variation
from xlmgen.testing.suites.growing import GrowingSubject
from xlmgen.testing.suites.predictor import LEAST, PROMPTS, Batch
from xlmgen.testing.toy import ANSWER, Toy

REPEAT = 1500


class MaskAndInsertTests(GrowingSubject):
    """Rows grow where they may, within their room, and end without a mask."""

    def test_only_free_gaps_grow(self) -> None:
        batch = self.holes()
        for seed in range(10):
            out = self.generate(self.network(seed), batch, seed=seed, steps=9)
            for row, (ids, free) in enumerate(
                zip(batch["input_ids"], batch["free"], strict=True)
            ):
                length = int((ids != self.tokens.pad).sum())
                behind, grown = -1, set()
                for column, new in enumerate(out.generated[row].tolist()):
                    if new:
                        grown.add(behind)
                    elif behind + 1 < length:
                        behind += 1
                        assert out.ids[row, column] == ids[behind]
                    else:
                        assert out.ids[row, column] == self.tokens.pad
                assert grown <= set(free.nonzero().flatten().tolist())

    def test_no_mask_is_left_after_any_number_of_steps(self) -> None:
        for steps in (1, 2, 7):
            for batch in (self.holes(), self.prompts([(), *PROMPTS], 10)):
                out = self.generate(self.network(), batch, steps=steps)
                assert not (out.ids == self.tokens.mask).any()

    def test_familys_own_numbers_leave_no_mask(self) -> None:
        out = self.family.predictor(self.tokens).generate(self.network(), self.holes())
        assert not (out.ids == self.tokens.mask).any()

    def test_a_row_receives_what_fits(self) -> None:
        """However much is expected, and with nothing behind an EOS."""
        room = ANSWER - int(self.ended)
        batch = self.prompts(PROMPTS, 10)
        for steps in (1, 5):
            for most in (None, 1):
                model = self.fixed(torch.zeros(self.tokens.vocab_size))
                out = self.generate(model, batch, steps=steps, max_new_tokens=most)
                if self.longest is None or self.longest >= room:
                    assert (out.generated.sum(1) == (most or room)).all()
                assert (out.generated.sum(1) <= (most or room)).all()
                self.check_end(batch, out.ids)

    def test_rooms_differ_between_rows(self) -> None:
        batch = self.prompts([(5,)], 3)
        batch["room"] = torch.tensor([0, 2, 1])
        model = self.fixed(torch.zeros(self.tokens.vocab_size))
        out = self.generate(model, batch, steps=4)
        if self.longest is None or self.longest >= 2:
            assert out.generated.sum(1).tolist() == [0, 2, 1]

    def test_nothing_follows_the_end(self) -> None:
        batch = self.prompts(PROMPTS, 30)
        self.check_end(batch, self.generate(self.network(), batch).ids)

    def test_every_mask_is_revealed_once(self) -> None:
        """It is inserted, later it becomes a token, and then it stays."""
        batch = self.prompts(PROMPTS, 20)
        out = self.generate(self.network(), batch, steps=12, trace=True)
        assert out.trace is not None
        written: dict[tuple[int, int], list[tuple[int, bool]]] = {}
        for step, row, position, token in zip(
            out.trace.step.tolist(),
            out.trace.row.tolist(),
            out.trace.position.tolist(),
            out.trace.token.tolist(),
            strict=True,
        ):
            is_mask = token == self.tokens.mask
            written.setdefault((row, position), []).append((step, is_mask))
        assert written
        for events in written.values():
            assert [is_mask for _, is_mask in events] == [True, False]
            assert events[0][0] < events[1][0]

    def test_as_many_masks_are_revealed_as_the_schedule_says(self) -> None:
        """In every step, on average over the rows, whatever order they come in."""
        steps, rows = 7, 600
        model = self.fixed(torch.zeros(self.tokens.vocab_size))
        batch = self.prompts([(5,)], rows)
        trace = self.generate(model, batch, steps=steps, trace=True).trace
        assert trace is not None
        is_mask = trace.token == self.tokens.mask
        inserted = trace.step[is_mask].bincount(minlength=steps + 1)
        revealed = trace.step[~is_mask].bincount(minlength=steps + 1)
        masked = (inserted - revealed).cumsum(0)  # after every step
        unmask, some = rising(self.spec, "unmask"), 0
        for step in range(1, steps - 1):
            times = double(step / steps), double((step + 1) / steps)
            expected = float(masked[step - 1] * (1 - unmask.remains(*times)))
            # A row has three masks at most: its number varies by less than 3/4.
            error = (rows * 3 / 4) ** 0.5
            assert abs(float(revealed[step]) - expected) < 5 * error
            some += expected > 5 * error
        assert some

    def test_network_is_told_times_that_run_from_nothing_to_data(self) -> None:
        oracle = self.oracle(self.toy())
        self.generate(oracle, self.prompts([(5,)], 200), steps=8)
        times = [float(t[0]) for t in oracle.times]
        assert len(times) in (8, 9)  # one more where the last step inserts
        assert times == pytest.approx([step / 8 for step in range(len(times))])
        assert all((t == t[0]).all() for t in oracle.times)

    def test_a_step_takes_one_pass_and_the_end_one_more(self) -> None:
        out = self.generate(self.oracle(self.toy()), self.prompts(PROMPTS), steps=6)
        assert out.forward_passes in (6, 7)

    def test_rows_that_are_complete_take_no_part(self) -> None:
        batch = self.prompts([(5,)], 3)
        batch["free"] = batch["free"] & torch.tensor([[False], [True], [False]])
        oracle = self.oracle(self.toy())
        out = self.generate(oracle, batch)
        assert {shape[0] for shape in oracle.shapes} == {1}
        assert not out.generated[[0, 2]].any()
        batch["free"] = batch["free"] & False
        assert self.generate(oracle, batch).forward_passes == 0

    def holes(self) -> Batch:
        """Rows with gaps in which something is missing: none, one, two."""
        pad = self.tokens.pad
        ids = torch.tensor([[1, 5, 6, 7, 5], [1, 6, 7, pad, pad], [1, 5, 5, 6, pad]])
        free = torch.zeros_like(ids, dtype=torch.bool)
        free[1, 1] = free[2, 0] = free[2, 2] = True
        return {
            "input_ids": ids,
            "attention_mask": ids != pad,
            "free": free,
            "room": torch.tensor([3, 3, 4]),
        }

    def check_end(self, batch: Batch, ids: Tensor) -> None:
        """Behind a given EOS there are pads only, and it is still there."""
        if not self.ended:
            return
        for row, before in zip(ids.tolist(), batch["input_ids"].tolist(), strict=True):
            given = [token for token in before if token != self.tokens.pad]
            kept = [token for token in row if token != self.tokens.pad]
            assert kept[: len(given) - 1] == given[:-1]
            assert kept[-1] == self.tokens.eos
            assert row == kept + [self.tokens.pad] * (len(row) - len(kept))


class InsertionLawTests(GrowingSubject):
    """Samples follow the law of their own steps, which tends to the toy's."""

    @pytest.mark.parametrize("steps", [1, 4, 16])
    def test_samples_follow_the_law_of_so_many_steps(self, steps: int) -> None:
        """The exact law, with the error of doing several things at once."""
        if self.spec.predictor.options["order_temperature"] > 0:
            pytest.skip("a noisy order")
        toy = self.toy()
        for prompt in sorted(set(toy.prompts)):
            law = self.law(toy, prompt, steps)
            counts = self.counts(toy, prompt, list(law), steps=steps)
            assert counts.sum() == REPEAT, "a string that has no probability"
            probs = torch.tensor(list(law.values()), dtype=torch.float64)
            assert p_value(counts, probs) > LEAST

    def test_law_tends_to_the_distribution_of_content_and_length(self) -> None:
        if self.spec.predictor.options["order"] != "random":
            pytest.skip("a heuristic")
        toy = self.toy(prompted=False)
        truth = dict(zip(toy.targets, toy.probs.tolist(), strict=True))
        far = []
        for steps in (4, 16, 64):
            law = self.law(toy, (), steps)
            both = sorted(set(law) | set(truth))
            one, other = (
                torch.tensor([table.get(key, 0.0) for key in both])
                for table in (law, truth)
            )
            far.append(total_variation(one, other))
        assert far[0] > far[1] > far[2]
        assert far[2] < far[0] / 6
        assert far[2] < 0.04

    def law(
        self, toy: Toy, prompt: tuple[int, ...], steps: int
    ) -> dict[tuple[int, ...], float]:
        """The probability of every answer behind a prompt."""
        insert, unmask = rising(self.spec, "insert"), rising(self.spec, "unmask")
        times = [step / steps for step in range(steps + 1)]
        plan = []
        for t, s in pairwise(times):
            last = s == times[-1]
            reveals, inserts = (
                1.0 if last else 1 - float(each.remains(double(t), double(s)))
                for each in (unmask, insert)
            )
            plan.append(Step(t, reveals, inserts))
        order = self.spec.predictor.options["order"]
        return growth_law(
            self.oracle(toy),
            [*prompt, self.tokens.bos],
            [self.tokens.eos] * self.ended,
            ANSWER - int(self.ended),
            plan,
            mask=self.tokens.mask,
            never=self.never,
            score=None if order == "random" else SCORES[order],
        )

    def counts(
        self,
        toy: Toy,
        prompt: tuple[int, ...],
        answers: list[tuple[int, ...]],
        **numbers: Any,
    ) -> Tensor:
        """How often each of these answers was generated."""
        batch = self.prompts([prompt], REPEAT)
        out = self.generate(self.oracle(toy), batch, **numbers)
        places = {answer: place for place, answer in enumerate(answers)}
        counts = torch.zeros(len(answers))
        for ids, generated in zip(out.ids, out.generated, strict=True):
            place = places.get(tuple(ids[generated].tolist()))
            if place is not None:
                counts[place] += 1
        return counts


def double(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
