"""Insertion state and samplers of slots and tokens, by hand."""

import math

import pytest
import torch
from torch import nn

from xlmgen.errors import UserError
from xlmgen.runtime.decoding.insertion import (
    InsertionState,
    PairSampler,
    SlotFirstSampler,
)
from xlmgen.runtime.nn import chunks
from xlmgen.runtime.sampling import TokenSampler, categorical
from xlmgen.testing.oracle import identity_head
from xlmgen.testing.statistics import p_value

PAD, BOS, CLS = 0, 1, 4
VOCAB = 12
DRAWS = 4000
LEAST = 1e-4

PROMPTS = torch.tensor([[CLS, 5, BOS], [CLS, BOS, PAD]])
BEHIND_BOS = PROMPTS == BOS


class Silent(nn.Module):
    """Model with constant outputs that records its inputs."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, input_ids, attention_mask=None, *, position_ids, positions):
        self.asked.append((input_ids, attention_mask, position_ids, positions))
        return torch.zeros(len(positions), VOCAB), torch.zeros(len(input_ids), 2)


def draw(sampler, logits, generator=None):
    """Draw by logits (A, K, V); a slot without any probability is a missing one."""
    missing = logits.isneginf().all(-1)
    hidden = logits.masked_fill(logits.isneginf(), -1e30)  # −∞ · 0 is no number
    return sampler(hidden, identity_head(logits.shape[-1]), missing, generator)


def grown(ids=PROMPTS, slots=BEHIND_BOS, room=(3, 3), *, limit=None, trace=False):
    mask = None if bool((ids != PAD).all()) else ids != PAD
    return InsertionState(
        Silent(),
        ids,
        mask,
        slots,
        torch.tensor(room),
        limit=limit,
        pad=PAD,
        trace=trace,
    )


def insert(rows, slots, tokens):
    """One forward pass, then insertion at these slots. Returns the hidden states."""
    hidden, _ = rows.forward()
    rows.insert(torch.tensor(slots), torch.tensor(tokens))
    return hidden


def asked(rows):
    """Last inputs of the model: ids, positions and slot positions, as lists."""
    ids, _, position_ids, positions = rows.model.asked[-1]
    return ids.tolist(), position_ids.tolist(), positions.tolist()


def test_tokens_stay_in_memory_while_positions_move():
    rows = grown()
    insert(rows, [0, 0], [7, 8])
    ids, position_ids, positions = asked(rows)
    assert ids == PROMPTS.tolist()
    assert position_ids == [[0, 1, 2], [0, 1, 1]]
    assert positions == [2, 3 + 1]

    insert(rows, [0, 1], [9, 6])  # before 7, which moves on; behind 8
    ids, position_ids, positions = asked(rows)
    assert ids == [[CLS, 5, BOS, 7], [CLS, BOS, PAD, 8]]
    assert [position_ids[0], position_ids[1][3]] == [[0, 1, 2, 3], 2]
    assert positions == [2, 3, 4 + 1, 4 + 3]

    rows.forward()
    ids, position_ids, positions = asked(rows)
    assert ids == [[CLS, 5, BOS, 7, 9], [CLS, BOS, PAD, 8, 6]]
    assert [position_ids[0], position_ids[1][3:]] == [[0, 1, 2, 4, 3], [2, 3]]
    assert positions == [2, 3, 4, 5 + 1, 5 + 3, 5 + 4]


def test_new_tokens_are_attended_and_pads_are_not():
    rows = grown()
    insert(rows, [0, 0], [7, 8])
    insert(rows, [0, 0], [7, 8])
    masks = [mask.long().tolist() for _, mask, _, _ in rows.model.asked]
    assert masks == [[[1, 1, 1], [1, 1, 0]], [[1, 1, 1, 1], [1, 1, 0, 1]]]


def test_generation_is_in_reading_order():
    rows = grown()
    insert(rows, [0, 0], [7, 8])
    insert(rows, [0, 1], [9, 6])
    out = rows.generation()
    assert out.ids.tolist() == [
        [CLS, 5, BOS, 9, 7, PAD],
        [CLS, BOS, 8, 6, PAD, PAD],
    ]
    assert out.generated.long().tolist() == [[0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 0, 0]]
    assert out.forward_passes == 2
    assert out.trace is None


def test_hidden_states_of_slots_are_separate_for_each_row():
    """The hidden state of slot k of row b is that of position `at[b, k]`."""
    rows = grown()
    insert(rows, [0, 0], [7, 8])
    rows.model.forward = lambda ids, mask, *, position_ids, positions: (
        positions[:, None].expand(-1, VOCAB).float(),
        torch.tensor([[0.0, 1.0], [2.0, 3.0]]),
    )
    hidden, stop = rows.forward()
    assert hidden.shape == (2, 2, VOCAB)
    assert hidden[..., 0].tolist() == [[2, 3], [5, 7]]
    assert stop.tolist() == [[0, 1], [2, 3]]


def test_finished_rows_leave_the_batch_unchanged():
    rows = grown()
    insert(rows, [0, 0], [7, 8])
    hidden, _ = rows.forward()
    assert rows.finish(torch.tensor([True, False]), hidden).equal(hidden[1:])
    rows.insert(torch.tensor([1]), torch.tensor([9]))
    assert rows.active.tolist() == [1]
    rows.forward()
    assert asked(rows)[0] == [[CLS, BOS, PAD, 8, 9]]
    assert asked(rows)[2] == [1, 3, 4]
    out = rows.generation()
    assert out.ids.tolist() == [
        [CLS, 5, BOS, 7, PAD, PAD],
        [CLS, BOS, 8, 9, PAD, PAD],
    ]
    assert out.generated.sum(1).tolist() == [1, 2]


def test_full_rows_leave_the_batch():
    rows = grown(room=(1, 2))
    assert rows.active.tolist() == [0, 1]
    insert(rows, [0, 0], [7, 8])
    assert rows.active.tolist() == [1]
    insert(rows, [0], [9])
    assert rows.active.tolist() == []
    assert rows.generation().ids.tolist() == [
        [CLS, 5, BOS, 7, PAD],
        [CLS, BOS, 9, 8, PAD],
    ]


def test_limit_bounds_every_row():
    rows = grown(room=(1, 9), limit=2)
    assert rows.ids.shape == (2, 3 + 2)
    insert(rows, [0, 0], [7, 8])
    insert(rows, [0], [9])
    assert rows.active.tolist() == []


def test_rows_without_slots_or_room_take_no_forward_pass():
    slots = torch.tensor([[0, 0, 0], [0, 1, 0]]).bool()
    assert grown(slots=slots).active.tolist() == [1]
    assert grown(room=(2, -1)).active.tolist() == [0]
    rows = grown(slots=torch.zeros_like(slots))
    assert rows.active.tolist() == []
    out = rows.generation()
    assert out.ids.tolist() == PROMPTS.tolist()
    assert not out.generated.any()


def test_trace_has_final_positions():
    rows = grown(trace=True)
    insert(rows, [0, 0], [7, 8])
    insert(rows, [0, 1], [9, 6])
    trace = rows.generation().trace
    columns = trace.step, trace.row, trace.position, trace.token
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == [
        (0, 0, 4, 7),
        (0, 1, 2, 8),
        (1, 0, 3, 9),
        (1, 1, 3, 6),
    ]


def test_tokens_are_inserted_in_their_holes():
    """Rows with fewer slots than others: the missing ones have no mass."""
    ids = torch.tensor([[CLS, BOS, 5, 6], [CLS, 5, BOS, 7]])
    slots = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 1]]).bool()
    rows = grown(ids, slots, room=(2, 2))
    assert rows.missing.tolist() == [[False, False], [False, True]]
    insert(rows, [0, 0], [8, 9])
    assert rows.model.asked[0][1] is None
    assert asked(rows)[2][:3] == [1, 3, 4 + 3]

    assert rows.missing.tolist() == [[False] * 3, [False, True, False]]
    insert(rows, [1, 2], [10, 11])
    out = rows.generation()
    assert out.ids.tolist() == [[CLS, BOS, 8, 5, 6, 10], [CLS, 5, BOS, 7, 9, 11]]
    assert out.generated.long().tolist() == [[0, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 1]]


def logits(*slots):
    """(1, K, V) logits from the token probabilities of every slot."""
    return torch.tensor([slots]).log()


def assert_draws(sampler, given, probs):
    """Check that draws follow these probabilities of slots and tokens (K, V)."""
    rows = given.expand(DRAWS, -1, -1)
    slot, token = draw(sampler, rows, torch.Generator().manual_seed(0))
    counts = (slot * given.shape[2] + token).bincount(minlength=given[0].numel())
    assert p_value(counts, torch.tensor(probs)) > LEAST


PAIRS = logits([0.4, 0.1], [0.3, 0.2])


@pytest.mark.parametrize(
    ("options", "probs"),
    [
        ({}, [[0.4, 0.1], [0.3, 0.2]]),
        ({"temperature": 0.5}, [[16 / 30, 1 / 30], [9 / 30, 4 / 30]]),
        ({"top_k": 2}, [[4 / 7, 0], [3 / 7, 0]]),
        ({"top_k": 3}, [[4 / 9, 0], [3 / 9, 2 / 9]]),
        ({"top_p": 0.6}, [[4 / 7, 0], [3 / 7, 0]]),
        ({"temperature": 0}, [[1.0, 0], [0, 0]]),
        ({"suppress_tokens": (0,)}, [[0, 1 / 3], [0, 2 / 3]]),
        ({"suppress_tokens": (0,), "temperature": 0}, [[0, 0], [0, 1.0]]),
        ({"suppress_tokens": (0,), "top_k": 1}, [[0, 0], [0, 1.0]]),
    ],
)
def test_pairs_follow_the_joint_distribution(options, probs):
    assert_draws(PairSampler(**options), PAIRS, probs)


@pytest.mark.parametrize(
    ("slots", "tokens", "probs"),
    [
        ({}, {}, [[0.4, 0.1], [0.3, 0.2]]),
        # Both slots have a mass of 1/2, whatever is done to their tokens.
        ({}, {"temperature": 0}, [[0.5, 0], [0.5, 0]]),
        ({}, {"top_k": 1}, [[0.5, 0], [0.5, 0]]),
        ({"temperature": 0.5}, {}, [[0.4, 0.1], [0.3, 0.2]]),
        ({}, {"suppress_tokens": (0,)}, [[0, 1 / 3], [0, 2 / 3]]),
        ({"temperature": 0.5}, {"suppress_tokens": (0,)}, [[0, 1 / 5], [0, 4 / 5]]),
    ],
)
def test_slots_follow_their_mass_and_tokens_their_slot(slots, tokens, probs):
    sampler = SlotFirstSampler(TokenSampler(**slots), TokenSampler(**tokens))
    assert_draws(sampler, PAIRS, probs)


PAIR_SAMPLERS = {
    "pairs": lambda temperature, suppress_tokens: PairSampler(
        suppress_tokens, temperature
    ),
    "best pairs": lambda temperature, suppress_tokens: PairSampler(
        suppress_tokens, temperature, 3, 0.9
    ),
    "slot first": lambda temperature, suppress_tokens: SlotFirstSampler(
        TokenSampler((), temperature), TokenSampler(suppress_tokens, temperature)
    ),
}


@pytest.mark.parametrize("make", PAIR_SAMPLERS.values(), ids=PAIR_SAMPLERS)
@pytest.mark.parametrize("temperature", [1e-39, 0.01])
def test_small_temperature_draws_the_best_allowed_pair(make, temperature):
    """An excluded id has the largest logit."""
    given = torch.tensor([[[1.0, 2.0, 3e38], [3e37, 3.0, 3e38]]]).expand(100, -1, -1)
    slot, token = draw(make(temperature, (2,)), given, torch.Generator().manual_seed(0))
    assert slot.tolist() == [1] * 100
    assert token.tolist() == [0] * 100


@pytest.mark.parametrize("make", PAIR_SAMPLERS.values(), ids=PAIR_SAMPLERS)
@pytest.mark.parametrize("temperature", [0, 0.5, 1.0])
@pytest.mark.parametrize(
    ("value", "suppress_tokens"), [(math.nan, (2,)), (math.inf, (2,)), (0.0, (0, 1, 2))]
)
def test_row_without_allowed_pair_is_an_error(
    make, temperature, value, suppress_tokens
):
    given = torch.zeros(2, 2, 3)
    given[1, :, :2] = value
    with pytest.raises(UserError, match="cannot sample"):
        draw(make(temperature, suppress_tokens), given)


def test_slot_of_largest_mass_may_lack_the_likeliest_pair():
    given = logits([0.4, 0.05, 0.0], [0.21, 0.2, 0.15])
    best = TokenSampler(temperature=0)
    assert [int(x) for x in draw(PairSampler(temperature=0), given)] == [0, 0]
    assert [int(x) for x in draw(SlotFirstSampler(best, best), given)] == [1, 0]
    without_two = TokenSampler(suppress_tokens=(2,), temperature=0)
    assert [int(x) for x in draw(SlotFirstSampler(best, without_two), given)] == [0, 0]


@pytest.mark.parametrize(
    "sampler",
    [PairSampler(), SlotFirstSampler(TokenSampler(), TokenSampler())],
)
def test_missing_slots_are_not_drawn_and_rows_are_independent(sampler):
    given = torch.zeros(2 * DRAWS, 2, 3)
    given[:, 1] = -math.inf
    given[1::2, 0] = -math.inf
    given[1::2, 1] = torch.tensor([0.5, 0.25, 0.25]).log()
    slot, token = draw(sampler, given, torch.Generator().manual_seed(0))
    assert slot.tolist() == [0, 1] * DRAWS
    for start, probs in ((0, [1 / 3, 1 / 3, 1 / 3]), (1, [0.5, 0.25, 0.25])):
        counts = token[start::2].bincount(minlength=3)
        assert p_value(counts, torch.tensor(probs)) > LEAST


def test_draws_from_a_large_vocabulary_hold_one_chunk_of_logits(monkeypatch, largest):
    vocab, rows, slots = 5000, 8, 64
    monkeypatch.setattr(chunks, "CHUNK_CPU", 2**15)
    torch.manual_seed(0)
    head, hidden = nn.Linear(16, vocab, bias=False), torch.randn(rows, slots, 16)
    missing = torch.zeros(rows, slots, dtype=torch.bool)
    with torch.inference_mode(), largest:
        generator = torch.Generator().manual_seed(0)
        slot, token = PairSampler((0, 1))(hidden, head, missing, generator)
    assert 0 < largest.bytes < 4 * rows * slots * vocab / 20
    exact = head(hidden).detach()
    exact[..., :2] = -math.inf
    generator = torch.Generator().manual_seed(0)
    expected = categorical(exact.logsumexp(-1), generator)
    assert slot.equal(expected)
    assert token.equal(categorical(exact[torch.arange(rows), expected], generator))
