"""Migration of older specs keeps comments, order and layout.

No format has a second version yet. These tests use a version before the first, in
which a loss's `weight` was called `weighting`, and a predictor's `steps` was a list.
"""

import pytest

from xlmgen import resources
from xlmgen.errors import UserError
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.load import load_yaml
from xlmgen.spec.migrate import migrate
from xlmgen.spec.migrations import MIGRATIONS
from xlmgen.spec.validate import VERSIONS, validate

OLD = """\
# yaml-language-server: $schema=../../schemas/family.schema.json
# é: a comment before everything
spec: xlmgen/family/v0   # the version

name:   sample
title: "A sample: of specs"
papers:
    - arXiv:2406.07524   # the paper
collator: { kind: masking,  rate: schedule }
noise_schedule: {kind: linear, sampling_eps: 1.0e-3}
model: {kind: transformer, attention: bidirectional}
sizes:
  tiny:   {d_model: 8, layers: 1, num_heads: 2}
  small:  {d_model: 16, layers: 1, num_heads: 2}
loss:
  kind: masked
  # why it is weighted
  weighting: schedule   # as the paper says
predictor: {kind: unmasking, steps: [8]}
# a last comment
"""
NEW = (
    OLD.replace("v0", "v1")
    .replace("weighting: schedule   #", "weight: schedule      #")
    .replace("steps: [8]", "steps: 8")
)


def first(data):
    """Migrate families from version 0 to version 1."""
    loss, predictor = data["loss"], data["predictor"]
    if "weighting" in loss:
        place = list(loss).index("weighting")
        comment = loss.ca.items.pop("weighting", None)
        loss.insert(place, "weight", loss.pop("weighting"))
        if comment:
            loss.ca.items["weight"] = comment
    if isinstance(predictor["steps"], list):
        predictor["steps"] = predictor["steps"][0]


SPECS = sorted(
    path
    for folder in ("families", "examples", "xlmgen/tasks", "tests/specs/positive")
    for path in (resources.root() / folder).rglob("*.yaml")
)


@pytest.fixture
def version_0(monkeypatch):
    monkeypatch.setitem(MIGRATIONS, ("family", 0), first)


def migrated(text):
    return migrate(load_yaml("sample.yaml", text))


def test_every_migration_leads_to_newest_version():
    for kind, version in MIGRATIONS:
        assert version < VERSIONS[kind]
        assert all((kind, v) in MIGRATIONS for v in range(version, VERSIONS[kind]))


@pytest.mark.usefixtures("version_0")
def test_only_changed_lines_are_rewritten():
    assert migrated(OLD) == NEW
    assert validate(load_yaml("sample.yaml", NEW), "family") == []


@pytest.mark.usefixtures("version_0")
def test_line_ends_are_kept():
    assert migrated(OLD.replace("\n", "\r\n")) == NEW.replace("\n", "\r\n")
    assert migrated(OLD.removesuffix("\n")).removesuffix("\n") == NEW.removesuffix("\n")
    assert migrated("\ufeff" + OLD) == "\ufeff" + NEW


@pytest.mark.usefixtures("version_0")
def test_migrated_data_is_right_on_lines_with_layout_changes():
    """The layout of changed lines is not kept."""
    text = OLD.replace(
        "{kind: unmasking, steps: [8]}", "{  kind: unmasking, steps: [8] }"
    )
    new = load_yaml("sample.yaml", migrated(text))
    assert new.data == load_yaml("sample.yaml", NEW).data
    assert "# as the paper says" in new.text


@pytest.mark.usefixtures("version_0")
def test_several_versions_apply_several_migrations(monkeypatch):
    monkeypatch.setitem(MIGRATIONS, ("family", 1), lambda data: data.pop("papers"))
    monkeypatch.setitem(VERSIONS, "family", 2)
    new = load_yaml("sample.yaml", migrated(OLD))
    assert new.data["spec"] == "xlmgen/family/v2"
    assert new.data["loss"] == {"kind": "masked", "weight": "schedule"}
    assert "papers" not in new.data


@pytest.mark.parametrize(
    "text", [NEW, NEW.replace("\n", "\r\n"), NEW + "x: [\u00e9 ]\n"]
)
def test_newest_version_is_unchanged(text):
    assert migrated(text) == text


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (OLD, "XG100", "change the line"),
        (NEW.replace("/v1", "/v2"), "XG100", "upgrade xlmgen"),
        (NEW.replace("spec: xlmgen/family/v1", ""), "XG100", "no 'spec:' line"),
        (NEW.replace("spec: xlmgen/family/v1", "spec: 1"), "XG100", "no 'spec:' line"),
        (NEW + "name: twice\n", "XG004", ""),
        ("a: [", "XG003", ""),
    ],
)
def test_invalid_document_is_reported(text, code, said):
    with pytest.raises(SpecError) as caught:
        migrated(text)
    assert [d.code for d in caught.value.diagnostics] == [code]
    assert said in caught.value.diagnostics[0].text


@pytest.mark.usefixtures("version_0")
def test_check_suggests_migrate():
    (problem,) = validate(load_yaml("sample.yaml", OLD), "family")
    assert problem.code == "XG100"
    assert "run `xlmgen migrate sample.yaml`" in problem.fix


@pytest.mark.usefixtures("version_0")
def test_unfaithful_rewrite_is_refused(monkeypatch):
    monkeypatch.setattr("xlmgen.spec.migrate._dump", lambda yaml, data: "spec: other\n")
    with pytest.raises(UserError, match="by hand"):
        migrated(OLD)
