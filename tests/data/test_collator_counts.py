"""Counted cost of collators: linear in the tokens of a batch.

Python instructions and array operations are constant per batch, whatever its length,
plus a few instructions per row. Memory is linear in the tokens and independent of the
vocabulary size.
"""

import sys
import tracemalloc

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from xlmgen import resources
from xlmgen.registry import load_family
from xlmgen.runtime.special_tokens import SPECIAL_TOKENS, MaxLength, SpecialTokens

FAMILIES = sorted(
    path.parent.name for path in resources.root().glob("families/*/family.yaml")
)
VOCAB = 64
PER_ROW = 40
"""Instructions that one row of a batch may take."""


class Counted(TorchDispatchMode):
    """Counter of torch operations and of the elements of their results."""

    def __init__(self):
        super().__init__()
        self.operations = self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        self.operations += 1
        if isinstance(made, torch.Tensor):
            self.elements += made.numel()
        return made


def made(family, use, rows, length, *, vocab=VOCAB, lists=False):
    """A collator of a family, and rows of all lengths up to the longest."""
    draw = np.random.default_rng(0)
    lengths = np.linspace(length // 2, length, rows).astype(int)
    ids = [draw.integers(len(SPECIAL_TOKENS), VOCAB, number) for number in lengths]
    if lists:
        ids = [row.tolist() for row in ids]
    if use == "lm":
        examples, max_length = [{"tokens": row} for row in ids], MaxLength(length + 2)
    else:
        examples = [{"prompt": row, "target": row} for row in ids]
        max_length = MaxLength(length + 2, length + 2)
    collator = load_family(family).collators[use](
        SpecialTokens(vocab_size=vocab), max_length
    )
    return lambda: collator(examples, torch.Generator().manual_seed(0))


def instructions(run):
    """Number of Python instructions of a call."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    run()  # imports and caches
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


def operations(run):
    with Counted() as counted:
        run()
    return counted.operations


def allocated(run):
    """Total elements allocated by torch, and peak bytes allocated by numpy."""
    with Counted() as counted:
        run()
    tracemalloc.start()
    try:
        run()
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return np.array([counted.elements, held])


every = pytest.mark.parametrize("family", FAMILIES)
uses = pytest.mark.parametrize("use", ["lm", "seq2seq"])


@every
@uses
def test_work_is_constant_per_batch_plus_little_per_row(family, use):
    base = made(family, use, 4, 32)
    longer, more = made(family, use, 4, 512), made(family, use, 68, 32)
    assert operations(base) == operations(longer) == operations(more) > 0
    assert instructions(longer) == instructions(base)
    assert instructions(more) - instructions(base) <= 64 * PER_ROW


@every
def test_lists_are_read_without_python_work_per_token(family):
    short, long = (made(family, "lm", 4, length, lists=True) for length in (32, 512))
    assert instructions(long) == instructions(short)


@every
@uses
def test_memory_is_linear_in_tokens_and_independent_of_vocabulary(family, use):
    base = allocated(made(family, use, 16, 128))
    assert (base > 0).all()
    for rows, length in ((16, 512), (64, 128)):
        assert (allocated(made(family, use, rows, length)) <= 4.4 * base).all()
    wide = allocated(made(family, use, 16, 128, vocab=10**6))
    np.testing.assert_allclose(wide, base, rtol=0.01)  # allow for one object
