"""`xlmgen update`: merges a new render and edits without losing a line."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlmgen.cli import main
from xlmgen.render import render
from xlmgen.render.drift import drift
from xlmgen.spec.family import read_family

SPEC = Path(__file__).parents[1] / "specs" / "positive" / "mdlm.yaml"


@pytest.fixture
def family(tmp_path, monkeypatch, capsys):
    """Render a family to `families` of the current folder."""
    monkeypatch.chdir(tmp_path)
    assert main(["new", str(SPEC)]) == 0
    capsys.readouterr()
    return Path("families/mdlm")


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")


def append(path, text="# mine\n"):
    path.write_text(path.read_text("utf-8") + text, "utf-8")


def texts(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_edit_and_changed_spec_are_merged(family, capsys):
    append(family / "predictor_mdlm.py")
    edit(family / "family.yaml", "steps: 128", "steps: 64")
    assert main(["update", str(family)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"predictor_mdlm\.py +merged", out)
    text = (family / "predictor_mdlm.py").read_text()
    assert "steps: int = 64," in text
    assert text.endswith("# mine\n")
    assert main(["check", str(family)]) == 0
    assert "XG302" in capsys.readouterr().out


def test_second_update_changes_nothing(family, capsys):
    append(family / "predictor_mdlm.py")
    edit(family / "family.yaml", "steps: 128", "steps: 64")
    main(["update", str(family)])
    before = {path: path.stat().st_mtime_ns for path in family.rglob("*")}
    capsys.readouterr()
    assert main(["update", str(family)]) == 0
    assert f"0 of {len(texts(family))} files written" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in family.rglob("*")} == before


def test_conflict_is_listed_by_update_and_check(family, capsys):
    edit(family / "predictor_mdlm.py", "steps: int = 128", "steps: int = 99")
    edit(family / "family.yaml", "steps: 128", "steps: 64")
    assert main(["update", str(family)]) == 1
    place = "families/mdlm/predictor_mdlm.py:43:1  XG306"
    said = capsys.readouterr()
    assert place in said.err
    assert said.out.endswith("families/mdlm, 1 of them with conflicts to resolve\n")
    before = texts(family)
    assert main(["update", str(family)]) == 1
    error = capsys.readouterr().err
    assert "families/mdlm/predictor_mdlm.py:43" in error
    assert "nothing was written" in error
    assert texts(family) == before
    assert main(["check", str(family)]) == 1
    assert place in capsys.readouterr().out


def test_suggested_way_to_drop_edits_works(family, capsys):
    edit(family / "predictor_mdlm.py", "steps: int = 128", "steps: int = 99")
    edit(family / "family.yaml", "steps: 128", "steps: 64")
    main(["update", str(family)])
    capsys.readouterr()
    assert main(["update", str(family), "--restore"]) == 1
    advice = f"xlmgen update {family} --restore"
    assert f"delete it and run `{advice}`" in capsys.readouterr().err
    (family / "predictor_mdlm.py").unlink()
    assert main(advice.split()[1:]) == 0
    assert "steps: int = 64" in (family / "predictor_mdlm.py").read_text()


@pytest.mark.parametrize("conflict", [False, True])
@pytest.mark.parametrize("option", ["--dry-run", "--diff"])
def test_dry_run_shows_what_update_does(family, capsys, option, conflict):
    edit(family / "family.yaml", "steps: 128", "steps: 64")
    if conflict:
        edit(family / "predictor_mdlm.py", "steps: int = 128", "steps: int = 99")
    append(family / "predictor_mdlm.py")
    before = texts(family.parent)
    assert main(["update", str(family), option]) == int(conflict)
    shown = capsys.readouterr()
    assert texts(family.parent) == before
    assert ("XG306" in shown.err) == conflict
    assert main(["update", str(family)]) == int(conflict)
    done = capsys.readouterr()
    if option == "--dry-run":
        assert shown.out.replace("would be written", "written") == done.out
    else:
        assert "+        steps: int = 64," in shown.out
        assert "-# mine" not in shown.out
        assert "family.lock" not in shown.out
    assert shown.err == done.err


def test_deleted_file_is_written_with_restore_only(family, capsys):
    append(family / "loss_mdlm.py")
    (family / "README.md").unlink()
    assert main(["update", str(family)]) == 0
    assert re.search(r"README\.md +deleted: left out", capsys.readouterr().out)
    assert main(["check", str(family)]) == 1
    advice = "xlmgen update families/mdlm --restore"
    assert f"`{advice}`" in capsys.readouterr().out
    assert main(advice.split()[1:]) == 0
    assert main(["check", str(family)]) == 0


def test_suggestions_of_check_and_new_work(family, capsys):
    append(family / "loss_mdlm.py")
    edit(family / "family.yaml", "steps: 128", "steps: 64")
    assert main(["check", str(family)]) == 1
    assert "run `xlmgen update families/mdlm`" in capsys.readouterr().out
    assert main(["new", str(family / "family.yaml")]) == 1
    assert "`xlmgen update families/mdlm`, which merges" in capsys.readouterr().err
    assert main(["update", "families/mdlm"]) == 0
    assert main(["check", str(family)]) == 0


def test_edited_orphan_is_reported(family, capsys):
    append(family / "loss_mdlm.py")
    family.rename("families/mine")
    edit(Path("families/mine/family.yaml"), "name: mdlm", "name: mine")
    assert main(["update", "families/mine"]) == 1
    captured = capsys.readouterr()
    assert "families/mine/loss_mdlm.py:1:1  XG304" in captured.err
    assert "move the edit to another file" in captured.err
    assert Path("families/mine/loss_mdlm.py").read_text().endswith("# mine\n")
    assert not Path("families/mine/model_mdlm.py").exists()
    assert main(["check", "families/mine"]) == 0
    assert "loss_mdlm.py:1:1  XG304" in capsys.readouterr().out
    assert main(["update", "families/mine"]) == 0


def test_several_families_are_updated_independently(family, capsys):
    shutil.copytree(family, "other/mdlm")
    shutil.copytree(family, "third/mdlm")
    edit(Path("other/mdlm/family.yaml"), "weight: schedule", "weight: schedul")
    edit(Path("third/mdlm/family.yaml"), "steps: 128", "steps: 64")
    assert main(["update", "families/mdlm", "other/mdlm", "third/mdlm"]) == 1
    captured = capsys.readouterr()
    assert "other/mdlm/family.yaml:12:30  XG104" in captured.err
    assert "steps: int = 64," in Path("third/mdlm/predictor_mdlm.py").read_text()


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("families/nope", "there is no folder families/nope"),
        ("families/mdml", "did you mean 'families/mdlm'?"),
        ("mdlm", "there is no folder mdlm; did you mean 'families/mdlm'?"),
        ("families", "no family.yaml; name the folder of one family"),
        ("families/mdlm/family.yaml", "name its folder: families/mdlm"),
        ("families/renamed", "names the family 'mdlm', its folder does not"),
        ("families/plain/mdlm", "it is not rendered; run `xlmgen new"),
    ],
)
def test_unupdatable_folder_is_one_line(family, capsys, argument, said):
    shutil.copytree(family, "families/renamed")
    Path("families/plain/mdlm").mkdir(parents=True)
    shutil.copy(SPEC, "families/plain/mdlm/family.yaml")
    before = texts(Path())
    assert main(["update", argument]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert texts(Path()) == before


def test_update_in_current_folder(family, monkeypatch):
    append(family / "predictor_mdlm.py")
    edit(family / "family.yaml", "steps: 128", "steps: 64")
    monkeypatch.chdir(family)
    assert main(["update", "."]) == 0
    assert "steps: int = 64," in Path("predictor_mdlm.py").read_text()


def test_interrupted_write_is_reported_and_undone(family, capsys):
    append(family / "predictor_mdlm.py")
    edit(family / "family.yaml", "steps: 128", "steps: 64")
    before = texts(family)
    killed = """
import os, sys
from pathlib import Path
from xlmgen.cli import main
real, calls = Path.replace, []
def replace(self, target):
    calls.append(target)
    if len(calls) == 3:
        os._exit(9)
    return real(self, target)
Path.replace = replace
main(["update", "families/mdlm"])
"""
    done = subprocess.run([sys.executable, "-c", killed], capture_output=True)
    assert done.returncode == 9
    assert texts(family) != before
    assert main(["check", str(family)]) == 1
    assert "family.yaml:1:1  XG307" in capsys.readouterr().out
    assert main(["update", str(family)]) == 0
    assert [path.name for path in Path("families").iterdir()] == ["mdlm"]
    text = (family / "predictor_mdlm.py").read_text()
    assert "steps: int = 64," in text
    assert text.endswith("# mine\n")
    assert text.count("# mine") == 1


SPECS = (
    ("steps: 128", "steps: 64"),
    ("order: random", "order: top_prob"),
    ("time: adaln", "norm: rms"),
    ("dropout: 0.1", "dropout: 0.0"),
    ("d_model: 128", "d_model: 64"),
    ("eos: true", "eos: false"),
    ("kind: linear", "kind: cosine"),
    ("Masked diffusion language model", "Ein Modell für é und 語"),
)


@st.composite
def edits(draw, rendered):
    """Draw edits of rendered files; None for a deleted file."""
    paths = [path for path in sorted(rendered) if not path.startswith("family.")]
    chosen = draw(st.lists(st.sampled_from(paths), min_size=1, max_size=6, unique=True))
    result = {}
    for path in chosen:
        lines = rendered[path].splitlines(keepends=True)
        for _ in range(draw(st.integers(0, 4))):
            at = draw(st.integers(0, len(lines)))
            stop = min(len(lines), at + draw(st.integers(0, 3)))
            lines[at:stop] = [
                f"# mine é {draw(st.integers(0, 10**9))}\n"
                for _ in range(draw(st.integers(0, 2)))
            ]
        text = "".join(lines)
        if draw(st.booleans()):
            text = text.removesuffix("\n")
        if draw(st.integers(0, 4)) == 0:
            text = text.replace("\n", "\r\n")
        result[path] = None if draw(st.integers(0, 9)) == 0 else text
    return result


def mine(text):
    return Counter(re.findall(r"^# mine é \d+", text, re.MULTILINE))


@pytest.mark.slow
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_edit_is_ever_lost(tmp_path, monkeypatch, data):
    """Random edits of random files and random changes of the spec, twice."""
    monkeypatch.chdir(tmp_path)
    shutil.rmtree("families", ignore_errors=True)
    main(["new", str(SPEC)])
    folder = Path("families/mdlm")
    rendered = render(read_family(SPEC))
    edited = data.draw(edits(rendered))
    for path, text in edited.items():
        if text is None:
            (folder / path).unlink()
        else:
            (folder / path).write_bytes(text.encode())
    for _ in range(2):
        spec = SPEC.read_text("utf-8")
        for old, new in data.draw(st.lists(st.sampled_from(SPECS), unique=True)):
            spec = spec.replace(old, new)
        (folder / "family.yaml").write_text(spec, "utf-8")
        now = render(read_family(folder / "family.yaml"))
        code = main(["update", str(folder)])
        assert code in (0, 1)
        for path, text in now.items():
            found = (
                (folder / path).read_bytes().decode() if path in texts(folder) else None
            )
            if path not in edited:
                assert found == text
            elif edited[path] is None:
                assert found is None
            else:
                assert mine(edited[path]) == mine(found)
                assert ("\r\n" in edited[path]) == ("\r\n" in found)
                conflict = "<<<<<<< yours" in found
                assert code == 1 or not conflict
        if code == 1:
            return
        assert {p.code for p in drift(folder, now).problems} <= {"XG302", "XG303"}
    before = texts(folder)
    assert main(["update", str(folder)]) == 0
    assert texts(folder) == before


def test_concurrent_updates(family):
    append(family / "predictor_mdlm.py")
    edit(family / "family.yaml", "steps: 128", "steps: 64")
    command = [sys.executable, "-m", "xlmgen", "update", str(family)]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    text = (family / "predictor_mdlm.py").read_text()
    assert text.count("# mine") == 1
    assert "steps: int = 64," in text
    assert sorted(path.name for path in Path("families").iterdir()) == ["mdlm"]
