"""Writing a render is atomic and loses nothing."""

import os
from pathlib import Path

import pytest

from xlmgen.errors import UserError
from xlmgen.render import render
from xlmgen.render.changes import State, changes

from .conftest import bring, make_family


def snapshot(folder):
    """Return every path below a folder with its content, links with their targets."""
    return {
        path.relative_to(folder).as_posix(): (
            os.readlink(path) if path.is_symlink() else path.read_bytes()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def states(folder, files):
    return {change.path: change.state for change in changes(folder, files)}


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def files(family, templates):
    return render(family, templates)


@pytest.fixture
def later(templates):
    """Render the same family with another number of steps."""
    return render(make_family(steps=16), templates)


@pytest.fixture
def written(out, files) -> Path:
    bring(out / "sample", files)
    return out / "sample"


def test_first_render_writes_all_files(out, written, files):
    assert snapshot(out) == {f"sample/{k}": v.encode() for k, v in files.items()}
    assert set(states(written, files).values()) == {State.UNCHANGED}


def test_files_and_folders_have_default_permissions(written, out):
    plain = out / "plain"
    plain.mkdir()
    (plain / "file").write_text("")
    assert written.stat().st_mode == plain.stat().st_mode
    rights = (written / "__init__.py").stat().st_mode
    assert rights == (plain / "file").stat().st_mode


def test_second_write_changes_nothing(written, files):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    bring(written, files)
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


def test_unedited_file_is_updated(written, later):
    assert states(written, later)["loss_sample.py"] is State.STALE
    bring(written, later)
    assert snapshot(written) == {path: text.encode() for path, text in later.items()}


@pytest.mark.parametrize("path", ["loss_sample.py", "README.md", "family.yaml"])
def test_edited_file_stops_write(out, written, later, path):
    (written / path).write_text("mine\n")
    before = snapshot(out)
    with pytest.raises(UserError) as caught:
        bring(written, later)
    assert str(written / path) in str(caught.value)
    assert caught.value.exit_code == 1
    assert snapshot(out) == before


def test_spec_edited_in_place_is_rendered(written, later):
    """`xlmgen new families/x/family.yaml`: the source is the file itself."""
    (written / "family.yaml").write_text(later["family.yaml"])
    bring(written, later)
    assert snapshot(written) == {path: text.encode() for path, text in later.items()}


def test_foreign_file_is_not_overwritten(out, files):
    folder = out / "sample"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("mine\n")
    before = snapshot(out)
    with pytest.raises(UserError, match="not written by xlmgen"):
        bring(folder, files)
    assert snapshot(out) == before


def test_invalid_lock_makes_changed_files_foreign(written, later):
    (written / "family.lock").write_text("{}\n")
    before = snapshot(written)
    with pytest.raises(UserError, match=r"family\.lock"):
        bring(written, later)
    assert snapshot(written) == before


def test_other_files_are_kept(written, later):
    (written / "notes.md").write_text("mine\n")
    (written / "experiments" / "mine.yaml").write_text("mine\n")
    bring(written, later)
    assert (written / "notes.md").read_text() == "mine\n"
    assert (written / "experiments" / "mine.yaml").read_text() == "mine\n"


def without_model(files, family):
    """Return a later render without the model file."""
    from xlmgen.render.lock import lock_text

    kept = {
        p: t for p, t in files.items() if p not in ("model_sample.py", "family.lock")
    }
    return kept | {"family.lock": lock_text(family.source, kept)}


def test_unedited_orphan_is_removed(written, files, family):
    fewer = without_model(files, family)
    assert states(written, fewer)["model_sample.py"] is State.ORPHAN
    bring(written, fewer)
    assert snapshot(written) == {path: text.encode() for path, text in fewer.items()}


def test_edited_orphan_is_kept(written, files, family):
    (written / "model_sample.py").write_text("mine\n")
    bring(written, without_model(files, family))
    assert (written / "model_sample.py").read_text() == "mine\n"


@pytest.mark.parametrize("kind", ["file", "folder", "dangling"])
def test_links_out_of_the_folder_are_not_followed(tmp_path, written, later, kind):
    outside = tmp_path / "outside"
    outside.mkdir()
    if kind == "folder":
        for path in (written / "tests").iterdir():
            path.rename(outside / path.name)
        (written / "tests").rmdir()
        (written / "tests").symlink_to(outside)
    else:
        target = outside / "target.py"
        if kind == "file":
            target.write_text((written / "loss_sample.py").read_text())
        (written / "loss_sample.py").unlink()
        (written / "loss_sample.py").symlink_to(target)
    before = snapshot(tmp_path)
    with pytest.raises(UserError):
        bring(written, later)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("obstacle", ["loss_sample.py", "tests"])
def test_folder_instead_of_file_or_reverse_is_refused(out, files, obstacle):
    folder = out / "sample"
    folder.mkdir(parents=True)
    if obstacle == "tests":
        (folder / obstacle).write_text("a file\n")
    else:
        (folder / obstacle).mkdir()
    before = snapshot(out)
    with pytest.raises(UserError):
        bring(folder, files)
    assert snapshot(out) == before


def test_file_instead_of_folder_is_refused(out, files):
    out.mkdir()
    (out / "sample").write_text("mine\n")
    with pytest.raises(UserError):
        bring(out / "sample", files)
    assert snapshot(out) == {"sample": b"mine\n"}


@pytest.mark.parametrize("existing", [False, True])
def test_failing_disk_leaves_folder_unchanged(out, files, later, existing, monkeypatch):
    folder = out / "sample"
    if existing:
        bring(folder, files)
    out.mkdir(exist_ok=True)
    before = snapshot(out)
    real, calls = Path.write_bytes, []

    def full(self, data):
        calls.append(self)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        bring(folder, later)
    assert snapshot(out) == before
    assert [path for path in out.iterdir() if path.name.startswith(".")] == []


def test_interrupted_write_can_be_repeated(written, later, monkeypatch):
    real, calls = Path.replace, []

    def killed(self, target):
        calls.append(target)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            bring(written, later)
    bring(written, later)
    assert snapshot(written) == {path: text.encode() for path, text in later.items()}
