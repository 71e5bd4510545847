"""`xlmgen check` of a folder with runs."""

from pathlib import Path

from xlmgen.cli import main
from xlmgen.render.plan import EXPERIMENTS
from xlmgen.runs.run import EXPERIMENT, VERSIONS

SPEC = Path(__file__).parents[1] / "specs" / "positive" / "mdlm.yaml"


def test_copies_in_runs_are_not_compared_with_templates(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["new", str(SPEC)])
    main(["new", str(SPEC), "--out", "runs/one/families"])
    Path("runs/one/families/mdlm/model_mdlm.py").write_text("older\n")
    assert main(["check", ".", "--strict"]) == 1
    for name in (EXPERIMENT, VERSIONS):
        Path("runs/one", name).write_text("")
    capsys.readouterr()
    files = 1 + len(EXPERIMENTS)
    assert main(["check", ".", "--strict"]) == 0
    assert capsys.readouterr().out == f"{files} files checked: no problems\n"
