"""Batches: which rows, in which order, with which randomness."""

from collections import Counter
from itertools import islice, zip_longest

import pytest
import torch

from xlmgen.data.batches import (
    Batches,
    EvaluationSampler,
    Request,
    TrainingSampler,
    batch_seed,
    permutation,
)


def training(count, *args, **kwargs):
    return list(islice(TrainingSampler(*args, **kwargs), count))


def rows(requests):
    return [row for request in requests for row in request.rows]


def test_every_epoch_has_every_row_once_in_a_new_order():
    stream = rows(training(30, 50, 10, seed=3))
    epochs = [stream[i : i + 50] for i in (0, 50, 100)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert epochs[0] != list(range(50))


def test_batches_are_full_where_they_do_not_divide_the_rows():
    requests = training(7, 10, 4, seed=3)
    assert all(len(request.rows) == 4 for request in requests)
    stream = rows(requests)
    assert sorted(stream[:10]) == sorted(stream[10:20]) == list(range(10))


def test_more_rows_in_a_batch_than_there_are():
    (request,) = training(1, 3, 8, seed=0)
    assert Counter(request.rows) == Counter(request.rows[:6]) + Counter(
        request.rows[6:]
    )
    assert sorted(request.rows[:3]) == sorted(request.rows[3:6]) == [0, 1, 2]


@pytest.mark.parametrize("start", [0, 1, 4, 5, 23])
def test_a_run_can_start_in_the_middle(start):
    whole = training(30, 10, 4, seed=1)
    assert training(30 - start, 10, 4, seed=1, start=start) == whole[start:]
    sampler = TrainingSampler(10, 4, seed=1)
    list(islice(sampler, start))
    other = TrainingSampler(10, 4, seed=1)
    other.load_state_dict(sampler.state_dict())
    assert list(islice(other, 5)) == whole[start : start + 5]


def test_ranks_share_the_stream():
    one = rows(training(12, 20, 8, seed=1))
    parts = [training(12, 20, 4, seed=1, rank=r, world_size=2) for r in (0, 1)]
    both = [row for pair in zip(*parts, strict=True) for row in rows(pair)]
    assert both == one
    assert not {r.seed for r in parts[0]} & {r.seed for r in parts[1]}


def test_the_seed_changes_order_and_corruption():
    one, same, other = (training(5, 50, 10, seed=s) for s in (1, 1, 2))
    assert one == same
    assert rows(one) != rows(other)
    assert not {r.seed for r in one} & {r.seed for r in other}


def test_no_two_batches_have_one_seed():
    seeds = [r.seed for r in training(2000, 10, 4, seed=0)]
    seeds += [r.seed for r in training(2000, 10, 4, seed=1)]
    for stream in ("validation", "test"):
        seeds += [r.seed for r in EvaluationSampler(2000, 1, stream=stream)]
    assert len(seeds) == len(set(seeds)) == 8000


def test_seeds_and_orders_are_the_same_everywhere():
    assert permutation(8, 0, 0).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]
    assert permutation(8, 0, 1).tolist() == [7, 6, 4, 5, 3, 1, 0, 2]
    assert batch_seed(0, "train", 0, 0) == 2918264622725855778


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("num_rows", "batch_size"), [(100, 64), (9, 4), (1, 4), (8, 4), (7, 1), (3, 2)]
)
def test_evaluation_has_the_same_batches_whatever_the_ranks(
    num_rows, batch_size, world_size
):
    samplers = [
        EvaluationSampler(
            num_rows, batch_size, stream="test", rank=rank, world_size=world_size
        )
        for rank in range(world_size)
    ]
    turns = zip_longest(*samplers)
    requests = [request for turn in turns for request in turn if request is not None]
    assert rows(requests) == list(range(num_rows))
    assert requests == list(EvaluationSampler(num_rows, batch_size, stream="test"))
    sizes = [len(request.rows) for request in requests]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    lengths = [len(sampler) for sampler in samplers]
    assert max(lengths) - min(lengths) <= 1


def test_evaluation_is_the_same_every_time():
    sampler = EvaluationSampler(10, 4, stream="validation")
    assert list(sampler) == list(sampler)
    other = EvaluationSampler(10, 4, stream="test")
    assert rows(sampler) == rows(other)
    assert not {r.seed for r in sampler} & {r.seed for r in other}


def collate(examples, generator):
    return examples, torch.rand(3, generator=generator).tolist()


def test_a_batch_is_a_function_of_its_request():
    batches = Batches([10, 11, 12], collate)
    examples, noise = batches[Request((2, 0), seed=5)]
    assert examples == [12, 10]
    torch.manual_seed(0)
    assert batches[Request((2, 0), seed=5)] == (examples, noise)
    assert batches[Request((2, 0), seed=6)][1] != noise
    assert batches[Request((1, 0), seed=5)] == ([11, 10], noise)


def test_a_batch_with_its_rows():
    batches = Batches([10, 11, 12], collate, with_rows=True)
    (examples, _), rows_of = batches[Request((2, 0), seed=5)]
    assert (examples, rows_of) == ([12, 10], (2, 0))
