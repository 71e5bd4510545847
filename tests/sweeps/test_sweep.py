"""The YAML of a sweep: its runs, their folders and commands, and its mistakes."""

from pathlib import Path

import pytest

from xlmgen.errors import UserError
from xlmgen.spec.diagnostics import SpecError
from xlmgen.sweeps.sweep import read_sweep

SWEEP = """\
spec: xlmgen/sweep/v1
experiments: [toy.yaml]
settings: {training.max_steps: 4}
vary: {training.learning_rate: [0.1, 1.0e-5], model.layers: [1, 2]}
seeds: [0, 3]
evaluate: [{}, {temperature: 0.5}]
"""


def read(text, file="grid.yaml"):
    Path(file).write_text(text, "utf-8")
    return read_sweep(Path(file), Path("runs"))


def test_every_combination_is_a_run_with_its_own_folder(project):
    runs = read(SWEEP).runs
    assert len({run.path for run in runs}) == len(runs) == 8
    assert runs[0].path.parent == Path("runs/grid")
    assert runs[0].path.name.endswith("-learning_rate=0.1-layers=1-seed0")
    found = [
        (r.experiment.training.learning_rate, r.experiment.model["layers"])
        for r in runs[:4]
    ]
    assert found == [(0.1, 1), (0.1, 2), (1e-5, 1), (1e-5, 2)]
    assert [run.experiment.training.seed for run in runs] == [0] * 4 + [3] * 4
    assert {run.experiment.training.max_steps for run in runs} == {4}
    assert [r.result_name for r in runs[0].evaluations] == [
        "test",
        "test-temperature=0.5",
    ]


def test_arguments_resolve_to_the_experiment_of_the_run(project):
    from xlmgen.experiment import resolve

    for run in read(SWEEP).runs:
        file, *overrides = run.arguments
        again = resolve(file, overrides)
        assert again.training == run.experiment.training
        assert again.model == run.experiment.model


def test_families_are_trained_on_tasks_by_their_own_experiments(project):
    text = "spec: xlmgen/sweep/v1\nfamilies: [arlm, mdlm]\ntasks: [star_tiny]\n"
    runs = read(text, "pair.yaml").runs
    assert [run.path.name for run in runs] == [
        "arlm-star_tiny-tiny-seed0",
        "mdlm-star_tiny-tiny-seed0",
    ]


def test_name_of_the_file_names_the_folder_unless_there_is_a_name(project):
    assert read(SWEEP + "name: other\n").runs[0].path.parent == Path("runs/other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("toy.yaml", "toi.yaml"), "there is no file toi.yaml"),
        (("temperature", "temperatur"), "did you mean 'temperature'"),
        (("max_steps: 4", "max_step: 4"), "did you mean 'max_steps'"),
        (("[1, 2]", "[1, two]"), "model.layers"),
        (("[1, 2]", "[1, 1.5]"), "model.layers"),
    ],
)
def test_mistake_is_reported_before_anything_runs(project, change, message):
    with pytest.raises((UserError, SpecError)) as caught:
        read(SWEEP.replace(*change))
    assert message in str(caught.value)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("families: [mdlm]", "'families' without 'tasks'"),
        ("tasks: [star_tiny]", "'tasks' without 'families'"),
        ("seeds: [1]", "a sweep without experiments"),
        ("experiments: [toy.yaml]\nseeds: [1, 1]", "seeds"),
        ("experiments: [toy.yaml]\nsettings: {training.seed: 1}", "'training.seed'"),
        (
            "experiments: [toy.yaml]\nsettings: {a: 1}\nvary: {a: [1]}",
            "'a' is given in settings too",
        ),
    ],
)
def test_invalid_sweep_is_refused(project, text, message):
    with pytest.raises(SpecError) as caught:
        read(f"spec: xlmgen/sweep/v1\n{text}\n")
    assert message in str(caught.value)


def test_runs_of_a_family_have_its_own_evaluations(project):
    text = """\
spec: xlmgen/sweep/v1
families: [arlm, mdlm, llada]
tasks: [star_tiny]
evaluate: [{steps: 8}]
evaluate_by_family: {arlm: [{}], mdlm: [{steps: 2}, {steps: 4}]}
"""
    found = {
        run.experiment.family: [request.predictor for request in run.evaluations]
        for run in read(text).runs
    }
    assert found == {
        "arlm": [{}],
        "mdlm": [{"steps": 2}, {"steps": 4}],
        "llada": [{"steps": 8}],
    }
    with pytest.raises(UserError, match="steps"):
        read(text.replace("arlm: [{}], ", ""))
    with pytest.raises(UserError, match="no runs of 'ilm'"):
        read(text.replace("mdlm: [{steps: 2}", "ilm: [{steps: 2}"))


def test_unknown_task_of_a_family_is_refused_with_the_known_ones(project):
    text = "spec: xlmgen/sweep/v1\nfamilies: [mdlm]\ntasks: [star_tinny]\n"
    with pytest.raises(UserError, match="did you mean 'star_tiny'") as caught:
        read(text)
    assert "star_easy" in str(caught.value)


def test_experiments_with_one_name_are_refused(project):
    Path("other.yaml").write_text(Path("toy.yaml").read_text("utf-8"), "utf-8")
    with pytest.raises(UserError, match="would both be"):
        read(SWEEP.replace("[toy.yaml]", "[toy.yaml, other.yaml]"))
