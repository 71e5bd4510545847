"""Tests of batches whose targets are shifted by one."""

from __future__ import annotations

import torch

from xlmgen.testing.suites.collator import CollatorSubject

IGNORED = -100


class CausalCollatorTests(CollatorSubject):
    """The last position of the prompt predicts the first token of the answer."""

    def test_targets_are_inputs_shifted_by_one(self) -> None:
        bos, eos = self.tokens.bos, self.tokens.eos
        batch = self.collate("seq2seq", [{"prompt": [5, 6], "target": [7, 5]}])
        prompt = (
            [6, bos] if self.spec.collator.options["loss_on_prompt"] else [IGNORED] * 2
        )
        answer = [7, 5, eos] if self.spec.collator.options["eos"] else [7, 5]
        whole = [5, 6, bos, *answer]
        assert batch["input_ids"].tolist() == [whole[:-1]]
        assert batch["target_ids"].tolist() == [prompt + answer]

    def test_first_token_of_sequence_is_scored(self) -> None:
        batch = self.collate("lm", [{"tokens": [6, 7]}])
        eos = [self.tokens.eos] if self.spec.collator.options["eos"] else []
        assert batch["target_ids"].tolist() == [[6, 7, *eos]]
        assert batch["input_ids"].tolist() == [[self.tokens.bos, 6, 7][: 2 + len(eos)]]

    def test_pads_are_on_the_right_and_not_scored(self) -> None:
        for use in ("lm", "seq2seq"):
            batch = self.collate(use)
            ids, targets = batch["input_ids"], batch["target_ids"]
            assert not (targets == self.tokens.pad).any()
            pads = ids == self.tokens.pad
            assert pads.any()
            assert pads.equal(pads.cummax(1).values)
            assert (targets[pads] == IGNORED).all()

    def test_scored_positions_have_targets(self) -> None:
        for use in ("lm", "seq2seq"):
            batch = self.collate(use)
            scored = (batch["target_ids"] != IGNORED).flatten()
            assert (
                batch["scored_positions"].tolist()
                == scored.nonzero().flatten().tolist()
            )

    def test_packed_rows_get_no_special_tokens(self) -> None:
        bos, eos = self.tokens.bos, self.tokens.eos
        rows = [[bos, 5, eos, 6, 7], [bos, 7]]
        examples = [{"tokens": row, "packed": True} for row in rows]
        batch = self.collate("lm", examples)
        assert batch["input_ids"].tolist()[0] == rows[0][:-1]
        assert batch["target_ids"].tolist() == [rows[0][1:], [7] + [IGNORED] * 3]

    def test_prompts_end_in_the_same_column(self) -> None:
        batch = self.collate("predict")
        bos, pad = self.tokens.bos, self.tokens.pad
        assert batch["input_ids"].tolist() == [
            [5, 6, 7, bos],
            [pad, pad, pad, bos],
            [pad, pad, 6, bos],
        ]
        assert batch["attention_mask"].equal(batch["input_ids"] != pad)
        assert batch["max_new_tokens"] == 5

    def test_prompts_of_equal_length_have_no_mask(self) -> None:
        batch = self.collate("predict", [{"prompt": [5]}, {"prompt": [6]}])
        assert batch["attention_mask"] is None

    def test_bos_counts_as_token_without_prompt(self) -> None:
        batch = self.collate("unconditional")
        assert batch["input_ids"].equal(torch.full((3, 1), self.tokens.bos))
        assert batch["max_new_tokens"] == 4
