"""An interrupted command leaves the old state or the new one, never a mix.

Commands are interrupted at every call that changes the disk; a Python audit hook sees
them all.
"""

import errno
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xlmgen.render.lock import lock_text
from xlmgen.render.transaction import interrupted
from xlmgen.spec.family import read_family
from xlmgen.spec.migrations import MIGRATIONS

from .conftest import SPECS, run, snapshot

GOOD = (SPECS / "mdlm.yaml").read_text("utf-8")
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.link"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Killed(BaseException):
    """Simulates the end of the process: later calls do not reach the disk either."""


class Stop:
    """Counts the changes of a folder and interrupts the n-th.

    Args:
        kind: `ctrl-c` interrupts once; `killed` prevents all later changes; `full`
            prevents all later writes; `read-only` prevents all later changes with
            an error.
    """

    def __init__(self, folder: Path, kind: str, at: int) -> None:
        self.folder, self.kind, self.at = str(folder), kind, at
        self.calls = 0

    def __call__(self, event: str, args: tuple) -> None:
        writes = event == "open" and (args[2] or 0) & WRITES
        if not writes and event not in CHANGES:
            return
        place = os.path.abspath(os.path.join(base(event, args), os.fsdecode(args[0])))
        if not place.startswith(self.folder):
            return
        self.calls += 1
        if self.calls == self.at and self.kind == "ctrl-c":
            raise KeyboardInterrupt
        if self.calls < self.at:
            return
        if self.kind == "killed":
            raise Killed
        if self.kind == "full" and (writes or event == "os.mkdir"):
            raise OSError(errno.ENOSPC, "No space left on device", place)
        if self.kind == "read-only":
            raise OSError(errno.EROFS, "Read-only file system", place)


def base(event: str, args: tuple) -> str:
    """Return the folder that a path is relative to, perhaps an open one."""
    if event == "open" or args[-1] == -1:
        return ""
    return os.readlink(f"/proc/self/fd/{args[-1]}")


armed: list[Stop] = []


def announce(event: str, args: tuple) -> None:
    if armed and isinstance(args[0] if args else None, str | bytes):
        armed[0](event, args)


sys.addaudithook(announce)  # there is no way to remove one


def stopped(stop: Stop, command: list[str]) -> tuple[int | None, str]:
    """Run a command that is interrupted; the code is None if it was killed."""
    armed.append(stop)
    try:
        return run(*command)
    except Killed:
        return None, ""
    finally:
        armed.clear()


def rendering(steps: int):
    """Make a fast render of four files."""

    def render(family):
        files = {
            "family.yaml": family.source,
            "model_mdlm.py": "".join(f"line {n}\n" for n in range(9)) + f"{steps}\n",
            "tests/test_mdlm.py": f"# {steps}\n",
        }
        if steps == 1:
            files["old.py"] = "# no longer rendered\n"
        else:
            files["experiments/new.yaml"] = "spec: 1\n"
        return files | {"family.lock": lock_text(family.source, files)}

    return render


def first(data):
    """Migrate from a fictitious version of families."""
    data["predictor"]["steps"] = 4 * data["predictor"].pop("fours")


def nothing_yet(monkeypatch):
    monkeypatch.setattr("xlmgen.render.render", rendering(2))
    return ["new", "../mine.yaml", "--out", "."]


def rendered(monkeypatch):
    monkeypatch.setattr("xlmgen.render.render", rendering(1))
    assert run("new", "../mine.yaml", "--out", ".")[0] == 0
    monkeypatch.setattr("xlmgen.render.render", rendering(2))
    Path("mdlm/mine.py").write_text("mine\n")
    return ["new", "mdlm/family.yaml"]


def edited(monkeypatch):
    rendered(monkeypatch)
    model = Path("mdlm/model_mdlm.py")
    model.write_text("mine\n" + model.read_text())
    Path("mdlm/tests/test_mdlm.py").unlink()
    return ["update", "mdlm"]


def misspelt(monkeypatch):
    for name in ("a", "b"):
        text = GOOD.replace("weight: schedule", "weight: schedul")
        Path(f"{name}.yaml").write_text(text, "utf-8")
    return ["check", "--fix", "a.yaml"]


def outdated(monkeypatch):
    monkeypatch.setitem(MIGRATIONS, ("family", 0), first)
    text = GOOD.replace("steps: 128", "fours: 32").replace("family/v1", "family/v0")
    Path("old.yaml").write_text(text, "utf-8")
    return ["migrate", "old.yaml"]


SCENES = [nothing_yet, rendered, edited, misspelt, outdated]
scenes = pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)


@pytest.fixture
def stage(here, monkeypatch):
    """Create the same old state repeatedly."""
    (here / "mine.yaml").write_text(GOOD, "utf-8")
    family = read_family(here / "mine.yaml")
    for command in ("new", "update"):  # reading it is tested elsewhere, and slow
        monkeypatch.setattr(f"xlmgen.cli.{command}.read_family", lambda file: family)
    numbers = itertools.count()
    commands = {}

    def make(scene, monkeypatch):
        model = here / scene.__name__
        if scene not in commands:
            model.mkdir()
            monkeypatch.chdir(model)
            commands[scene] = scene(monkeypatch)
        folder = here / f"n{next(numbers)}"
        shutil.copytree(model, folder)
        monkeypatch.chdir(folder)
        return folder, commands[scene]

    return make


def without_drafts(state):
    """Remove temporary files of a killed process from a state."""
    return {path: text for path, text in state.items() if not path.startswith(".")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ctrl-c", "full", "read-only", "killed"])
@scenes
def test_failure_leaves_old_or_new_state(stage, scene, kind, monkeypatch):
    folder, command = stage(scene, monkeypatch)
    code, _ = run(*command)
    assert code == 0
    new = snapshot(folder)
    for at in itertools.count(1):
        folder, command = stage(scene, monkeypatch)
        old = snapshot(folder)
        stop = Stop(folder, kind, at)
        code, said = stopped(stop, command)
        now = snapshot(folder)
        done, journal = without_drafts(now), interrupted(folder / "mdlm")
        assert "Traceback" not in said
        if kind in ("ctrl-c", "full") and code != 0:
            assert code == (130 if kind == "ctrl-c" else 2)
            assert now in (old, new) or (code == 130 and done == new)
        if kind == "full" and code != 0:
            assert now == old
        if code == 0:
            assert done == new
            assert kind == "read-only" or now == new
        elif not journal:
            assert done in (old, new)
        else:
            assert kind in ("killed", "read-only")
            assert code is None or "half written" in said
        if code != 0:  # and running it again makes it whole
            assert run(*command)[0] == 0
            assert without_drafts(snapshot(folder)) == new
            assert not folder.joinpath(".mdlm.undo").exists()
        if stop.calls < at:
            break
    assert at > {misspelt: 3, outdated: 3}.get(scene, 15)


@scenes
def test_read_only_folder_is_reported_and_unchanged(stage, scene, monkeypatch):
    folder, command = stage(scene, monkeypatch)
    old = snapshot(folder)
    code, said = stopped(Stop(folder, "read-only", 1), command)
    assert code == 2
    assert said.count("\n") == 1
    assert "cannot write " in said
    assert "Read-only file system" in said
    assert snapshot(folder) == old


@pytest.mark.parametrize("scene", [misspelt, outdated], ids=["fix", "migrate"])
def test_concurrent_edit_is_kept(stage, scene, monkeypatch):
    """Another program saves the file between reading and writing."""
    from xlmgen.io import files

    folder, command = stage(scene, monkeypatch)
    file = folder / command[-1]
    real = files.rewrite_text

    def late(path, old, new):
        file.write_text("mine: é\n", "utf-8")
        real(path, old, new)

    monkeypatch.setattr(files, "rewrite_text", late)
    monkeypatch.setattr("xlmgen.cli.check.rewrite_text", late)
    code, said = run(*command)
    assert code == 1
    assert "was changed by another program" in said
    assert file.read_text("utf-8") == "mine: é\n"
    assert len(list(folder.iterdir())) == (2 if scene is misspelt else 1)


def test_rewrite_does_not_follow_planted_link(here, monkeypatch):
    """It does not write to a file with the name of its temporary file either."""
    from xlmgen.io import files

    Path("outside").write_text("mine\n")
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0")
    Path(".a.yaml.0").symlink_to("outside")
    with pytest.raises(FileExistsError):
        files.write_text(here / "a.yaml", "text")
    assert Path("outside").read_text() == "mine\n"
    assert not Path("a.yaml").exists()


def test_fix_does_not_follow_links_out_of_folder(here):
    bad = GOOD.replace("weight: schedule", "weight: schedul")
    for place in ("in", "out"):
        Path(place).mkdir()
        Path(place, "a.yaml").write_text(bad, "utf-8")
    Path("in/link.yaml").symlink_to("../out/a.yaml")
    assert run("check", "--fix", "in")[0] == 1
    assert Path("in/a.yaml").read_text("utf-8") == GOOD
    assert Path("out/a.yaml").read_text("utf-8") == bad
    assert run("check", "--fix", "in/link.yaml")[0] == 0  # named, and so meant
    assert Path("out/a.yaml").read_text("utf-8") == GOOD


def test_file_instead_of_journal_is_kept(stage, monkeypatch):
    folder, command = stage(rendered, monkeypatch)
    (folder / ".mdlm.undo").mkdir()
    (folder / ".mdlm.undo" / "notes").write_text("mine\n")
    before = snapshot(folder)
    code, said = run(*command)
    assert code == 2
    assert ".mdlm.undo" in said
    assert snapshot(folder) == before


def test_names_that_differ_by_case_are_different_files(stage, monkeypatch):
    folder, command = stage(rendered, monkeypatch)
    if folder.with_name(folder.name.upper()).exists():
        pytest.skip("names of this disk have no case")
    for path in ("MODEL_mdlm.py", "OLD.py", "Family.lock", "experiments/New.yaml"):
        Path("mdlm", path).parent.mkdir(exist_ok=True)
        Path("mdlm", path).write_text("mine\n")
    assert run(*command)[0] == 0
    mine = {path for path, text in snapshot(folder).items() if text == b"mine\n"}
    assert {path.lower() for path in mine} >= {"mdlm/old.py", "mdlm/family.lock"}
    assert len(mine) == 5
    assert not Path("mdlm/old.py").exists()


@pytest.mark.slow
def test_concurrent_commands_all_succeed(here):
    """Two commands write one family, and two fix one file."""
    bad = GOOD.replace("weight: schedule", "weight: schedul")
    Path("a.yaml").write_text(bad, "utf-8")
    Path("mine.yaml").write_text(GOOD, "utf-8")
    words = [["new", "mine.yaml"], ["check", "--fix", "a.yaml"]] * 2
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "xlmgen", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for command in words
    ]
    said = [process.communicate()[1] for process in running]
    assert running[0].returncode == running[2].returncode == 0
    # the later one of two finds the file mended, or changed since it was read
    assert {running[1].returncode, running[3].returncode} <= {0, 1}
    assert not any(b"Traceback" in text for text in said)
    assert Path("a.yaml").read_text("utf-8") == GOOD
    assert run("check", "families")[0] == 0
    assert sorted(os.listdir()) == ["a.yaml", "families", "mine.yaml"]
    assert os.listdir("families") == ["mdlm"]
