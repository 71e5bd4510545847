"""Graph coloring: every graph can be colored, and every valid coloring scores."""

from itertools import product

import pytest

from xlmgen.data.task import load_task
from xlmgen.spec.generators import graph_coloring as shape
from xlmgen.tasks import graph_coloring
from xlmgen.tasks.answered import Answered


def source_of(name, **changes):
    sizes = {"train": 400, "validation": 40, "test": 80}
    return {**load_task(name).source, "sizes": sizes, **changes}


def parts(prompt):
    """Edges and given colors of a prompt."""
    edges, given = [], {}
    words = prompt.split()
    for first, second in zip(words[::2], words[1::2], strict=True):
        if second.startswith("c"):
            given[int(first)] = int(second[1:])
        else:
            assert not given  # edges are first
            edges.append((int(first), int(second)))
    return edges, given


@pytest.mark.parametrize("name", ["graph_coloring_8", "graph_coloring_10"])
def test_target_is_a_valid_coloring(name):
    source, counts, known = source_of(name), set(), set()
    for split in graph_coloring.records(source).values():
        for prompt, target in zip(split["prompt"], split["target"], strict=True):
            edges, given = parts(prompt)
            color = [int(word[1:]) for word in target.split()]
            assert len(color) == source["vertices"]
            assert set(color) <= {0, 1, 2}
            assert all(color[a] != color[b] for a, b in edges)
            assert all(a < b for a, b in edges)
            assert len(set(edges)) == len(edges)
            assert all(color[vertex] == c for vertex, c in given.items())
            counts.add(len(edges))
            known.add(len(given))
    edges, given = source["edges"], source["given"]
    assert counts == set(range(edges["min"], edges["max"] + 1))
    assert known == set(range(given["min"], given["max"] + 1))


def test_graphs_are_distinct_up_to_color_names():
    source = source_of("graph_coloring_tiny")
    source["sizes"] = {"train": 4000, "validation": 100, "test": 400}
    seen = set()
    for split in graph_coloring.records(source).values():
        for prompt in split["prompt"]:
            edges, given = parts(prompt)
            names = {}
            same = [names.setdefault(given[v], len(names)) for v in sorted(given)]
            seen.add((frozenset(edges), tuple(sorted(given)), tuple(same)))
    assert len(seen) == 4500


def test_is_valid_agrees_with_the_definition_on_every_answer():
    edges, given = [(0, 1), (1, 2), (0, 2), (2, 3)], {0: 1, 3: 0}
    text = "0 1 1 2 0 2 2 3 0 c1 3 c0"
    assert parts(text) == (edges, given)
    prompt = text.split()
    good = 0
    for color in product(range(4), repeat=4):
        truth = (
            max(color) < 3
            and all(color[a] != color[b] for a, b in edges)
            and all(color[v] == c for v, c in given.items())
        )
        answer = [f"c{number}" for number in color]
        assert graph_coloring.is_valid(prompt, answer, 4, 3) == truth
        good += truth
    assert good == 1
    one = ["c1", "c0", "c2", "c0"]
    assert graph_coloring.is_valid(prompt, one, 4, 3)
    for wrong in (one[:-1], [*one, "c0"], ["1", *one[1:]], ["[CLS]", *one[1:]], []):
        assert not graph_coloring.is_valid(prompt, wrong, 4, 3)


def test_other_valid_coloring_scores_one():
    source = {"vertices": 3, "colors": 3}
    prompt, target = ("0", "1", "0", "c0"), ("c0", "c1", "c2")
    row = Answered(source, ("c0", "c2", "c2"), prompt=prompt, target=target)
    assert graph_coloring.valid_coloring(row) == 1
    changed = Answered(source, ("c1", "c2", "c2"), prompt=prompt, target=target)
    assert graph_coloring.valid_coloring(changed) == 0  # the given color is changed


@pytest.mark.parametrize("vertices", [2, 5, 6])
@pytest.mark.parametrize("colors", [2, 3, 4])
def test_most_edges_is_that_of_balanced_coloring(vertices, colors):
    source = {"vertices": vertices, "colors": colors}
    best = max(
        sum(a != b for i, a in enumerate(color) for b in color[:i])
        for color in product(range(colors), repeat=vertices)
    )
    assert shape._most_edges(**source) == best


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"edges": {"min": 10, "max": 22}}, "source.edges.max", "at most 21"),
        ({"edges": {"min": 10, "max": 9}}, "source.edges", "less than min"),
        ({"given": {"min": 1, "max": 8}}, "source.given.max", "at most 7"),
        ({"colors": 4}, "tokenizer.tokens", "no token for 'c3'"),
        ({"given": {"min": 1, "max": 5}}, "max_length.prompt", "at least 43"),
    ],
)
def test_impossible_settings_are_refused(refused, changes, place, message):
    told = refused("graph_coloring_8", changes)
    assert any(place == where and message in text for where, text in told), told
