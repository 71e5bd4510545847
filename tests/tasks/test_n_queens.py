"""N queens, compared with all pairs of queens and known numbers of solutions."""

from itertools import combinations

import pytest

from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.spec.generators.n_queens import SOLUTIONS
from xlmgen.tasks import n_queens
from xlmgen.tasks.answered import Answered


def source_of(name, **changes):
    sizes = {"train": 400, "validation": 40, "test": 80}
    return {**load_task(name).source, "sizes": sizes, **changes}


def attacks(board, size):
    """Whether two queens of a text attack each other."""
    queens = [divmod(i, size) for i, word in enumerate(board.split()) if word == "Q"]
    return any(
        a == c or b == d or abs(a - c) == abs(b - d)
        for (a, b), (c, d) in combinations(queens, 2)
    )


def given(tokens, flags):
    return frozenset(i for i, flag in enumerate(flags) if flag == "1")


def images(cells, size):
    """The eight images of cells by rotation and reflection of coordinates."""
    points = [divmod(cell, size) for cell in cells]
    for _ in range(4):
        points = [(column, size - 1 - row) for row, column in points]
        for way in (points, [(column, row) for row, column in points]):
            yield frozenset(row * size + column for row, column in way)


@pytest.mark.parametrize(("size", "count"), [(4, 2), (5, 10), (6, 4), (7, 40), (8, 92)])
def test_number_of_solutions_equals_known_values(size, count):
    assert len(set(n_queens.solutions(size))) == count


@pytest.mark.parametrize("size", range(4, 11))
def test_solutions_are_valid_and_distinct(size):
    assert len(n_queens.solutions(size)) == SOLUTIONS[size]


@pytest.mark.parametrize("name", ["n_queens_8", "n_queens_10"])
def test_boards_are_solutions_with_some_queens_given(name):
    source = source_of(name)
    size, counts = source["board"], set()
    for split in n_queens.records(source).values():
        for tokens, flags in zip(split["tokens"], split["given"], strict=True):
            assert tokens.split().count("Q") == size
            assert not attacks(tokens, size)
            shown = given(tokens, flags)
            assert all(tokens.split()[cell] == "Q" for cell in shown)
            counts.add(len(shown))
    low, high = source["given"]["min"], source["given"]["max"]
    assert counts == set(range(low, high + 1))


def test_symmetric_boards_are_in_the_same_split():
    """Nearly all of the 2,364 kinds of boards of 8 × 8 are requested."""
    source = source_of("n_queens_8")
    source["sizes"] = {"train": 12000, "validation": 200, "test": 2000}
    splits = n_queens.records(source)
    kinds = {
        split: {
            min(map(sorted, images(given(*row), 8))).__repr__()
            for row in zip(found["tokens"], found["given"], strict=True)
        }
        for split, found in splits.items()
    }
    for one, other in combinations(kinds.values(), 2):
        assert not one & other
    assert sum(map(len, kinds.values())) > 1500
    every = [
        given(*row)
        for found in splits.values()
        for row in zip(found["tokens"], found["given"], strict=True)
    ]
    assert len(set(every)) == len(every) == 14200


def test_too_many_boards_are_refused(monkeypatch):
    monkeypatch.setattr("xlmgen.tasks.draws.PATIENCE", 3)
    source = source_of("n_queens_tiny", given={"min": 1, "max": 3})
    source["sizes"] = {"train": 50000, "validation": 10, "test": 10}
    with pytest.raises(UserError) as error:
        n_queens.records(source)
    told = str(error.value)
    assert "asks for 50,020 different boards, and only 2" in told
    number = int(told.split("only ")[1].split()[0])
    assert 205 <= number <= 225  # there are 225; test and validation cut a group short


SOLUTION = ". Q . . . . . Q Q . . . . . Q ."


def test_is_valid_refuses_attacking_queens():
    assert n_queens.is_valid(SOLUTION.split())
    for wrong in (
        "",
        SOLUTION[2:],
        SOLUTION.replace("Q", ".", 1),  # three queens
        SOLUTION.replace(".", "Q", 1),  # five
        SOLUTION.replace(".", "[PAD]", 1),
        "Q . . . . . Q . . Q . . . . . Q",  # a diagonal
        ". Q . . Q . . . . . . Q . . Q .",  # the other diagonal
        "Q . . . . . . Q Q . . . . . Q .",  # a column
    ):
        assert not n_queens.is_valid(wrong.split())


def test_every_completion_scores_one():
    """An empty board of 4 × 4 has two completions."""
    board = (None,) * 16
    for answer in (SOLUTION, " ".join(reversed(SOLUTION.split()))):
        row = Answered({}, tuple(answer.split()), board=board)
        assert n_queens.valid_queens(row) == 1
    for wrong in (SOLUTION.split()[1:], [*SOLUTION.split(), "."], ["Q"] * 16):
        assert n_queens.valid_queens(Answered({}, tuple(wrong), board=board)) == 0


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"board": 3}, "source.board", "4"),
        ({"given": {"min": 1, "max": 8}}, "source.given.max", "at most 7"),
        ({"given": {"min": 3, "max": 2}}, "source.given", "less than min"),
        ({"given": {"min": 0, "max": 0}}, "source.sizes", "at most 1"),
        ({"given": {"min": 7, "max": 7}}, "source.sizes", "at most 736"),
    ],
)
def test_impossible_settings_are_refused(refused, changes, place, message):
    told = refused("n_queens_8", changes)
    assert any(place == where and message in text for where, text in told), told
