"""Special tokens that share an id."""

import torch

from xlmgen.registry import load_family
from xlmgen.runtime.generation import Generation
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

SHARED = SpecialTokens(pad=2, bos=2, eos=2, mask=3, cls=4, vocab_size=8)


def test_named_roles_are_excluded():
    assert SpecialTokens().suppressed("pad", "bos", "mask", "cls") == (0, 1, 3, 4)


def test_eos_is_not_excluded_with_shared_id():
    assert SHARED.suppressed("pad", "bos", "mask", "cls") == (3, 4)


def test_answer_padded_with_eos_ends_at_first_eos():
    """Pads of a short prompt have the same id and are not part of the sequence."""
    collate = load_family("dream").collators["seq2seq"](SHARED, MaxLength(3, prompt=3))
    examples = [{"prompt": [5, 2], "target": [6]}, {"prompt": [7], "target": []}]
    batch = collate(examples, torch.Generator().manual_seed(0))
    rows = [[5, 2, 6, 2, 2], [7, 2, 2, 2, 2]]
    assert batch["target_ids"].tolist() == rows
    assert batch["maskable"].tolist() == [[0, 0, 1, 1, 1], [0, 1, 1, 1, 0]]
    assert batch["attention_mask"].tolist() == [[1] * 5, [1, 1, 1, 1, 0]]
    made = Generation(batch["target_ids"], batch["maskable"], forward_passes=1)
    assert made.answers(SHARED.eos) == [[6], []]
