"""Predictor variants of a run: rendered into its folder, and executed from there."""

import shutil
from pathlib import Path

import pytest
from rich.console import Console

from xlmgen import resources
from xlmgen.errors import UserError
from xlmgen.evaluation.predictor_options import predictor_options
from xlmgen.evaluation.variant import with_predictor
from xlmgen.experiment import resolve
from xlmgen.runs.run import Run
from xlmgen.training.train import train

EXPERIMENT = """\
spec: xlmgen/experiment/v1
name: masked
family: mdlm
task: ./toy_task.yaml
size: tiny
model: {d_model: 16, layers: 1, num_heads: 2}
predictor: {steps: 4}
training: {max_steps: 1, batch_size: 2, accelerator: cpu}
evaluation: {generate: 0}
loggers: []
"""


@pytest.fixture
def run(project):
    shutil.copytree(resources.root() / "families" / "mdlm", project / "families/mdlm")
    (project / "masked.yaml").write_text(EXPERIMENT)
    train(resolve("masked.yaml"), Path("run"), Console(quiet=True))
    return Run.open("run")


def source(family):
    return Path(family.predictor.__init__.__code__.co_filename)


def test_numeric_options_keep_the_code(run):
    family, numbers = with_predictor(run, {"temperature": 0.5})
    assert numbers == {"steps": 4, "temperature": 0.5}
    assert source(family).is_relative_to(Path("run/families").resolve())
    assert not Path("run/variants").exists()


def test_other_algorithm_is_rendered_and_run(run):
    own, _ = with_predictor(run, {})
    before = source(own).read_bytes()
    family, numbers = with_predictor(run, {"order": "entropy", "top_k": 3})
    assert numbers == {"steps": 4, "top_k": 3}
    file = source(family)
    assert file.is_relative_to(Path("run/variants").resolve())
    assert file.read_bytes() != before
    assert source(own).read_bytes() == before
    copies = {p.name: p.read_bytes() for p in file.parent.glob("*.py")}
    for path in run.family_folder.glob("*.py"):
        assert (copies[path.name] == path.read_bytes()) is (path.name != file.name)


def test_cache_is_rendered_into_the_network_too(run):
    cache = {"decoding_block": 8, "cache": {"kind": "dual"}}
    own = run.load_family()
    own_network = own.model(8, **own.sizes["tiny"])
    family, _ = with_predictor(run, cache)
    folder = source(family).parent
    changed = {
        path.name
        for path in run.family_folder.glob("*.py")
        if path.read_bytes() != (folder / path.name).read_bytes()
    }
    assert changed == {"model_mdlm.py", "predictor_mdlm.py"}
    network = family.model(8, **family.sizes["tiny"])
    network.load_state_dict(own_network.state_dict())
    assert network.new_cache(2, 5).keys.shape[3] == 5


def test_another_order_is_rendered_into_collator_and_metrics_too(project):
    shutil.copytree(resources.root() / "families/ao_arm", project / "families/ao_arm")
    text = EXPERIMENT.replace("mdlm", "ao_arm").replace("predictor: {steps: 4}\n", "")
    (project / "ordered.yaml").write_text(text)
    train(resolve("ordered.yaml"), Path("run"), Console(quiet=True))
    run = Run.open("run")
    family, _ = with_predictor(run, {"order": "right_to_left"})
    changed = {
        path.name
        for path in run.family_folder.glob("*.py")
        if path.read_bytes() != (source(family).parent / path.name).read_bytes()
    }
    parts = ("collator", "metrics", "predictor")
    assert changed == {f"{part}_ao_arm.py" for part in parts}


def test_edited_network_cannot_get_a_cache(run):
    file = run.family_folder / "model_mdlm.py"
    file.write_text(file.read_text() + "# mine\n")
    with pytest.raises(UserError, match=r"model_mdlm\.py differs from the render"):
        with_predictor(run, {"decoding_block": 8, "cache": {"kind": "dual"}})
    family, _ = with_predictor(run, {"decoding_block": 8})
    assert "# mine" in (source(family).parent / "model_mdlm.py").read_text()


def test_same_variant_is_rendered_once(run):
    one, _ = with_predictor(run, {"order": "margin"})
    two, _ = with_predictor(run, {"order": "margin"})
    assert source(one) == source(two)
    assert len(list(Path("run/variants").iterdir())) == 1


def test_options_that_the_variant_lacks_are_dropped(run):
    _, numbers = with_predictor(run, {"order": "top_prob", "threshold": 0.9})
    assert numbers == {"threshold": 0.9}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "entrop"}, "did you mean 'entropy'"),
        ({"step": 5}, "did you mean 'steps'"),
        ({"steps": 0}, "predictor.steps"),
        ({"kind": "left_to_right"}, "predictor.kind: 'left_to_right' differs from"),
        ({"kind": "unmask"}, "from this run's kind, 'unmasking'; only its options"),
        ({"threshold": 0.5}, "predictor"),
    ],
)
def test_options_outside_the_schema_are_refused(run, options, message):
    with pytest.raises(UserError, match=message):
        with_predictor(run, options)
    assert not Path("run/variants").exists()


def test_edited_predictor_cannot_change_algorithm(run):
    file = run.family_folder / "predictor_mdlm.py"
    file.write_text(file.read_text() + "# mine\n")
    with pytest.raises(UserError, match="differs from the render of its family"):
        with_predictor(run, {"order": "entropy"})
    family, _ = with_predictor(run, {"temperature": 0.0})
    assert source(family) == file.resolve()


@pytest.mark.parametrize(
    "text", ["training.max_steps=1", "predictor=3", "order=random"]
)
def test_overrides_outside_the_predictor_are_refused(text):
    with pytest.raises(UserError, match=r"only predictor\.KEY=VALUE"):
        predictor_options([text])
