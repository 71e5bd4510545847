"""A family and a folder of tiny templates, independent of the real ones."""

from pathlib import Path

import pytest

from xlmgen.render.apply import write
from xlmgen.render.changes import changes
from xlmgen.render.plan import plan
from xlmgen.render.transaction import exclusive
from xlmgen.spec.family import FamilySpec, family_spec
from xlmgen.spec.load import load_yaml

SPEC = """\
spec: xlmgen/family/v1
name: {name}
title: {title}
collator: {{kind: masking}}
noise_schedule: {{kind: linear}}
model: {{kind: transformer, attention: bidirectional}}
sizes: {{tiny: {{d_model: 8, layers: 1, num_heads: 2}}}}
loss: {{kind: masked, weight: schedule}}
predictor: {{kind: unmasking, steps: {steps}}}
"""


def make_family(name="sample", title="A sample", steps=8) -> FamilySpec:
    text = SPEC.format(name=name, title=title, steps=steps)
    return family_spec(load_yaml("sample.yaml", text))


def make_templates(folder: Path, family: FamilySpec) -> tuple[Path, ...]:
    """Write a template for every step of the plan."""
    for step in plan(family):
        path = folder / step.template
        path.parent.mkdir(parents=True, exist_ok=True)
        body = "# {{ name }} {{ Name }} {{ predictor.steps }}\n" + step.template + "\n"
        path.write_text(body)
    return (folder,)


def bring(folder: Path, files: dict[str, str]) -> None:
    """Write a render to a folder as `xlmgen new` does."""
    with exclusive(folder):
        write(folder, changes(folder, files))


@pytest.fixture
def family() -> FamilySpec:
    return make_family()


@pytest.fixture
def templates(tmp_path, family) -> tuple[Path, ...]:
    return make_templates(tmp_path / "templates", family)
