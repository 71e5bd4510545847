"""Notes on code or a task that differ from a run's copy."""

from pathlib import Path

import pytest
from rich.console import Console

from xlmgen.cli import main
from xlmgen.experiment import resolve
from xlmgen.training.train import prepare

SPEC = Path(__file__).parents[1] / "specs" / "positive" / "mdlm.yaml"


@pytest.mark.parametrize("edited", ["", "family.yaml", "predictor_mdlm.py"])
def test_note_reports_changed_family_yaml(project, edited):
    main(["new", str(SPEC)])
    folder = project / "families" / "mdlm"
    if edited:
        file = folder / edited
        file.write_text(file.read_text().replace("128", "64"))
    console = Console(record=True, quiet=False, width=300)
    experiment = resolve("toy.yaml", ["family=mdlm"])
    prepare(experiment, project / "run", console, ())
    noted = "to render it again, run" in console.export_text()
    assert noted == (edited == "family.yaml")


@pytest.mark.parametrize("edited", ["", "title", "gone"])
def test_note_reports_changed_task(project, edited):
    task = project / "toy_task.yaml"
    for number in range(2):
        console = Console(record=True, quiet=False, width=300)
        prepare(resolve("toy.yaml"), project / "run", console, ())
        noted = "its own copy in" in console.export_text()
        assert noted == (number == 1 and edited == "title")
        if edited == "title":
            task.write_text(task.read_text() + "title: More\n")
        elif edited == "gone":
            task.unlink(missing_ok=True)
