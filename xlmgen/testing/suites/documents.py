"""Tests of packed rows with separate documents: each is as if alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from xlmgen.testing.suites.collator import CollatorSubject

FIRST, SECOND = 5, 7
"""Tokens of the first and of the second document."""


class DocumentsTests(CollatorSubject):
    """`packing: documents` in the collator, the network and the loss."""

    def test_every_token_has_its_document_number(self) -> None:
        for seed in range(10):
            batch = self.packed_batch(seed)
            documents, tokens = documents_of(batch), tokens_of(batch)
            assert (documents[tokens == FIRST] == 1).all()
            assert (documents[tokens == SECOND] == 2).all()
            assert (documents[tokens == self.tokens.pad] == 0).all()
            assert documents.equal(documents.to(torch.int64))

    def test_all_tokens_but_bos_are_predicted(self) -> None:
        """The BOS of a later document is given, like the first BOS."""
        asked = set()
        for seed in range(10):
            batch = self.packed_batch(seed)
            targets = tokens_of(batch, asked=True).flatten()[places_of(batch)]
            asked |= set(targets.tolist())
            assert ((tokens_of(batch) == self.tokens.bos).sum(1) == 2).all()
        assert asked == {FIRST, SECOND, self.tokens.eos}

    def test_documents_do_not_affect_each_other(self) -> None:
        """Tokens of the other document have no effect; its own tokens do."""
        model, loss = self.network(), self.family.loss(self.tokens)
        bears = {1: False, 2: False}
        for seed in range(10):
            batch = self.packed_batch(seed)
            for number in (1, 2):
                before, after = Recorder(model), Recorder(model)
                there = documents_of(batch) == number
                loss(before, batch)
                asked = tokens_of(batch, asked=True).flatten()[before.positions]
                # Only the first document has an EOS.
                own = (asked == SECOND) == (number == 2)
                loss(after, {k: swapped(v, there) for k, v in batch.items()})
                moved = (after.hidden - before.hidden).abs().amax(1) > 1e-6
                assert not moved[~own].any()
                bears[number] |= bool(moved[own].any())
        assert bears == {1: True, 2: True}

    def packed_batch(self, seed: int) -> dict[str, Any]:
        """Collate rows of two documents, the second without EOS."""
        bos, eos = self.tokens.bos, self.tokens.eos
        row = (
            [bos, FIRST, eos, bos, SECOND],
            [bos, FIRST, bos, SECOND, SECOND],
            [bos, FIRST, FIRST, bos, SECOND],  # the second from the first, or reversed
        )
        numbers = [1, 1, 1, 2, 2], [1, 1, 2, 2, 2], [1, 1, 1, 2, 2]
        examples = [
            {"tokens": tokens, "packed": True, "documents": documents}
            for tokens, documents in zip(row, numbers, strict=True)
        ]
        return self.collate("lm", examples * 32, seed=seed)


class Recorder(nn.Module):
    """A network that records its hidden states and their flat positions."""

    hidden: Tensor
    positions: Tensor

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.head = inner, inner.head

    def forward(self, *inputs: Any, **options: Any) -> Any:
        outputs = self.inner(*inputs, **options)
        self.positions = options["positions"]
        hidden = outputs if isinstance(outputs, Tensor) else outputs[0]
        self.hidden = hidden.detach().clone()
        return outputs


def documents_of(batch: dict[str, Any]) -> Tensor:
    """Return the document number of every token."""
    documents = batch.get("documents", batch.get("attention_mask"))
    assert documents is not None
    return documents


def tokens_of(batch: dict[str, Any], *, asked: bool = False) -> Tensor:
    """Return the clean tokens; with `asked`, those of the predicted positions."""
    if "clean_ids" in batch:
        clean = batch["clean_ids"]
        return clean[:, -batch["input_ids"].shape[1] :] if asked else clean
    return batch["input_ids" if "documents" in batch and not asked else "target_ids"]


def places_of(batch: dict[str, Any]) -> Tensor:
    """Return the predicted positions."""
    keys = ("masked_positions", "noisable_positions", "scored_positions")
    found: Tensor = next(batch[key] for key in keys if key in batch)
    return found


def swapped(value: Any, there: Tensor) -> Any:
    """Replace the tokens of a document in a field of the batch.

    Args:
        there: (B, L) positions of the document.
    """
    if isinstance(value, Tensor) and value.dtype == torch.int64 and value.ndim == 2:
        there = there[:, -value.shape[1] :]
        return torch.where(there & ((value == FIRST) | (value == SECOND)), 6, value)
    return value
