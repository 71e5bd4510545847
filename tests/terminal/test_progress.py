"""Progress is shown by a bar, or by lines without a terminal."""

import pytest

from xlmgen.tasks import draws
from xlmgen.terminal import progress
from xlmgen.terminal.progress import ProgressReporter


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests advance."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def test_progress_prints_lines_without_terminal(clock, capsys):
    with ProgressReporter("generating puzzles", 100) as waiting:
        for done in range(0, 100, 2):
            clock(1)
            waiting.update(done, f"{done} of 100")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "generating puzzles  20 of 100"
    assert len(lines) == 4


def test_quick_work_prints_nothing(clock, capsys):
    with ProgressReporter("generating puzzles", 100) as waiting:
        clock(4)
        waiting.update(100, "100 of 100")
    assert capsys.readouterr() == ("", "")


def test_progress_shows_bar_in_terminal(clock, capsys, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    with ProgressReporter("generating puzzles", 100) as waiting:
        clock(1)
        waiting.update(50, "50 of 100")
    shown = capsys.readouterr().err
    assert "generating puzzles" in shown
    assert "50 %  50 of 100" in shown


def test_progress_of_generation_shows_number(clock, capsys):
    numbers = iter(range(1000))

    def draw():
        clock(20)
        return [(number, [{"text": str(number)}]) for number in (next(numbers),)]

    draws.splits(
        draw, {"train": 3, "validation": 1, "test": 1}, "rows", "ask for fewer"
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"generating rows  {number} of 5" for number in range(1, 6)]
