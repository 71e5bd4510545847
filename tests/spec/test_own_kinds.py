"""A project's own kinds: how they are found, and why they are refused."""

import json
import shutil
from pathlib import Path

import pytest

from xlmgen import resources
from xlmgen.cli import main
from xlmgen.spec.family import read_family
from xlmgen.spec.own_kinds import problems
from xlmgen.spec.project import BUILT_IN, project_of
from xlmgen.spec.schemas import COMPONENTS, built_in

EXAMPLE = Path(__file__).parents[2] / "examples" / "own-kind"
SCHEMA = Path("schemas/kinds/predictor/spaced.schema.json")
TEMPLATE = Path("templates/family/predictor/spaced.py.jinja")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Copy the example, and make it the current folder."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLE, folder)
    monkeypatch.chdir(folder)
    return folder


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def refusals(capsys, spec="comb.yaml"):
    """Return the problems that `check` prints: `file:line:col  code  message`."""
    capsys.readouterr()
    assert main(["check", spec]) == 1
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if "  XG40" in line and "XG404" not in line]


def test_family_belongs_to_nearest_project_above(project, tmp_path):
    assert project_of("comb.yaml").root == project
    assert project_of(project / "families/new/family.yaml").root == project
    inner = project / "inner"
    (inner / "templates" / "family").mkdir(parents=True)
    assert project_of(inner / "x.yaml").root == inner
    assert project_of(tmp_path / "x.yaml") is BUILT_IN
    assert project_of(resources.root() / "families" / "mdlm") is BUILT_IN


def test_project_search_ends_at_top_of_repository(project):
    clone = project / "clone"
    (clone / ".git").mkdir(parents=True)
    assert project_of(clone / "x.yaml") is BUILT_IN


@pytest.mark.parametrize("where", [".", "families", ".."])
def test_kind_is_found_from_any_current_folder(where, project, monkeypatch):
    (project / "families").mkdir()
    monkeypatch.chdir(where)
    assert main(["check", str(project / "comb.yaml")]) == 0


def test_kind_is_unknown_outside_of_project(project, tmp_path, capsys):
    shutil.copy("comb.yaml", tmp_path / "comb.yaml")
    assert main(["check", str(tmp_path / "comb.yaml")]) == 1
    assert "'spaced' is not one of" in capsys.readouterr().out


def test_new_refuses_folder_outside_of_project(project, tmp_path, capsys):
    assert main(["new", "comb.yaml", "--out", str(tmp_path / "families")]) == 2
    error = capsys.readouterr().err
    assert "'spaced' is a kind of the project" in error
    assert f"--out {project / 'families'}" in error
    assert not (tmp_path / "families").exists()


def test_changed_kind_is_read_again(project):
    assert read_family("comb.yaml").predictor.options["top_k"] is None
    edit(SCHEMA, '"default": null', '"default": 3')
    assert read_family("comb.yaml").predictor.options["top_k"] == 3


def test_check_notes_own_kind_and_passes(project, capsys):
    assert main(["check", "comb.yaml", "--strict"]) == 0
    out = capsys.readouterr().out
    assert "comb.yaml:11:19  XG404  predictor.kind: 'spaced'" in out
    assert f"{SCHEMA} and {TEMPLATE}" in out
    assert "no problems" in out
    assert main(["check", "comb.yaml", "--format", "json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)
    assert (note["code"], note["severity"]) == ("XG404", "note")
    main(["check", "comb.yaml", "--format", "github"])
    assert capsys.readouterr().out.startswith("::notice file=comb.yaml,line=11")


def test_own_kind_is_explained_and_listed(project, capsys):
    assert main(["explain", "predictor.spaced.steps"]) == 0
    assert "Number of forward passes" in capsys.readouterr().out
    assert main(["list"]) == 0
    kinds = capsys.readouterr().out.partition("\nkinds:\n")[2]
    row = f"  spaced  Evenly spaced unmasking  predictor  {SCHEMA}\n"
    assert kinds == row


def test_misspelt_option_of_own_kind_gets_suggestion(project, capsys):
    edit(Path("comb.yaml"), "steps: 8", "stesp: 8")
    assert main(["check", "comb.yaml"]) == 1
    assert "did you mean 'steps'?" in capsys.readouterr().out


OURS = "schemas/kinds/predictor/unmasking.schema.json"


@pytest.mark.parametrize(
    "path",
    [
        OURS,
        "templates/family/predictor/unmasking.py.jinja",
        "templates/family/README.md.jinja",
    ],
)
def test_kind_with_built_in_name_is_refused(path, project, capsys):
    mine = Path(path)
    mine.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(resources.root() / path, mine)
    assert main(["check", "comb.yaml"]) == 0  # a copy
    mine.write_text(mine.read_text("utf-8") + "\n", "utf-8")
    (said,) = refusals(capsys)
    assert said.startswith(f"{path}:1:1  XG403")
    assert str(resources.root() / path) in said


def test_copies_of_built_in_schemas_are_not_own_kinds(project):
    shutil.copytree(resources.root() / "schemas", "schemas", dirs_exist_ok=True)
    assert list(project_of(".").kinds) == [("predictor", "spaced")]
    assert main(["check", "comb.yaml"]) == 0


def test_own_generator_is_refused(project, capsys):
    folder = Path("schemas/kinds/generator")
    folder.mkdir()
    shutil.copy(
        resources.root() / folder / "star.schema.json", folder / "comet.schema.json"
    )
    (said,) = refusals(capsys)
    assert said.startswith(f"{folder}:1:1  XG401  there is no component 'generator'")
    assert "comet" not in project_of(".").schemas.kinds("generator")


SCHEMAS = {
    "no JSON Schema": ('"integer",', '"int",', "'int' is not"),
    "a pattern that is none": ('"examples": [8]', '"pattern": "("', "regex"),
    "another name": ('"spaced"', '"space"', "'spaced' was expected"),
    "open": ('Properties": false', 'Properties": true', "must be closed"),
    "a misspelt keyword": (
        *('"x-requires"', '"x-require"'),
        "'x-require' is not a keyword of a schema; did you mean 'x-requires'?",
    ),
    "a misspelt keyword of an option": (
        *('"default": null', '"defualt": null'),
        "'defualt' is not a keyword of a schema; did you mean 'default'?",
    ),
    "a misspelt keyword of a condition": (
        *('"objective:masked"', '{"capability": "x", "when": {"propertes": {}}}'),
        "'propertes' is not a keyword of a schema; did you mean 'properties'?",
    ),
    "a keyword like no other": (
        *('"x-requires"', '"colour"'),
        "'colour' is not a keyword of a schema; write a note under $comment",
    ),
    "not described": ('"steps": {', '"s": {}, "steps": {', "missing key 'description'"),
    "a suite that is not there": (
        *("LearningTests", "LerningTests"),
        "xlmgen.testing has no 'LerningTests'; did you mean 'LearningTests'?",
    ),
    "code in place of a suite": ("LearningTests", "x; import os", "does not match"),
    "a ref to nothing": ('"integer"', '"integer", "$ref": "a.json"', "cannot be read"),
    "a ref to elsewhere": (
        *('"integer"', '"integer", "$ref": "../../../../x.json"'),
        "../x.json is in no folder of schemas",
    ),
    "a ref to the root": (
        *('"integer"', '"integer", "$ref": "/etc/x.json"'),
        "/etc/x.json is in no folder of schemas",
    ),
    "a ref to itself": ('"integer"', '"integer", "$ref": "#"', "refers to itself"),
    "a clause that is none": ('"objective:masked"', '{"x": 1}', "'x' was unexpected"),
    "a condition that is no schema": (
        *('"objective:masked"', '{"capability": "x", "when": {"type": "int"}}'),
        "'int' is not",
    ),
}


def place(path, old, new):
    """Edit a file and return the place of the edit: `path:line:`."""
    line = path.read_text("utf-8").partition(old)[0].count("\n") + 1
    edit(path, old, new)
    return f"{path}:{line}:"


@pytest.mark.parametrize("name", SCHEMAS)
def test_invalid_schema_is_reported_at_its_line(name, project, capsys):
    old, new, said = SCHEMAS[name]
    start = place(SCHEMA, old, new)
    first, *_ = refusals(capsys)
    assert first.startswith(start)
    assert "  XG401  " in first
    assert said in first
    for command in (["new", "comb.yaml"], ["explain", "predictor.spaced"]):
        assert main(command) == 1
        assert "XG401" in capsys.readouterr().err
    assert not Path("families").exists()


def test_schema_that_is_not_json_is_refused(project, capsys):
    edit(SCHEMA, '"default": 16,', '"default": 16')
    line = SCHEMA.read_text("utf-8").partition('"default": 16')[0].count("\n") + 2
    (said,) = refusals(capsys)
    assert said.startswith(f"{SCHEMA}:{line}:7  XG401  this is not JSON: Expecting ','")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[]", "an object"),
        (b"\xff{}", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"{}", "missing key 'type'"),
    ],
)
def test_schema_that_is_not_an_object_is_refused(content, said, project, capsys):
    SCHEMA.write_bytes(content)
    assert said in refusals(capsys)[0]


def test_suites_of_kind_must_exist(project, capsys):
    edit(SCHEMA, '["PredictorTests", "UnmaskingTests", "LearningTests"]', "[]")
    assert "x-tests" in refusals(capsys)[0]


STEPS = "{{ predictor.steps }}"
TEMPLATES = {
    "a syntax error": ("{% endif %}", "{% endfi %}", "not a Jinja template"),
    "an undefined name": (STEPS, "{{ predictor.stpes }}", "no attribute 'stpes'"),
    "an unknown filter": (STEPS, "{{ name|shout }}", "No filter named 'shout'"),
    "an include of nothing": ("_header", "_footer", "no template family/_footer.jinja"),
    "a division by zero": (STEPS, "{{ 1 / 0 }}", "ZeroDivisionError"),
    "a reach for more": (STEPS, "{{ imports.__globals__ }}", "may not do this"),
    "a change": (STEPS, "{{ sizes.clear() }}", "may not do this"),
    "a loop without an end": (
        *(STEPS, "{% for _ in range(10**9) %}{% endfor %}"),
        "OverflowError",
    ),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_invalid_template_is_reported_at_its_line(name, project, capsys):
    old, new, said = TEMPLATES[name]
    start = place(TEMPLATE, old, new)
    (first,) = refusals(capsys)
    assert first.startswith(start)
    assert "  XG402  " in first
    assert said in first
    assert main(["new", "comb.yaml"]) == 1
    assert said in capsys.readouterr().err
    assert not Path("families").exists()


def test_template_that_prints_invalid_python_is_refused(project, capsys):
    edit(TEMPLATE, "class {{ Name }}", "klass {{ Name }}")
    (first,) = refusals(capsys)
    assert first.startswith(f"{TEMPLATE}:1:1  XG402  it prints invalid Python")
    assert "predictor_comb.py, 'klass CombPredictor:'" in first


def test_missing_template_or_schema_is_reported(project, capsys):
    TEMPLATE.rename(TEMPLATE.with_name("other.py.jinja"))
    schema, template = refusals(capsys)
    assert schema.startswith(f"{SCHEMA}:1:1  XG402")
    assert f"write {TEMPLATE}" in schema
    assert template.startswith("templates/family/predictor/other.py.jinja:1:1  XG402")
    assert "write schemas/kinds/predictor/other.schema.json" in template


def test_unknown_component_is_refused(project, capsys):
    Path("schemas/kinds/predictors").mkdir()
    (unknown,) = refusals(capsys)
    assert "there is no component 'predictors'; did you mean 'predictor'?" in unknown


def test_invalid_kind_is_reported_for_families_that_do_not_use_it(project, capsys):
    """An invalid kind is not ignored, because its author can fix it."""
    shutil.copy(EXAMPLE.parent / "scout.yaml", "scout.yaml")
    TEMPLATE.unlink()
    assert len(refusals(capsys, ".")) == 1


def test_built_in_kinds_meet_the_same_rules(tmp_path, monkeypatch):
    """Built-in kinds under other names, with templates, are valid own kinds."""
    monkeypatch.chdir(tmp_path)
    for component in set(COMPONENTS) - {"noise_schedule"}:  # which have no templates
        for kind in built_in().kinds(component):
            schema = json.dumps(built_in().kind(component, kind))
            schema = schema.replace(f'"const": "{kind}"', f'"const": "my_{kind}"')
            path = tmp_path / "schemas" / "kinds" / component / f"my_{kind}.schema.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(schema)
            name = f"templates/family/{component}/{kind}.py.jinja"
            target = tmp_path / name.replace(f"/{kind}.", f"/my_{kind}.")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(resources.root() / name, target)
    assert problems(project_of(tmp_path)) == ()


def write_kind(component, schema):
    """Write the kind `bare` of a component, which has no options yet."""
    schema["properties"] = {"kind": {"const": "bare", "description": "This kind."}}
    path = Path(f"schemas/kinds/{component}/bare.schema.json")
    template = Path(f"templates/family/{component}/bare.py.jinja")
    for file, text in ((path, json.dumps(schema)), (template, "pass\n")):
        file.parent.mkdir()
        file.write_text(text)
    return path


def test_suite_that_reads_a_missing_option_is_refused(project, capsys):
    schema = dict(built_in().kind("collator", "masking"))
    schema["x-tests"] = ["CollatorTests", "MaskingCollatorTests"]
    path = write_kind("collator", schema | {"x-provides": [], "x-requires": []})
    found = refusals(capsys)
    assert all(said.startswith(f"{path}:1:") for said in found)
    told = " ".join(found)
    for option in ("bos", "eos", "padding", "rate", "replace"):
        assert f"MaskingCollatorTests reads the option '{option}'" in told
    assert "[0]" not in told  # CollatorTests reads none


def test_noise_schedule_without_option_that_collators_read_is_refused(project, capsys):
    schema = dict(built_in().kind("noise_schedule", "cosine"))
    path = write_kind("noise_schedule", schema | {"x-tests": ["ScheduleTests"]})
    (said,) = refusals(capsys)
    assert said.startswith(f"{path}:1:")
    assert "XG401  properties: the kind has no option 'antithetic'" in said


def test_missing_option_that_other_templates_use_is_named(project, capsys):
    """The model has no `max_gap`, which the templates of insertion use."""
    schema = dict(built_in().kind("model", "transformer"))
    capabilities = ["gap_head", "gap_head:distribution", "attention:bidirectional"]
    schema |= {"x-provides": [*capabilities, "time_input"], "x-requires": []}
    schema |= {"required": ["kind"], "allOf": [{}], "x-tests": ["ModelTests"]}
    path = write_kind("model", schema)
    text = (resources.root() / "families" / "flexmdm" / "family.yaml").read_text()
    head, start, rest = text.partition("\nmodel:")
    rest = rest[rest.index("\nsizes:") :]
    Path("bare.yaml").write_text(head + start + " {kind: bare}" + rest)
    (said,) = refusals(capsys, "bare.yaml")
    assert said.startswith(
        f"{path}:1:1  XG401  another component needs an option 'max_gap'"
    )
