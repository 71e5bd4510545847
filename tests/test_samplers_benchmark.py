"""The benchmark of samplers measures every option, and continues where it stopped."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import samplers  # noqa: E402
from benchmarks.sample import measure  # noqa: E402
from benchmarks.sample.options import PANELS, SAMPLERS  # noqa: E402

SMALL = ["--tokens", "4", "--length", "16", "--rows", "3"]
RANDOM = next(sampler for sampler in SAMPLERS if sampler.name == "random")


def run(folder, *options):
    return samplers.main(["run", "--results", str(folder), *SMALL, *options])


def points(folder):
    return json.loads((folder / "results.json").read_text("utf-8"))["points"]


@pytest.mark.slow
def test_every_sampler_is_measured_at_every_value(tmp_path):
    assert run(tmp_path) == 0
    expected = [(s.name, value) for s in SAMPLERS for value in s.values]
    assert sorted((p["name"], p["value"]) for p in points(tmp_path)) == sorted(expected)
    for point in points(tmp_path):
        assert 0 < point["passes"] <= 128
        assert 0 <= point["tv"] <= 1


@pytest.mark.parametrize(
    "name", [s.name for s in SAMPLERS if len(s.values) == 1 and s.panel in PANELS]
)
def test_samplers_of_one_token_per_pass_are_exact(name):
    sampler = next(sampler for sampler in SAMPLERS if sampler.name == name)
    setting = measure.Setting(tokens=4, length=16, rows=3)
    point = measure.measure(sampler, sampler.values[0], setting)
    assert point["passes"] == 16
    assert abs(point["kl"]) < 1e-9


def test_run_continues_and_measures_again(tmp_path, monkeypatch, capsys):
    measured = []

    def counted(sampler, value, setting):
        measured.append(value)
        if len(measured) == 2:
            raise KeyboardInterrupt
        return {"name": sampler.name, "value": value, "passes": float(value)}

    monkeypatch.setattr(samplers, "measure", counted)
    assert run(tmp_path, "--only", "random") == 130
    assert "continues" in capsys.readouterr().err
    assert run(tmp_path, "--only", "random") == 0
    assert measured == [RANDOM.values[0], RANDOM.values[1], *RANDOM.values[1:]]
    assert [p["value"] for p in points(tmp_path)] == list(RANDOM.values)
    measured.append(0)
    assert run(tmp_path, "--only", "random", "--again") == 0
    assert measured[-len(RANDOM.values) :] == list(RANDOM.values)


def test_results_of_another_chain_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        samplers, "measure", lambda *_: {"name": "random", "value": 4, "passes": 1.0}
    )
    assert run(tmp_path, "--only", "random") == 0
    assert run(tmp_path, "--only", "random", "--seed", "1") == 2
    assert "measured with seed 0, not 1" in capsys.readouterr().err


def test_report_writes_figure_and_tables(tmp_path):
    if (ROOT / "benchmarks/samplers/results.json").is_file():
        results = samplers.read(ROOT / "benchmarks/samplers/results.json")
    else:
        pytest.skip("no results")
    (tmp_path / "results.json").write_text(json.dumps(results), "utf-8")
    page = tmp_path / "page.md"
    page.write_text("<!-- runs: samplers -->\n<!-- end -->\n", "utf-8")
    arguments = ["report", "--results", str(tmp_path), "--page", str(page)]
    assert samplers.main(arguments) == 0
    text = page.read_text("utf-8")
    assert all(f"| {sampler.name} |" in text for sampler in SAMPLERS)
    written = (ROOT / "docs/samplers.md").read_text("utf-8")
    assert text.strip() in written


@pytest.mark.parametrize(
    ("passes", "expected"), [(8, 0.4), (16, 0.2), (32, 0.1), (4, None), (64, None)]
)
def test_between_two_near_points_the_logarithm_is_linear(passes, expected):
    known = [
        {"passes": 8.0, "kl": 0.4},
        {"passes": 18.0, "kl": 0.4 * 8 / 18},
        {"passes": 32.0, "kl": 0.1},
        {"passes": 128.0, "kl": 0.01},
    ]
    found = samplers.at_passes(known, "kl", passes)
    assert found == (None if expected is None else pytest.approx(expected))
