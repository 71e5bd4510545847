"""Star graphs: structure, distribution and reproducibility."""

import hashlib
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.tasks import star

TASKS = ("star_tiny", "star_easy", "star_medium", "star_hard")
# equal to the longest prompt and answer of the published data
LONGEST = {
    "star_tiny": (10, 4),
    "star_easy": (26, 8),
    "star_medium": (32, 10),
    "star_hard": (112, 22),
}


def source_of(name, **sizes):
    source = dict(load_task(name).source)
    return {**source, "sizes": {"train": 2000, "validation": 50, "test": 500} | sizes}


def numbers(texts):
    return [[int(word) for word in text.split()] for text in texts]


@pytest.fixture(scope="module", params=TASKS)
def graphs(request):
    """Settings of the source, and (edges, source, goal, path) of 2000 graphs."""
    source = source_of(request.param)
    train = star.records(source)["train"]
    rows = []
    for prompt, answer in zip(
        numbers(train["prompt"]), numbers(train["target"]), strict=True
    ):
        *flat, start, goal = prompt
        edges = list(zip(flat[::2], flat[1::2], strict=True))
        path = list(zip(answer[::2], answer[1::2], strict=True))
        rows.append((edges, start, goal, path))
    return request.param, source, rows


def centre_and_tails(edges, source):
    """The centre and, for each arm, its number of edges after the centre."""
    following = defaultdict(list)
    for a, b in edges:
        following[a].append(b)
    centre = max(following, key=lambda node: len(following[node]))
    tails = []
    for node in following[centre]:
        length = 1
        while following[node]:
            (node,) = following[node]
            length += 1
        tails.append(length)
    assert len(tails) == source["arms"]
    return centre, tails


def test_every_arm_is_a_chain_with_plan_edges_after_the_centre(graphs):
    _, source, rows = graphs
    for edges, start, goal, _ in rows:
        centre, tails = centre_and_tails(edges, source)
        assert min(tails) >= source["plan"]
        incoming = Counter(b for _, b in edges)
        outgoing = Counter(a for a, _ in edges)
        nodes = incoming.keys() | outgoing.keys()
        assert all(incoming[n] <= 1 and outgoing[n] <= 1 for n in nodes - {centre})
        assert len(edges) == len(nodes) - 1  # a tree: arms share only the centre
        assert incoming[centre] <= source["arms"]
        assert nodes <= set(range(source["vocabulary"]))
        assert start == centre or not incoming[start]
        assert not outgoing[goal]


def test_target_is_the_edges_of_the_path_from_source_to_goal(graphs):
    _, source, rows = graphs
    for edges, start, goal, path in rows:
        assert set(path) <= set(edges)
        assert path[0][0] == start
        assert path[-1][1] == goal
        assert all(a[1] == b[0] for a, b in pairwise(path))
        low, high = source["nodes"]["min"], source["nodes"]["max"]
        assert low <= len(path) + 1 <= high
        centre, _ = centre_and_tails(edges, source)
        assert centre in {node for edge in path for node in edge}


@pytest.mark.parametrize("name", TASKS)
def test_longest_prompt_and_answer_fill_max_length(name):
    task = load_task(name)
    shape = task.source
    edges = shape["arms"] * (shape["nodes"]["max"] - 1)
    assert (2 * edges + 2, 2 * shape["nodes"]["max"] - 2) == LONGEST[name]
    train = star.records(source_of(name))["train"]
    prompts, answers = numbers(train["prompt"]), numbers(train["target"])
    assert max(map(len, prompts)) <= LONGEST[name][0]
    assert max(map(len, answers)) == LONGEST[name][1]


def test_only_easy_and_tiny_always_start_at_the_centre():
    for name, share in {
        "star_easy": 1.0,
        "star_tiny": 1.0,
        # the mean of 1/(positions), for each number of nodes from min to max
        "star_medium": sum(1 / k for k in range(1, 5)) / 4,
        "star_hard": sum(1 / k for k in range(1, 8)) / 7,
    }.items():
        source = source_of(name, train=4000)
        train = star.records(source)["train"]
        at_centre = 0
        for prompt in numbers(train["prompt"]):
            flat, start = prompt[:-2], prompt[-2]
            at_centre += Counter(flat[::2])[start] == source["arms"]
        # four standard deviations of a share of 4000
        assert at_centre / 4000 == pytest.approx(share, abs=0.032)


def test_arm_lengths_are_uniform():
    lengths = Counter(
        len(answer) // 2 + 1
        for answer in numbers(
            star.records(source_of("star_medium", train=8000))["train"]["target"]
        )
    )
    assert sorted(lengths) == [3, 4, 5, 6]
    assert all(abs(count - 2000) < 4 * 39 for count in lengths.values())


def test_other_arms_may_enter_the_centre():
    source = source_of("star_medium")
    entered = Counter()
    for prompt in numbers(star.records(source)["train"]["prompt"]):
        flat = prompt[:-2]
        edges = list(zip(flat[::2], flat[1::2], strict=True))
        centre, _ = centre_and_tails(edges, source)
        entered[Counter(b for _, b in edges)[centre]] += 1
    assert sorted(entered) == [0, 1, 2, 3]


def test_edges_are_in_random_order():
    """The first edge of the path is at each of the twelve positions equally often."""
    places = Counter()
    train = star.records(source_of("star_easy", train=6000))["train"]
    for prompt, answer in zip(
        numbers(train["prompt"]), numbers(train["target"]), strict=True
    ):
        edges = list(zip(prompt[:-2:2], prompt[1:-2:2], strict=True))
        places[edges.index((answer[0], answer[1]))] += 1
    assert sorted(places) == list(range(12))
    assert all(abs(count - 500) < 4.5 * 21.4 for count in places.values())


def canonical(prompt):
    *flat, start, goal = prompt.split()
    return frozenset(zip(flat[::2], flat[1::2], strict=True)), start, goal


def test_graphs_are_distinct_across_splits():
    """28,000 of 30,240 graphs are requested: there would be many random repeats."""
    splits = star.records(source_of("star_tiny", train=27000, test=950))
    seen = [canonical(p) for split in splits.values() for p in split["prompt"]]
    assert len(seen) == len(set(seen)) == 28000


def test_train_size_does_not_change_other_splits():
    small = star.records(source_of("star_medium"))
    large = star.records(source_of("star_medium", train=9000))
    assert small["test"] == large["test"]
    assert small["validation"] == large["validation"]
    assert small["train"]["prompt"] == large["train"]["prompt"][:2000]


def test_all_graphs_of_a_small_space_are_found():
    shape = star.Star(arms=2, min_nodes=3, max_nodes=3, plan=2, vocabulary=5)
    assert (
        len(star.generate(shape, 120, seed=0)) == 120
    )  # 5!, with distinguishable arms
    with pytest.raises(UserError, match="asks for 121 different graphs, and only 120"):
        star.generate(shape, 121, seed=0)


def test_seed_determines_graphs():
    one, same, other = (
        star.records({**source_of("star_medium"), "seed": seed}) for seed in (1, 1, 2)
    )
    assert one == same
    assert one["test"] != other["test"]


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        (
            "star_easy",
            "64b297fcf01b31bbf48bd21b7906716ff4325b8a7b42f72b2d2c3e6aa0bb3ca0",
        ),
        (
            "star_hard",
            "ef3bd98244aceff8a8d41cb9c1a146c70d63bc030ab90b2149688d7889f2d553",
        ),
    ],
)
def test_graphs_equal_recorded_hash(name, sha256):
    splits = star.records(source_of(name))
    text = "\n".join(
        line
        for split in ("train", "validation", "test")
        for column in ("prompt", "target")
        for line in splits[split][column]
    )
    assert hashlib.sha256(text.encode()).hexdigest() == sha256


def test_is_path_accepts_only_chains_from_source_to_goal():
    prompt = [1, 2, 2, 3, 1, 4, 4, 5, 1, 3]  # 1→2→3, 1→4→5; from 1 to 3
    assert star.is_path(prompt, [1, 2, 2, 3])
    for wrong in (
        [],
        [1],
        [1, 2],  # stops early
        [2, 3],  # starts late
        [1, 4, 4, 5],  # another arm
        [1, 3],  # no such edge
        [1, 2, 2, 3, 3],  # half an edge too many
        [1, 2, 4, 5, 2, 3],  # edges that do not meet
        [2, 1, 3, 2],  # against the direction of edges
    ):
        assert not star.is_path(prompt, wrong)
