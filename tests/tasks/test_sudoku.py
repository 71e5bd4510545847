"""Sudoku, compared with a plain solver written for these tests."""

from collections import Counter

import numpy as np
import pytest

from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.evaluation.scores import score_rows
from xlmgen.tasks import search, sudoku
from xlmgen.tasks.answered import Answered
from xlmgen.tasks.draws import Draws

SOLVED = (
    "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
)


def source_of(name, **changes):
    source = dict(load_task(name).source)
    sizes = {"train": 60, "validation": 5, "test": 35}
    return {**source, "sizes": sizes, **changes}


def solutions(grid, box, limit=2):
    """Up to `limit` solutions of a grid with zeros, cell by cell."""
    size = box * box
    if 0 not in grid:
        return [tuple(grid)]
    choices = {}
    for cell, digit in enumerate(grid):
        if digit:
            continue
        row, column = divmod(cell, size)
        seen = {
            grid[other]
            for other in range(size * size)
            if other // size == row
            or other % size == column
            or (other // size // box, other % size // box)
            == (row // box, column // box)
        }
        choices[cell] = [d for d in range(1, size + 1) if d not in seen]
    cell = min(choices, key=lambda c: len(choices[c]))
    found = []
    for digit in choices[cell]:
        grid[cell] = digit
        found += solutions(grid, box, limit - len(found))
        grid[cell] = 0
        if len(found) >= limit:
            break
    return found


def puzzles(splits):
    for split in splits.values():
        for tokens, given in zip(split["tokens"], split["given"], strict=True):
            grid = tuple(map(int, tokens.split()))
            yield grid, [d if g == "1" else 0 for d, g in zip(grid, given, strict=True)]


@pytest.mark.parametrize(("name", "box"), [("sudoku", 3), ("sudoku_tiny", 2)])
def test_puzzle_has_requested_clues_and_unique_solution(name, box):
    source = source_of(name)
    counts = Counter()
    for grid, clues in puzzles(sudoku.records(source)):
        assert solutions(list(clues), box) == [grid]
        counts[sum(digit != 0 for digit in clues)] += 1
    low, high = source["clues"]["min"], source["clues"]["max"]
    assert min(counts) == low
    assert max(counts) == high


def test_few_clues_are_reached_where_possible():
    source = source_of("sudoku", clues={"min": 28, "max": 28})
    source["sizes"] = {"train": 3, "validation": 1, "test": 1}
    for grid, clues in puzzles(sudoku.records(source)):
        assert sum(digit != 0 for digit in clues) == 28
        assert solutions(list(clues), 3) == [grid]


def test_puzzles_are_distinct_up_to_digit_names():
    """There are few distinct 4 × 4 puzzles with 5 clues: repeats would be frequent."""
    source = source_of("sudoku_tiny", clues={"min": 5, "max": 5})
    source["sizes"] = {"train": 900, "validation": 50, "test": 50}
    seen = set()
    for _, clues in puzzles(sudoku.records(source)):
        names = {0: 0}
        seen.add(tuple(names.setdefault(digit, len(names)) for digit in clues))
    assert len(seen) == 1000


def test_too_many_puzzles_are_refused(monkeypatch):
    monkeypatch.setattr("xlmgen.tasks.draws.PATIENCE", 1)
    source = source_of("sudoku_tiny", clues={"min": 4, "max": 4})
    source["sizes"] = {"train": 10**6, "validation": 1, "test": 1}
    with pytest.raises(UserError, match="asks for 1,000,002 different puzzles, and on"):
        sudoku.records(source)


@pytest.mark.parametrize("box", [2, 3])
def test_unique_agrees_with_plain_solver(box):
    """Also for puzzles with many solutions; each has at least one."""
    stream, rules = Draws(5), sudoku.Rules(box)
    empty = np.full((box**4, 60), rules.full)
    states, solved = search.random_solutions(empty, rules.narrow, stream)
    keep = 0.45 if box == 3 else 0.35
    kept = stream.below(np.full(states.shape, 1000)) < 1000 * keep
    clues = np.where(kept, states, rules.full)[:, solved]
    said = search.unique(clues, rules.narrow)
    digits = np.where(
        kept[:, solved], search.count_values(states - 1)[:, solved] + 1, 0
    )
    truth = [len(solutions(column.tolist(), box)) == 1 for column in digits.T]
    assert said.tolist() == truth
    assert 5 < sum(truth) < 55


def test_is_solved_refuses_repeated_digits():
    assert sudoku.is_solved(SOLVED)
    assert sudoku.is_solved("1234341221434321")
    rows = [SOLVED[i : i + 9] for i in range(0, 81, 9)]
    assert sudoku.is_solved("".join(rows[1:3] + rows[:1] + rows[3:]))
    for wrong in (
        "",
        SOLVED[:-1],
        SOLVED[:-1] + "8",  # a digit twice
        SOLVED[:-1] + "0",
        "".join(rows[3:4] + rows[1:3] + rows[:1] + rows[4:]),  # only boxes are wrong
        "123456789" * 9,  # only columns and boxes are wrong
        "1234" * 4,
        "1" * 16,
        "12",
    ):
        assert not sudoku.is_solved(wrong)


def test_other_solution_scores_one():
    """A puzzle of a file may have several solutions."""
    target = "1234341221434321"
    other = "2134341212434321"  # 1 and 2 are swapped in two rows
    assert sudoku.is_solved(other)
    given = [a == b for a, b in zip(target, other, strict=True)]
    row = Answered(
        source={},
        answer=tuple(d for d, g in zip(other, given, strict=True) if not g),
        board=tuple(d if g else None for d, g in zip(target, given, strict=True)),
    )
    assert sudoku.solved(row) == 1
    assert sudoku.solved(Answered({}, row.answer[:-1], board=row.board)) == 0
    changed = ("5", *row.answer[1:])
    assert sudoku.solved(Answered({}, changed, board=row.board)) == 0


def quiz(holes):
    return "".join("0" if i in holes else d for i, d in enumerate(SOLVED))


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A folder with sudoku.csv in the public format: a row for each hole."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{quiz({i, 80 - i})},{SOLVED}" for i in range(40)]
    path = tmp_path / "sudoku.csv"
    path.write_text("\n".join(["quizzes,solutions", *rows]))
    return path


def test_csv_of_quizzes_and_solutions_is_read(table):
    task = load_task("sudoku_csv")
    examples = task.examples("train")
    assert len(examples) == 36
    holes = set()
    for example in examples:
        assert task.decode(example["tokens"]).replace(" ", "") == SOLVED
        first, last = np.flatnonzero(example["given"] == 0).tolist()
        assert first + last == 80
        holes.add(first)
    assert len(holes) == 36
    example = examples[0]
    answer = example["tokens"][example["given"] == 0].tolist()
    right, wrong = score_rows(task, [example] * 2, [answer, answer[::-1]])["solved"]
    assert right == 1
    assert wrong == (answer == answer[::-1])


@pytest.mark.parametrize(
    "quizzes", [quiz({3})[:-1], quiz({3}).replace("5", "6", 1), quiz({3}) + "0"]
)
def test_quiz_that_differs_from_its_solution_is_located(table, quizzes):
    table.write_text(f"{table.read_text()}\n{quizzes},{SOLVED}\n")
    shown, solved = quizzes[:50], SOLVED[:50]  # a message has a part of the value
    with pytest.raises(
        UserError, match=rf"sudoku\.csv:42: '{shown}.* is not '{solved}"
    ):
        load_task("sudoku_csv").examples("train")


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"clues": {"min": 16, "max": 30}}, "source.clues.min", "at least 17"),
        ({"clues": {"min": 30, "max": 81}}, "source.clues.max", "80"),
        ({"clues": {"min": 30, "max": 29}}, "source.clues", "less than min"),
        ({"box": 2, "clues": {"min": 3, "max": 9}}, "source.clues.min", "≥ 4"),
        ({"box": 2, "clues": {"min": 4, "max": 16}}, "source.clues.max", "at most 15"),
        ({"box": 4}, "source.box", "one of 2, 3"),
    ],
)
def test_impossible_settings_are_refused(refused, changes, place, message):
    told = refused("sudoku", changes)
    assert any(place == where and message in text for where, text in told), told
