"""Tests of all losses: types, mean, and an unchanged batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from xlmgen.testing.oracle import identity_head
from xlmgen.testing.shapes import check_fields
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.toy import Toy, seeded

Batch = dict[str, Any]


class LossTests(FamilyTests):
    """Tests of any loss, on batches of the family's collators."""

    def batches(self) -> list[Batch]:
        """Collate a batch of every training layout of the family."""
        return [
            training_batch(self, toy)
            for toy in (self.toy(), self.toy(prompted=False))
            if use(toy) in self.family.collators
        ]

    def test_output_has_declared_types(self) -> None:
        types = self.types("LossOutput")
        for batch in self.batches():
            output = self.run_loss(self.network(), batch)
            dims = check_fields(output, types)
            assert dims.get("B", len(batch["input_ids"])) == len(batch["input_ids"])

    def test_loss_is_row_sum_divided_by_num_tokens(self) -> None:
        for batch in self.batches():
            output = self.run_loss(self.network(), batch)
            mean = output["row_loss"].sum() / output["normalizer"].sum()
            assert output["normalizer"].sum() > 0
            torch.testing.assert_close(output["loss"].detach(), mean)

    def test_loss_of_row_does_not_depend_on_others(self) -> None:
        """A row's values do not depend on other rows."""
        for batch in self.batches():
            whole = self.run_loss(self.network(), batch)
            again = self.run_loss(self.network(), reversed_rows(batch))
            torch.testing.assert_close(again["row_loss"].flip(0), whole["row_loss"])
            assert again["normalizer"].flip(0).equal(whole["normalizer"])

    def test_batch_is_not_modified(self) -> None:
        for batch in self.batches():
            before = {key: copied(value) for key, value in batch.items()}
            self.run_loss(self.network(), batch)
            assert list(batch) == list(before)
            for key, value in before.items():
                same = (
                    batch[key].equal(value)
                    if isinstance(value, Tensor)
                    else batch[key] == value
                )
                assert same, key

    def test_only_loss_has_gradient_and_it_is_finite(self) -> None:
        for batch in self.batches():
            model = self.network()
            output = self.run_loss(model, batch)
            torch.autograd.backward(output["loss"])
            for name, parameter in model.named_parameters():
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name
            assert not output["row_loss"].requires_grad

    def test_bfloat16_logits_lose_no_further_precision(self) -> None:
        """Cross-entropy is computed in float32 for all dtypes of logits."""
        for batch in self.batches():
            size = self.tokens.vocab_size
            output = self.run_loss(Halved(self.network(), size), batch)
            full = self.run_loss(Rounded(self.network(), size), batch)
            assert output["loss"].dtype == torch.float32
            torch.testing.assert_close(output["loss"], full["loss"])

    def test_float64_logits_keep_precision(self) -> None:
        for batch in self.batches():
            full = self.run_loss(self.network().double(), batch)
            assert full["loss"].dtype == full["row_loss"].dtype == torch.float64
            single = self.run_loss(self.network(), batch)
            torch.testing.assert_close(
                full["row_loss"].float(), single["row_loss"], rtol=1e-4, atol=1e-4
            )
            torch.autograd.backward(full["loss"])

    def run_loss(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the family's loss of a model on a batch."""
        output: dict[str, Tensor] = self.family.loss(self.tokens)(model, batch)
        return output


class Halved(nn.Module):
    """A network whose logits, and all else that it returns, come out in bfloat16."""

    dtype = torch.bfloat16

    def __init__(self, inner: nn.Module, vocab_size: int) -> None:
        super().__init__()
        self.inner = inner
        self.head = identity_head(vocab_size).to(self.dtype)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        outputs = self.inner(*inputs, **options)
        head: Any = self.inner.head
        if isinstance(outputs, Tensor):
            return converted(head(outputs), torch.bfloat16)
        return converted((head(outputs[0]), *outputs[1:]), torch.bfloat16)


class Rounded(Halved):
    """A network with outputs rounded to bfloat16, in float32."""

    dtype = torch.float32

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return converted(super().forward(*inputs, **options), torch.float32)


def converted(outputs: Tensor | tuple[Tensor, ...], dtype: torch.dtype) -> Any:
    """Convert a network's output, one tensor or several, to another dtype."""
    if isinstance(outputs, Tensor):
        return outputs.to(dtype)
    return tuple(output.to(dtype) for output in outputs)


def use(toy: Toy) -> str:
    """Return the layout of a toy's examples."""
    return "seq2seq" if toy.max_length.prompt else "lm"


def training_batch(
    tests: FamilyTests,
    toy: Toy,
    rows: Tensor | None = None,
    *,
    evaluation: bool = False,
) -> Batch:
    """Collate rows of the toy, by default all, by the family's collator."""
    collate = tests.family.collators[use(toy)](
        tests.tokens, toy.max_length, evaluation=evaluation
    )
    examples = toy.examples
    if rows is not None:
        examples = [examples[row] for row in rows.tolist()]
    batch: Batch = collate(examples, seeded(0))
    return batch


def masked_batch(tests: FamilyTests, toy: Toy, masked: Tensor) -> Batch:
    """Collate all rows of the toy, and mask these tokens (S, L) instead."""
    attended = toy.attended
    return training_batch(tests, toy) | {
        "input_ids": toy.rows.masked_fill(masked, tests.tokens.mask),
        "attention_mask": None if attended.all() else attended,
        "target_ids": toy.rows,
        "maskable": toy.answer,
        "masked_positions": masked.flatten().nonzero().squeeze(1),
    }


def reversed_rows(batch: Batch) -> Batch:
    """Reverse the order of the rows of a batch."""
    rows, length = batch["input_ids"].shape
    flipped: Batch = {}
    for key, value in batch.items():
        if not isinstance(value, Tensor) or value.dim() == 0:
            flipped[key] = value
        elif key.endswith("_positions"):
            row, column = value // length, value % length
            flipped[key] = ((rows - 1 - row) * length + column).sort().values
        else:
            flipped[key] = value.flip(0)
    if "target_slot" in batch:  # dropped tokens name their slot by its index
        slots = batch["slot_positions"]
        place = torch.searchsorted(
            flipped["slot_positions"],
            (rows - 1 - slots // length) * length + slots % length,
        )
        flipped["target_slot"], order = place[batch["target_slot"]].sort(stable=True)
        flipped["target_ids"] = batch["target_ids"][order]
    return flipped


def copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value
