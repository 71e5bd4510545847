"""Counted work of the network in each predictor, in place of measured time."""

import pytest
import torch
from torch import nn

from xlmgen.registry import load_family
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

TOKENS = SpecialTokens(vocab_size=16)
PROMPTS = [[7, 8, 9], [9, 8, 7], [7, 7, 7], [8, 8, 8]]
ANSWER = 12


class Counted(nn.Module):
    """A small network of a family that records inputs and requested positions.

    Args:
        name: of the family.
        never: ids with probability 0.
        fed: (rows, columns) of every forward pass.
        asked: positions whose hidden states were requested in every forward pass.
    """

    def __init__(self, name, *suppress_tokens):
        super().__init__()
        torch.manual_seed(0)
        self.family = load_family(name)
        self.model = self.family.model(16, d_model=16, layers=2, num_heads=2).eval()
        self.head = nn.Linear(16, 16)
        self.head.weight = self.model.head.weight
        nn.init.zeros_(self.head.bias)
        self.head.bias.data[list(suppress_tokens)] = -torch.inf
        self.fed, self.asked = [], []

    def forward(self, input_ids, attention_mask=None, **inputs):
        self.fed.append(tuple(input_ids.shape))
        self.asked.append(len(inputs["positions"]))
        return self.model(input_ids, attention_mask, **inputs)

    def new_cache(self, rows, length):
        return self.model.new_cache(rows, length)

    def generate(self, seed=0, **options):
        collate = self.family.collators["predict"](TOKENS, MaxLength(ANSWER, 4))
        batch = collate([{"prompt": ids} for ids in PROMPTS], None)
        predictor = self.family.predictor(TOKENS, **options)
        return predictor.generate(self, batch, torch.Generator().manual_seed(seed))


def test_left_to_right_feeds_one_position_per_token():
    model = Counted("arlm", TOKENS.eos)
    model.generate()
    prompt = model.fed[0][1]
    assert model.fed == [(4, prompt)] + [(4, 1)] * (ANSWER - 1)
    assert model.asked == [4] * ANSWER


@pytest.mark.parametrize("name", ["arlm", "bd3lm"])
def test_ended_rows_leave_the_batch(name):
    model = Counted(name)
    out = model.generate()
    lengths = (out.lengths(TOKENS.eos) + 1).clamp(max=ANSWER)  # with EOS
    assert len(lengths.unique()) > 1
    rows = [rows for rows, _ in model.fed]
    if name == "arlm":
        assert rows == [int((lengths > token).sum()) for token in range(lengths.max())]
    else:
        block = -(-lengths // 4)  # the number of blocks that were filled
        for number in range(1, int(block.max())):
            assert int((block > number).sum()) in rows
        assert rows[-1] == int((block == block.max()).sum())


@pytest.mark.parametrize("name", ["mlm", "mdlm"])
@pytest.mark.parametrize("steps", [4, 64])
def test_random_order_runs_the_head_once_per_token(name, steps):
    """Only rows with a revealed position take part in a pass."""
    model = Counted(name)
    out = model.generate(steps=steps)
    assert len(model.fed) == out.forward_passes <= min(steps, 4 * ANSWER)
    assert sum(model.asked) == out.generated.sum() == 4 * ANSWER
    assert all(
        0 < rows <= asked
        for (rows, _), asked in zip(model.fed, model.asked, strict=True)
    )


def test_resampling_runs_the_head_on_every_position_in_every_step():
    model = Counted("udlm")
    out = model.generate(steps=5)
    assert model.asked == [4 * ANSWER] * 5
    assert out.forward_passes == 5


def test_confidence_order_runs_the_head_on_masked_positions():
    model = Counted("dream")
    model.generate(steps=4)
    assert model.asked == [48, 36, 24, 12]
    model = Counted("dream")
    model.generate()
    assert model.asked == list(range(48, 0, -4))


def test_first_hitting_takes_one_pass_per_token_of_a_block():
    """And one for the context and for each block but the last, to cache it."""
    model = Counted("bd3lm", TOKENS.eos)
    model.generate()
    assert model.asked == [0] + ([4] * 4 + [0]) * 2 + [4] * 4


def test_insertion_feeds_present_tokens_and_reads_slots():
    model = Counted("ilm", TOKENS.eos)
    out = model.generate(stop_threshold=1.0)
    given = out.ids.shape[1] - ANSWER
    assert model.fed == [(4, given + step) for step in range(ANSWER)]
    assert model.asked == [4 * (1 + step) for step in range(ANSWER)]


def test_growing_rows_leave_when_full():
    model = Counted("flexmdm")
    out = model.generate(steps=64)
    assert sum(model.asked) == out.generated.sum()
    assert len(model.fed) == out.forward_passes <= 65
    lengths = [columns for _, columns in model.fed]
    assert lengths == sorted(lengths)
    assert lengths[-1] <= out.ids.shape[1]
