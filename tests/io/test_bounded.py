"""Calls in a subprocess end within limits."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

from xlmgen.io import bounded
from xlmgen.io.bounded import OutOfBounds, call

HERE = os.path.dirname(__file__)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Make this module importable in the subprocess."""
    monkeypatch.syspath_prepend(HERE)


def double(number):
    return {"twice": 2 * number}


def loop(_):
    bounded.report("the loop")
    while True:
        pass


def backtrack(_):
    return bool(re.search("^(a|a)*$", "a" * 60 + "b"))


def power(_):
    return len(str(9**9**9))


def fill(size):
    bounded.report("the text")
    return len("a" * size)


def grow(_):
    text = "a" * 2**20
    while True:
        text += text


def sleep(_):
    time.sleep(600)


def recurse(depth):
    return recurse(depth + 1)


def end(code):
    os._exit(code)


def test_call_returns_result():
    assert call(double, 21) == {"twice": 42}


@pytest.mark.parametrize("work", [loop, backtrack, power])
def test_call_over_cpu_limit_is_killed(work):
    with pytest.raises(OutOfBounds, match="takes longer than") as ended:
        call(work, None)
    assert ended.value.place == ("the loop" if work is loop else "")


def test_call_over_wall_time_is_killed(monkeypatch):
    monkeypatch.setattr(bounded, "WAITING", 1)
    monkeypatch.setattr(bounded, "BUSY", 0.5)
    with pytest.raises(OutOfBounds, match="takes longer than 2 s"):
        call(sleep, None)


@pytest.mark.parametrize(("work", "size"), [(fill, 4 * 10**9), (grow, 0)])
def test_call_over_memory_limit_is_killed(work, size):
    with pytest.raises(OutOfBounds, match="needs more than 512 MB") as ended:
        call(work, size)
    assert ended.value.place == ("the text" if work is fill else "")


def resident():
    """Resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def fill_elsewhere(_):
    """Fill memory as on a system without an address space limit."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
    sys.platform = "other"
    bounded._used = resident  # the peak of this process counts that of its parent
    bounded._limit()
    texts = []
    for _ in range(1000):
        texts.append("a" * 2**20)
        time.sleep(0.001)


@pytest.mark.skipif(sys.platform != "linux", reason="takes Linux for another system")
def test_memory_is_watched_without_system_limit():
    with pytest.raises(OutOfBounds, match="needs more than 512 MB"):
        call(fill_elsewhere, None)


def work_for(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return seconds


def test_caller_sets_the_time_limit():
    assert call(work_for, 2.5, seconds=4) == 2.5
    with pytest.raises(OutOfBounds, match="takes longer than 1 s"):
        call(work_for, 2.5, seconds=1)


def large(size):
    import large_module

    return len(large_module.TEXT) + len("a" * size)


def test_memory_of_modules_loaded_before_is_not_counted(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "large_module.py").write_text("TEXT = 'a' * 300 * 2**20")
    size = 300 * 2**20
    assert call(large, size, preload=["large_module"]) == 2 * size
    with pytest.raises(OutOfBounds, match="needs more than 512 MB"):
        call(large, size)
    with pytest.raises(OutOfBounds, match="needs more than 512 MB"):
        call(large, 2 * size, preload=["large_module"])


def test_error_in_subprocess_is_raised():
    with pytest.raises(RuntimeError, match="RecursionError"):
        call(recurse, 0)
    with pytest.raises(RuntimeError):
        call(end, 3)


def test_modules_of_current_folder_are_not_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pickle.py").write_text("raise SystemExit(9)")
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    assert call(double, 1) == {"twice": 2}
