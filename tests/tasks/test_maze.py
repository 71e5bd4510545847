"""Mazes, compared with a plain breadth-first search."""

from collections import defaultdict
from itertools import pairwise

import pytest
import yaml

from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.spec.diagnostics import SpecError
from xlmgen.tasks import maze
from xlmgen.tasks.answered import Answered


def source_of(name, **changes):
    sizes = {"train": 300, "validation": 30, "test": 60}
    return {**load_task(name).source, "sizes": sizes, **changes}


def passages(prompt):
    cells = [int(word) for word in prompt.split()[:-2]]
    return list(zip(cells[::2], cells[1::2], strict=True))


def distances(edges, start):
    """Number of steps from a cell to every reachable cell."""
    near = defaultdict(list)
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    steps, row = {start: 0}, [start]
    for cell in row:
        for other in near[cell]:
            if other not in steps:
                steps[other] = steps[cell] + 1
                row.append(other)
    return steps


@pytest.mark.parametrize(
    ("width", "height", "loops"), [(5, 5, 2), (4, 4, 0), (2, 7, 3), (6, 2, 2)]
)
def test_maze_is_connected_and_target_is_a_shortest_path(width, height, loops):
    source = source_of("maze", width=width, height=height, loops=loops)
    longer = 0
    for split in maze.records(source).values():
        for prompt, target in zip(split["prompt"], split["target"], strict=True):
            edges = passages(prompt)
            assert len(set(edges)) == width * height - 1 + loops
            for a, b in edges:
                assert b == a + width or (b == a + 1 and b % width)
            start, goal = map(int, prompt.split()[-2:])
            steps = distances(edges, start)
            assert steps.keys() == set(range(width * height))
            path = [int(word) for word in target.split()]
            assert path[0] == start != goal == path[-1]
            assert len(path) == steps[goal] + 1
            for a, b in pairwise(path):
                assert (min(a, b), max(a, b)) in edges
            longer += len(path) > 4
    assert longer > 100


def images(edges, ends, width, height):
    """Rotations and reflections of a maze, by coordinates."""
    for mirror in (False, True):
        for flip in (False, True):
            for turn in (False, True) if width == height else (False,):

                def move(cell, mirror=mirror, flip=flip, turn=turn):
                    row, column = divmod(cell, width)
                    column = width - 1 - column if mirror else column
                    row = height - 1 - row if flip else row
                    return (column, row) if turn else (row, column)

                walls = frozenset(frozenset((move(a), move(b))) for a, b in edges)
                yield walls, *map(move, ends)


@pytest.mark.parametrize(("width", "height"), [(3, 3), (3, 2)])
def test_mazes_are_distinct_up_to_symmetry(width, height, monkeypatch):
    """All mazes of a small grid are requested, and no further one is found."""
    monkeypatch.setattr("xlmgen.tasks.draws.PATIENCE", 2)
    source = source_of("maze", width=width, height=height, loops=0)
    source["sizes"] = {"train": 10**6, "validation": 1, "test": 1}
    with pytest.raises(UserError) as error:
        maze.records(source)
    count = int(str(error.value).split("only ")[1].split()[0].replace(",", ""))
    # spanning trees (192 and 15) times questions; only some are symmetric
    trees, cells, ways = {3: (192, 9, 8), 2: (15, 6, 4)}[height]
    assert trees * cells * (cells - 1) / ways <= count
    assert count < 1.2 * trees * cells * (cells - 1) / ways
    source["sizes"] = {"train": count - 20, "validation": 10, "test": 10}
    seen = set()
    for split in maze.records(source).values():
        for prompt in split["prompt"]:
            ends = tuple(map(int, prompt.split()[-2:]))
            seen.add(frozenset(images(passages(prompt), ends, width, height)))
    assert len(seen) == count


PROMPT = "0 1 1 3 2 3 0 2 0 3"  # all four passages of 2 × 2; from 0 to 3


def test_is_route_accepts_only_simple_paths_from_source_to_goal():
    for good in ("0 1 3", "0 2 3"):
        assert maze.is_route(PROMPT.split(), good.split())
    for wrong in (
        "",
        "0",
        "3",
        "0 3",  # through a corner
        "0 1",  # stops early
        "1 3",  # starts late
        "3 1 0",  # in the wrong direction
        "0 1 0 2 3",  # returns to a cell
        "0 1 3 3",
        "0 1 3 [CLS]",
        "0 1 1 3",
    ):
        assert not maze.is_route(PROMPT.split(), wrong.split())


def test_valid_route_accepts_all_paths_and_shortest_route_only_shortest():
    prompt = "0 1 1 2 0 3 3 4 4 5 2 5 1 4 0 1"  # all of 3 × 2; from 0 to 1
    scores = {}
    for answer in ("0 1", "0 3 4 1", "0 3 4 5 2 1", "0 4 1"):
        row = Answered(
            {}, tuple(answer.split()), tuple(prompt.split()), target=("0", "1")
        )
        scores[answer] = maze.valid_route(row), maze.shortest_route(row)
    assert list(scores.values()) == [(1, 1), (1, 0), (1, 0), (0, 0)]


def test_too_many_loops_are_refused(tmp_path):
    task = load_task("maze")
    path = tmp_path / "mine.yaml"
    source = {**task.source, "loops": 17}
    path.write_text(yaml.safe_dump({**task.document, "source": source}))
    with pytest.raises(SpecError, match=r"allows 16 loops.*at most 16"):
        load_task(path)
