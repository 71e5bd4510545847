"""Batches: their rows, order and randomness."""

from collections import Counter
from itertools import islice, zip_longest

import numpy as np
import pytest
import torch

from xlmgen.data.batches import (
    Batches,
    EvaluationSampler,
    Request,
    TrainingSampler,
    batch_seed,
    padding,
    permutation,
)


def training(count, *args, **kwargs):
    return list(islice(TrainingSampler(*args, **kwargs), count))


def rows(requests):
    return [row for request in requests for row in request.rows]


def test_epochs_have_every_row_once_in_new_orders():
    stream = rows(training(30, 50, 10, seed=3))
    epochs = [stream[i : i + 50] for i in (0, 50, 100)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert epochs[0] != list(range(50))


def test_batches_are_full_for_indivisible_row_count():
    requests = training(7, 10, 4, seed=3)
    assert all(len(request.rows) == 4 for request in requests)
    stream = rows(requests)
    assert sorted(stream[:10]) == sorted(stream[10:20]) == list(range(10))


def test_batch_larger_than_split_spans_epochs():
    (request,) = training(1, 3, 8, seed=0)
    assert Counter(request.rows) == Counter(request.rows[:6]) + Counter(
        request.rows[6:]
    )
    assert sorted(request.rows[:3]) == sorted(request.rows[3:6]) == [0, 1, 2]


@pytest.mark.parametrize("start", [0, 1, 4, 5, 23])
def test_sampler_starts_at_any_batch(start):
    whole = training(30, 10, 4, seed=1)
    assert training(30 - start, 10, 4, seed=1, start=start) == whole[start:]
    sampler = TrainingSampler(10, 4, seed=1)
    list(islice(sampler, start))
    other = TrainingSampler(10, 4, seed=1)
    other.load_state_dict(sampler.state_dict())
    assert list(islice(other, 5)) == whole[start : start + 5]


def test_ranks_split_the_stream():
    one = rows(training(12, 20, 8, seed=1))
    parts = [training(12, 20, 4, seed=1, rank=r, world_size=2) for r in (0, 1)]
    both = [row for pair in zip(*parts, strict=True) for row in rows(pair)]
    assert both == one
    assert not {r.seed for r in parts[0]} & {r.seed for r in parts[1]}


def test_seed_changes_order_and_corruption():
    one, same, other = (training(5, 50, 10, seed=s) for s in (1, 1, 2))
    assert one == same
    assert rows(one) != rows(other)
    assert not {r.seed for r in one} & {r.seed for r in other}


def test_batch_seeds_are_distinct():
    seeds = [r.seed for r in training(2000, 10, 4, seed=0)]
    seeds += [r.seed for r in training(2000, 10, 4, seed=1)]
    for stream in ("validation", "test"):
        seeds += [r.seed for r in EvaluationSampler(2000, 1, stream=stream)]
    assert len(seeds) == len(set(seeds)) == 8000


def test_seeds_and_orders_equal_recorded_values():
    assert permutation(8, 0, 0).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]
    assert permutation(8, 0, 1).tolist() == [7, 6, 4, 5, 3, 1, 0, 2]
    assert batch_seed(0, "train", 0, 0) == 2918264622725855778


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("num_rows", "batch_size"), [(100, 64), (9, 4), (1, 4), (8, 4), (7, 1), (3, 2)]
)
def test_evaluation_batches_are_independent_of_world_size(
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


def test_evaluation_batches_are_the_same_every_time():
    sampler = EvaluationSampler(10, 4, stream="validation")
    assert list(sampler) == list(sampler)
    other = EvaluationSampler(10, 4, stream="test")
    assert rows(sampler) == rows(other)
    assert not {r.seed for r in sampler} & {r.seed for r in other}


def collate(examples, generator):
    return examples, torch.rand(3, generator=generator).tolist()


def test_equal_requests_give_equal_batches():
    batches = Batches([10, 11, 12], collate)
    examples, noise = batches[Request((2, 0), seed=5)]
    assert examples == [12, 10]
    torch.manual_seed(0)
    assert batches[Request((2, 0), seed=5)] == (examples, noise)
    assert batches[Request((2, 0), seed=6)][1] != noise
    assert batches[Request((1, 0), seed=5)] == ([11, 10], noise)


def test_with_rows_returns_row_indices():
    batches = Batches([10, 11, 12], collate, with_rows=True)
    (examples, _), rows_of = batches[Request((2, 0), seed=5)]
    assert (examples, rows_of) == ([12, 10], (2, 0))


# Batching by length


LENGTHS = np.random.default_rng(0).integers(1, 100, 700)


def by_length(count, batch_size=8, **options):
    return training(count, 700, batch_size, seed=3, lengths=LENGTHS, **options)


def test_batches_by_length_have_every_row_and_fewer_pads():
    pools = [rows(by_length(64 * 7))[i : i + 512] for i in range(0, 512 * 7, 512)]
    plain = rows(training(64 * 7, 700, 8, seed=3))
    for number, pool in enumerate(pools):
        assert sorted(pool) == sorted(plain[512 * number : 512 * (number + 1)])
    seen = Counter(row for pool in pools for row in pool)
    assert set(seen.values()) == {5, 6}  # 3584 rows are more than five epochs
    assert len(seen) == 700
    assert padding(LENGTHS, 8, by_length=False) > 0.3
    assert padding(LENGTHS, 8, by_length=True) < 0.03


def test_batches_by_length_are_in_random_order():
    # All lengths differ, and an epoch is exactly two pools: sorting a pool's batches by
    # length then shows the order in which they came.
    lengths = np.arange(1024)
    requests = training(128, 1024, 8, seed=3, lengths=lengths)
    shortest = [min(request.rows) for request in requests]
    orders = [np.argsort(shortest[i : i + 64]).tolist() for i in (0, 64)]
    assert orders[0] != sorted(orders[0])
    assert orders[0] != orders[1]


@pytest.mark.parametrize("start", [1, 63, 64, 150])
def test_sampler_by_length_starts_at_any_batch(start):
    whole = by_length(200)
    assert by_length(200 - start, start=start) == whole[start:]


def test_ranks_split_batches_by_length():
    one = rows(by_length(100, 8))
    parts = [by_length(100, 4, rank=rank, world_size=2) for rank in (0, 1)]
    both = [row for pair in zip(*parts, strict=True) for row in rows(pair)]
    assert both == one


def test_batching_by_length_of_few_rows():
    for count, batch_size in ((3, 8), (10, 4), (9, 8)):
        requests = training(9, count, batch_size, seed=1, lengths=LENGTHS)
        assert {len(request.rows) for request in requests} == {batch_size}
        stream = rows(requests)
        whole = len(stream) // count * count
        assert min(Counter(stream).values()) >= whole // count - 1
