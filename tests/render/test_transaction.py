"""Files are replaced atomically, by one process at a time."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xlmgen.errors import UserError
from xlmgen.io import locks
from xlmgen.render import transaction
from xlmgen.render.transaction import Edit, commit, exclusive, interrupted, undo

EDITS = [
    Edit("a.py", "old a\n", "new a\n"),
    Edit("tests/b.py", None, "new b\n"),
    Edit("gone.py", "old gone\n", None),
    Edit("z.lock", "old z\n", "new z\n"),
]
BEFORE = {"a.py": "old a\n", "gone.py": "old gone\n", "z.lock": "old z\n"}
AFTER = {"a.py": "new a\n", "tests/b.py": "new b\n", "z.lock": "new z\n"}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "sample"
    folder.mkdir()
    for path, text in BEFORE.items():
        (folder / path).write_text(text)
    return folder


def everything(folder):
    """Return all paths in the folder's parent: texts, and None for folders."""
    return {
        path.relative_to(folder.parent).as_posix(): path.read_text()
        if path.is_file()
        else None
        for path in folder.parent.rglob("*")
    }


def inside(texts):
    return {f"sample/{path}": text for path, text in texts.items()} | {"sample": None}


def test_commit_makes_all_edits_and_removes_journal(folder):
    with exclusive(folder):
        commit(folder, EDITS)
    assert everything(folder) == inside(AFTER) | {"sample/tests": None}


class Switch:
    """Raises at the n-th call that changes the disk."""

    def __init__(self, monkeypatch, at, error):
        self.calls, self.at, self.error = 0, at, error
        for name in ("mkdir", "write_bytes", "write_text", "replace", "unlink"):
            monkeypatch.setattr(Path, name, self.wrapped(getattr(Path, name)))
        for name in ("copy2", "copymode"):
            function = getattr(transaction.shutil, name)
            monkeypatch.setattr(transaction.shutil, name, self.wrapped(function))

    def wrapped(self, function):
        def call(*args, **kwargs):
            self.calls += 1
            if self.calls == self.at:
                raise self.error
            return function(*args, **kwargs)

        return call


def count(folder, monkeypatch):
    """Count the changes of the disk that the edits need."""
    with monkeypatch.context() as patch, exclusive(folder):
        switch = Switch(patch, 0, None)
        commit(folder, EDITS)
    return switch.calls


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left")])
@pytest.mark.parametrize("at", range(2, 40))
def test_error_at_any_point_restores_files(folder, monkeypatch, at, error):
    before = everything(folder)
    expected = UserError if isinstance(error, OSError) else KeyboardInterrupt
    finished = False
    with monkeypatch.context() as patch:
        switch = Switch(patch, at, error)
        try:
            with exclusive(folder):
                commit(folder, EDITS)
            finished = True
        except expected:
            pass
    if finished:
        assert switch.calls < at
        assert everything(folder) == inside(AFTER) | {"sample/tests": None}
    else:
        assert everything(folder) == before


def test_all_failure_points_are_tested(tmp_path, folder, monkeypatch):
    assert 20 < count(folder, monkeypatch) < 39


@pytest.mark.parametrize("at", range(2, 40))
def test_write_of_killed_process_is_undone(folder, monkeypatch, at):
    before = everything(folder)
    with monkeypatch.context() as patch:
        # A killed process does not clean up behind itself.
        Switch(patch, at, KeyboardInterrupt())
        patch.setattr(transaction, "undo", lambda folder: None)
        try:
            with exclusive(folder):
                commit(folder, EDITS)
        except KeyboardInterrupt:
            pass
        else:
            before = inside(AFTER) | {"sample/tests": None}
    with exclusive(folder):
        assert not interrupted(folder)
    assert everything(folder) == before


def halfway(folder, monkeypatch):
    """Leave the folder as a process that is killed while replacing files."""
    with monkeypatch.context() as patch:
        real, calls = Path.replace, []

        def killed(self, target):
            calls.append(target)
            if len(calls) == 4:  # the record, a.py, b.py
                raise KeyboardInterrupt
            return real(self, target)

        patch.setattr(Path, "replace", killed)
        patch.setattr(transaction, "undo", lambda folder: None)
        with pytest.raises(KeyboardInterrupt), exclusive(folder):
            commit(folder, EDITS)
    assert interrupted(folder)
    assert (folder / "a.py").read_text() == "new a\n"


def test_edit_after_kill_is_not_undone(folder, monkeypatch):
    halfway(folder, monkeypatch)
    (folder / "a.py").write_text("mine\n")
    with exclusive(folder):
        pass
    assert (folder / "a.py").read_text() == "mine\n"
    assert (folder / "gone.py").read_text() == "old gone\n"
    assert not (folder / "tests").exists()


def test_journal_cannot_change_files_outside_the_folder(folder, tmp_path):
    outside = tmp_path / "outside.py"
    outside.write_text("mine\n")
    (folder / "link").symlink_to(tmp_path)
    journal = tmp_path / ".sample.undo"
    digest = transaction._sha256("mine\n")
    paths = ["../outside.py", str(outside), "link/outside.py"]
    for path in ("old/link", "old"):
        (journal / path).mkdir(parents=True, exist_ok=True)
    (journal / "old" / "link" / "outside.py").write_text("evil\n")
    evil = transaction._sha256("evil\n")
    record = {path: [evil, digest] for path in paths}
    (journal / "journal.json").write_text(json.dumps(record))
    undo(folder)
    assert outside.read_text() == "mine\n"
    assert not journal.exists()


@pytest.mark.parametrize("record", ["", "[]", "{", '{"a.py": 1}', '{"a.py": [1]}'])
def test_journal_without_record_is_removed(folder, record):
    journal = folder.with_name(".sample.undo")
    journal.mkdir()
    (journal / "journal.json").write_text(record)
    with exclusive(folder):
        commit(folder, EDITS)
    assert everything(folder) == inside(AFTER) | {"sample/tests": None}


def test_link_instead_of_journal_is_not_followed(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine").write_text("mine\n")
    folder.with_name(".sample.undo").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"\.sample\.undo"), exclusive(folder):
        commit(folder, EDITS)
    assert (tmp_path / "elsewhere" / "mine").read_text() == "mine\n"
    assert (folder / "a.py").read_text() == "old a\n"


def test_file_changed_since_plan_stops_write(folder):
    (folder / "z.lock").write_text("mine\n")
    before = everything(folder)
    with pytest.raises(UserError, match=r"z\.lock was changed"), exclusive(folder):
        commit(folder, EDITS)
    assert everything(folder) == before


def test_lock_waits_for_other_process(folder):
    handle = os.open(folder.parent, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    released = []

    def release():
        time.sleep(0.2)
        released.append(True)
        os.close(handle)

    thread = threading.Thread(target=release)
    thread.start()
    with exclusive(folder):
        assert released
    thread.join()


def test_wait_for_lock_has_time_limit(folder, monkeypatch):
    monkeypatch.setattr(locks, "WAIT", 0.1)
    handle = os.open(folder.parent, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(UserError, match="another xlmgen"), exclusive(folder):
            pass
    finally:
        os.close(handle)


def test_file_system_without_locks_is_supported(folder, monkeypatch):
    def unsupported(handle, operation):
        raise OSError(9, "Bad file descriptor")  # a folder on NFS

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with exclusive(folder):
        commit(folder, EDITS)
    assert everything(folder) == inside(AFTER) | {"sample/tests": None}


COUNTER = """
import sys
from pathlib import Path
from xlmgen.render.transaction import Edit, commit, exclusive
folder = Path(sys.argv[1])
for _ in range(15):
    with exclusive(folder):
        old = (folder / "a.py").read_text()
        commit(folder, [Edit("a.py", old, old + "x")])
"""


def test_concurrent_processes_lose_nothing(folder):
    command = [sys.executable, "-c", COUNTER, str(folder)]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert (folder / "a.py").read_text() == "old a\n" + "x" * 45
