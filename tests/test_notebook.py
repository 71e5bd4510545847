"""The notebook runs from a fresh folder."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "star_graphs.ipynb"
CELLS = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]


def test_notebook_has_no_outputs_and_cells_are_plain_python():
    for cell in CELLS:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            compile(source, cell["id"], "exec")
        assert max(map(len, source.splitlines())) <= 92


@pytest.mark.slow
def test_cells_run_in_order(tmp_path, monkeypatch, capsys):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    names: dict[str, object] = {}
    for cell in CELLS:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            if "STEPS = 800" in source:
                source = source.replace("STEPS = 800", "STEPS = 2")
            exec(compile(source, cell["id"], "exec"), names)
    assert names["STEPS"] == 2
    out = capsys.readouterr().out
    assert out.count("→") == 3
    assert out.count("steps:") == 3
    assert out.count("(bound)") == 4
    assert (tmp_path / "runs/notebook/metrics.csv").is_file()
