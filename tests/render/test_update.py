"""Results of an update for every state of a file."""

from pathlib import Path

import pytest

from xlmgen.errors import UserError
from xlmgen.render import render
from xlmgen.render.apply import write
from xlmgen.render.changes import State
from xlmgen.render.lock import lock_text
from xlmgen.render.plan import LOCK
from xlmgen.render.transaction import exclusive
from xlmgen.render.update import updates

from .conftest import bring, make_family

PATH = "loss_sample.py"


@pytest.fixture
def files(family, templates):
    return with_body(render(family, templates))


@pytest.fixture
def later(templates):
    """Render the same family with another number of steps."""
    return with_body(render(make_family(steps=16), templates))


@pytest.fixture
def folder(tmp_path, files):
    bring(tmp_path / "sample", files)
    return tmp_path / "sample"


def with_body(files):
    """Make a render whose files are long enough for edits after the first line."""
    body = "".join(f"line {n}\n" for n in range(9))
    longer = {p: t + body if p.endswith(".py") else t for p, t in files.items()}
    return locked(longer)


def locked(files):
    """Add a lock of the files."""
    kept = {path: text for path, text in files.items() if path != LOCK}
    return kept | {LOCK: lock_text(files["family.yaml"], kept)}


def without(files, path):
    return locked({p: t for p, t in files.items() if p != path})


def follow(folder, files):
    """Write the spec of a render to the folder."""
    (folder / "family.yaml").write_text(files["family.yaml"])


def update(folder, files, **options):
    """Update to a render, and return the state of every file."""
    follow(folder, files)
    with exclusive(folder):
        planned = updates(folder, files, **options)
        write(folder, planned)
    return {change.path: change.state for change in planned}


def texts(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in folder.rglob("*")
        if path.is_file()
    }


def append(path, text="mine\n"):
    path.write_bytes(path.read_bytes() + text.encode())


def test_unedited_files_become_the_new_render(folder, later):
    states = update(folder, later)
    assert texts(folder) == later
    assert states[PATH] is State.STALE
    assert set(update(folder, later).values()) == {State.UNCHANGED}


def test_edit_is_merged_and_second_update_changes_nothing(folder, later):
    append(folder / PATH)
    assert update(folder, later)[PATH] is State.MERGED
    assert texts(folder) == later | {PATH: later[PATH] + "mine\n"}
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert update(folder, later)[PATH] is State.KEPT
    follow(folder, later)
    del before[folder / "family.yaml"]
    assert (
        before.items()
        <= {path: path.stat().st_mtime_ns for path in folder.rglob("*")}.items()
    )


def test_reverted_spec_leaves_only_the_edit(folder, files, later):
    append(folder / PATH)
    update(folder, later)
    update(folder, files)
    assert texts(folder) == files | {PATH: files[PATH] + "mine\n"}


def test_edit_of_unchanged_file_is_kept(folder, files, later):
    append(folder / "README.md")
    later = locked(later | {"README.md": files["README.md"]})
    assert update(folder, later)["README.md"] is State.KEPT
    assert texts(folder)["README.md"] == files["README.md"] + "mine\n"


def test_conflict_is_marked_and_stops_next_update(folder, later):
    first = (folder / PATH).read_text().splitlines()[0]
    (folder / PATH).write_text((folder / PATH).read_text().replace(first, "# mine"))
    assert update(folder, later)[PATH] is State.CONFLICT
    text = (folder / PATH).read_text()
    assert text.startswith("<<<<<<< yours\n# mine\n||||||| rendered before\n")
    assert later[PATH].splitlines()[0] in text
    before = texts(folder)
    with pytest.raises(UserError, match=f"{PATH}:1"):
        updates(folder, later)
    assert texts(folder) == before


def test_resolved_conflict_is_an_edit(folder, later):
    (folder / PATH).write_text("# mine\n")
    update(folder, later)
    (folder / PATH).write_text("# mine, after all\n")
    assert update(folder, later)[PATH] is State.KEPT
    assert (folder / PATH).read_text() == "# mine, after all\n"


def test_edit_equal_to_render_is_no_conflict(folder, later):
    (folder / PATH).write_text(later[PATH])
    assert update(folder, later)[PATH] is State.UNCHANGED


@pytest.mark.parametrize("moved_on", [False, True])
def test_deleted_file_stays_deleted(folder, files, later, moved_on):
    (folder / PATH).unlink()
    wanted = later if moved_on else files
    assert update(folder, wanted)[PATH] is State.DELETED
    assert update(folder, wanted)[PATH] is State.DELETED
    assert not (folder / PATH).exists()
    assert update(folder, wanted, restore=True)[PATH] is State.NEW
    assert texts(folder) == wanted


def test_new_file_is_written(tmp_path, files, later):
    folder = tmp_path / "other"
    bring(folder, without(files, PATH))
    assert update(folder, later)[PATH] is State.NEW
    assert texts(folder) == later


def test_own_file_with_path_of_new_file_is_a_conflict(tmp_path, files, later):
    folder = tmp_path / "other"
    bring(folder, without(files, PATH))
    (folder / PATH).write_text("my own\n")
    assert update(folder, later)[PATH] is State.CONFLICT
    text = (folder / PATH).read_text()
    assert "my own\n" in text
    assert later[PATH] in text


def test_only_unedited_orphans_are_removed(folder, later):
    append(folder / PATH)
    fewer = without(without(later, PATH), "model_sample.py")
    states = update(folder, fewer)
    assert states[PATH] is State.LEFT
    assert states["model_sample.py"] is State.ORPHAN
    assert not (folder / "model_sample.py").exists()
    assert (folder / PATH).read_text().endswith("mine\n")
    assert PATH not in update(folder, fewer)  # it is the user's alone now


def test_other_files_are_unchanged(folder, later):
    (folder / "notes.md").write_bytes(b"\xff\r\n")
    update(folder, later)
    assert (folder / "notes.md").read_bytes() == b"\xff\r\n"


def test_permissions_are_kept(folder, later):
    (folder / PATH).chmod(0o750)
    update(folder, later)
    assert (folder / PATH).stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("kind", ["link", "link to a folder", "folder", "bytes"])
def test_file_that_is_not_text_stops_update(tmp_path, folder, later, kind):
    outside = tmp_path / "outside.py"
    outside.write_text("not yours\n")
    path = folder / PATH
    if kind == "link to a folder":
        (folder / "tests").rename(tmp_path / "elsewhere")
        (folder / "tests").symlink_to(tmp_path / "elsewhere")
    else:
        path.unlink()
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "folder":
        path.mkdir()
    elif kind == "bytes":
        path.write_bytes(b"# caf\xe9\n")
    follow(folder, later)
    everything = {p: p.lstat().st_mtime_ns for p in tmp_path.rglob("*")}
    with pytest.raises(UserError, match="not written by xlmgen"):
        update_only(folder, later)
    assert outside.read_text() == "not yours\n"
    now = {p: p.lstat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert now.keys() == everything.keys()
    assert all(now[p] == everything[p] for p in now if not p.is_dir())


def update_only(folder, files):
    with exclusive(folder):
        write(folder, updates(folder, files))


def test_family_folder_can_be_a_link(tmp_path, folder, later):
    (tmp_path / "link").symlink_to(folder)
    update(tmp_path / "link", later)
    assert (tmp_path / "link").is_symlink()
    assert texts(folder) == later


@pytest.mark.parametrize("lock", [None, "{}\n", "<<<<<<< ours\n"])
def test_update_without_lock_is_refused(folder, later, lock):
    (folder / LOCK).unlink()
    if lock is not None:
        (folder / LOCK).write_text(lock)
    with pytest.raises(UserError, match=r"family\.lock"):
        updates(folder, later)


def test_planning_writes_nothing(folder, later):
    append(folder / PATH)
    before = {path: path.stat().st_mtime_ns for path in folder.parent.rglob("*")}
    planned = updates(folder, later)
    assert State.MERGED in {change.state for change in planned}
    assert {p: p.stat().st_mtime_ns for p in folder.parent.rglob("*")} == before


def test_unwritable_folder_is_reported(folder, later, monkeypatch):
    append(folder / PATH)
    before = texts(folder)

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"cannot write .*: Permission denied"):
        update_only(folder, later)
    assert texts(folder) == before
