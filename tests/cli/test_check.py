"""`xlmgen check`: problems, formats and exit codes."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from xlmgen import resources
from xlmgen.cli import formats, main
from xlmgen.spec.diagnostics import CODES, Diagnostic
from xlmgen.spec.load import load_yaml
from xlmgen.spec.validate import validate

SPECS = Path(__file__).parents[1] / "specs"
GOOD = (SPECS / "positive" / "mdlm.yaml").read_text("utf-8")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def rendered(here, capsys):
    """Render a family to ./families/mdlm."""
    Path("mdlm.yaml").write_text(GOOD)
    assert main(["new", "mdlm.yaml"]) == 0
    capsys.readouterr()
    return here / "families" / "mdlm"


def bad(text="schedul"):
    Path("bad.yaml").write_text(GOOD.replace("weight: schedule", f"weight: {text}"))


def test_problem_is_shown_with_line_and_carets(capsys):
    bad()
    assert main(["check", "bad.yaml"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "bad.yaml:12:30  XG104  loss.weight: 'schedul' is not one of 'none', "
        "'schedule', 'context', 'schedule_context'; did you mean 'schedule'?",
        " 12 | loss: {kind: masked, weight: schedul}",
        "    |                              ^^^^^^^",
        "1 file checked: 1 error",
    ]


def test_all_problems_of_all_files_are_reported(capsys):
    bad()
    Path("worse.yaml").write_text(GOOD.replace("num_heads: 4", "num_heads: 0, x: 1"))
    assert main(["check", "bad.yaml", "worse.yaml"]) == 1
    out = capsys.readouterr().out
    for code, file in (("XG104", "bad"), ("XG105", "worse"), ("XG101", "worse")):
        assert any(f"{file}.yaml:" in line and code in line for line in out.split("\n"))
    assert out.endswith("2 files checked: 3 errors\n")


def test_carets_are_aligned_below_wide_characters_and_tabs():
    text = "spec: xlmgen/family/v1\ntitle: 漢字\nx: {漢字: 1, loss: 2}\n"
    problems = validate(load_yaml("x.yaml", text), "family")
    problem = next(p for p in problems if p.message.startswith("unknown key 'x'"))
    assert formats.source(problem)[1] == "    | ^"
    inner = Diagnostic("f", 1, 6, 8, "XG101", "", "m", "", "{漢字: ab}")
    line, marks = formats.source(inner)
    assert marks.index("^") == line.index("a") + 2
    assert marks.count("^") == 2


def test_long_line_is_cut_around_problem():
    line = "x" * 500 + "HERE" + "x" * 500
    problem = Diagnostic("f", 7, 501, 505, "XG101", "", "m", "", line)
    shown, marks = formats.source(problem)
    assert len(shown) < 120
    start = marks.index("^")
    assert shown[start : start + marks.count("^")] == "HERE"


def test_terminal_escapes_in_spec_are_not_printed(capsys):
    Path("x.yaml").write_text(f'{GOOD}"a\\e[31m": "\\e[2J"\n')
    Path("y.yaml").write_text(f"{GOOD}a: \x1b[31m\n")
    assert main(["check", "x.yaml", "y.yaml"]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_output_is_coloured_in_terminal_only(capsys, monkeypatch):
    bad()
    main(["check", "bad.yaml"])
    assert "\x1b[" not in capsys.readouterr().out
    monkeypatch.setattr("xlmgen.cli.printing.is_terminal", lambda stream: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    main(["check", "bad.yaml"])
    out = capsys.readouterr().out
    assert "\x1b[" in out
    assert "XG104" in out


def test_json_has_every_field(capsys):
    bad()
    assert main(["check", "bad.yaml", "--format", "json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {
        "file": "bad.yaml",
        "line": 12,
        "col": 30,
        "end_col": 37,
        "code": "XG104",
        "path": "loss.weight",
        "message": "'schedul' is not one of 'none', 'schedule', 'context', "
        "'schedule_context'",
        "fix": "did you mean 'schedule'?",
        "severity": "error",
    }
    Path("good.yaml").write_text(GOOD)
    assert main(["check", "good.yaml", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_github_annotations_are_escaped():
    problem = Diagnostic("a,b:c.yaml", 1, 2, 3, "XG302", "p", "50% \r\n::error::x")
    line = formats.github([problem])
    assert line == (
        "::warning file=a%2Cb%3Ac.yaml,line=1,col=2,endColumn=3,title=XG302"
        r"::p: 50%25 \r\n::error::x"
    )


def test_sarif_has_rules_and_positions(capsys):
    shutil.copytree(SPECS / "negative", "sp ecs")
    assert main(["check", "sp ecs", "--format", "sarif"]) == 1
    log = json.loads(capsys.readouterr().out)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == sorted({result["ruleId"] for result in run["results"]})
    assert len(rules) >= 15
    for result in run["results"]:
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"].startswith("sp%20ecs/")
        region = place["region"]
        assert 1 <= region["startColumn"] < region["endColumn"]
        assert result["level"] in ("error", "warning")


def test_every_used_code_is_documented():
    source = Path(formats.__file__).parents[1]
    used = {
        code
        for path in source.rglob("*.py")
        if path.name != "diagnostics.py"
        for code in re.findall(r'"(XG\d{3})"', path.read_text("utf-8"))
    }
    assert used == set(CODES)


def test_folder_is_searched_for_specs(capsys):
    Path("deep/er").mkdir(parents=True)
    Path("deep/er/mine.yml").write_text(GOOD)
    Path("deep/other.yaml").write_text("a: [broken\n")  # not ours
    Path("deep/.hidden").mkdir()
    Path("deep/.hidden/bad.yaml").write_text("spec: xlmgen/family/v1\n")
    assert main(["check", "deep"]) == 0
    assert capsys.readouterr().out == "1 file checked: no problems\n"


def test_kind_of_file_follows_spec_line_or_keys(capsys):
    Path("t.yaml").write_text("spec: xlmgen/task/v1\n")
    Path("e.yaml").write_text(
        "family: mdlm\ntask: star_tiny\nsize: tiny\ntraining: {}\n"
    )
    assert main(["check", "t.yaml", "e.yaml"]) == 1
    out = capsys.readouterr().out
    assert "t.yaml:1:1  XG102  missing key 'layout'" in out
    assert (
        "e.yaml:1:1  XG102  missing key 'spec'; write spec: xlmgen/experiment/v1" in out
    )


@pytest.mark.parametrize("arguments", [["nope"], ["empty"], []])
def test_uncheckable_path_is_one_line_with_exit_code_2(capsys, arguments):
    Path("empty").mkdir()
    assert main(["check", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
def test_pipe_does_not_hang(capsys):
    os.mkfifo("pipe.yaml")
    assert main(["check", "pipe.yaml"]) == 1
    assert "XG001" in capsys.readouterr().out


def test_rendered_family_passes_and_is_checked_by_default(rendered, capsys):
    assert main(["check", "--strict"]) == 0
    assert "no problems" in capsys.readouterr().out


def test_edit_fails_only_with_strict(rendered, capsys):
    path = rendered / "loss_mdlm.py"
    path.write_text(path.read_text() + "# mine\n")
    assert main(["check", "--diff"]) == 0
    out = capsys.readouterr().out
    assert "XG302" in out
    assert "+# mine" in out
    assert main(["check", "--strict"]) == 1


def test_changed_spec_makes_render_stale(rendered, capsys):
    spec = rendered / "family.yaml"
    spec.write_text(spec.read_text().replace("steps: 128", "steps: 64"))
    assert main(["check"]) == 1
    assert "predictor_mdlm.py" in capsys.readouterr().out
    assert main(["new", str(spec)]) == 0
    assert main(["check", "--strict"]) == 0


def test_missing_file_fails(rendered, capsys):
    (rendered / "model_mdlm.py").unlink()
    assert main(["check"]) == 1
    assert "XG303" in capsys.readouterr().out


def test_folder_of_other_name_fails(rendered, capsys):
    rendered.rename(rendered.parent / "other")
    assert main(["check"]) == 1
    assert "XG110" in capsys.readouterr().out


def test_free_standing_spec_can_have_any_file_name(capsys):
    Path("whatever").mkdir()
    Path("whatever/family.yaml").write_text(GOOD)
    assert main(["check", "whatever"]) == 0


def test_checking_changes_no_file(rendered, here):
    (rendered / "loss_mdlm.py").write_text("mine\n")
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in here.rglob("*")}
    main(["check", "--diff"])
    main(["check", str(here), "--strict"])
    after = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in here.rglob("*")}
    assert after == before


@pytest.mark.parametrize("path", sorted((SPECS / "negative").glob("*.yaml")))
def test_invalid_specs_neither_write_nor_raise(path, here, capsys):
    assert main(["new", str(path)]) == 1
    captured = capsys.readouterr()
    assert "XG" in captured.err
    assert captured.out == ""
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"family": "mdml"}, "2:9  XG202  family: there is no family 'mdml'"),
        ({"task": "star_tinny"}, "3:7  XG202  task: there is no task 'star_tinny'"),
        ({"size": "tinny"}, "4:7  XG202  size: the family mdlm has no size 'tinny'"),
        ({"family": "./mdlm"}, "2:9  XG202  family: there is no family.yaml in"),
        ({"task": "./star.yaml"}, "3:7  XG202  task: there is no task file"),
        ({"predictor": "{step: 3}"}, "5:19  XG202  predictor.step: unknown key 'step'"),
        ({"model": "{d_model: 7}"}, "5:1  XG202  model.num_heads: d_model 7 is not"),
    ],
)
def test_missing_family_or_task_of_experiment_is_reported(
    tmp_path, monkeypatch, capsys, change, said
):
    names = {"family": "mdlm", "task": "star_tiny", "size": "tiny"}
    for found in (names, names | change):
        lines = [f"{key}: {value}" for key, value in found.items()]
        text = "\n".join(["spec: xlmgen/experiment/v1", *lines, ""])
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        code = main(["check", "mine.yaml"])
        out = capsys.readouterr().out
        assert (said in out) == (found != names)
        assert code == (found != names)


def test_problems_of_family_are_reported_with_experiment(here, capsys):
    """Each is reported once, whichever of the files are named."""
    text = GOOD.replace("name: mdlm", "name: mine").replace("weight: sch", "weight: ch")
    Path("families/mine").mkdir(parents=True)
    Path("families/mine/family.yaml").write_text(text)
    Path("t.yaml").write_text("spec: xlmgen/task/v1\nname: t\nlayout: ml\n")
    names = "family: ./families/mine\ntask: ./t.yaml\nsize: tiny\n"
    Path("mine.yaml").write_text(f"spec: xlmgen/experiment/v1\n{names}")
    for named in (["mine.yaml"], ["t.yaml", "mine.yaml"], [str(here)]):
        assert main(["check", *named]) == 1
        out = capsys.readouterr().out
        assert out.count("families/mine/family.yaml:12:30  XG104") == 1
        assert out.count("t.yaml:3:9  XG104  layout: 'ml' is not") == 1
    assert "XG202" not in out


@pytest.mark.parametrize(
    ("collator", "packing", "fix"),
    [
        ("{kind: dropping}", "none", None),
        ("{kind: dropping}", "packed", None),
        ("{kind: dropping}", "documents", "set packing: packed or none in the task"),
        ("{kind: dropping, eos: true}", "none", None),
        ("{kind: dropping, eos: true}", "packed", "set packing: none in the task"),
        ("{kind: dropping, eos: true}", "documents", "set packing: none in the task"),
    ],
)
def test_unsupported_packing_is_reported(capsys, collator, packing, fix):
    """`xlmgen train` reports the same before it reads data."""
    source = resources.root() / "families" / "ilm"
    shutil.copytree(source, "families/ilm")
    spec = Path("families/ilm/family.yaml")
    spec.write_text(re.sub(r"collator: .*", f"collator: {collator}", spec.read_text()))
    Path("t.yaml").write_text(
        "spec: xlmgen/task/v1\nname: t\nlayout: lm\nmax_length: {length: 16}\n"
        "source: {files: {train: no_such_file.txt}}\ntokenizer: {kind: byte}\n"
        f"packing: {packing}\n"
    )
    names = "family: ./families/ilm\ntask: ./t.yaml\nsize: tiny\n"
    Path("mine.yaml").write_text(f"spec: xlmgen/experiment/v1\n{names}")
    assert main(["check", "mine.yaml"]) == (fix is not None)
    out = capsys.readouterr().out
    said = f"XG202  task: the family ilm does not support packing: {packing}; "
    assert (said in out) == (fix is not None)
    assert not fix or f"; {fix}\n" in out
    assert main(["train", "mine.yaml"]) != 0
    err = capsys.readouterr().err
    assert ("does not support packing" in err) == (fix is not None)
    assert ("no_such_file.txt" in err) == (fix is None)
    assert not Path("runs").exists()
