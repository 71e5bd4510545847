"""`xlmgen schemas`: schemas for editors; other files are unchanged."""

from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.io.json_schema import validator
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import FILES, Schemas, built_in

SPECS = Path(__file__).parents[1] / "specs"
GOOD = (SPECS / "positive" / "mdlm.yaml").read_text("utf-8").partition("\n")[2]
MODELINE = "# yaml-language-server: $schema="


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts():
    return {path.name: path.read_text("utf-8") for path in Path("schemas").iterdir()}


def test_written_schemas_equal_built_in_ones(here, capsys):
    assert main(["schemas"]) == 0
    assert capsys.readouterr().out == "4 of 4 files changed in schemas\n"
    assert set(texts()) == {f"{file}.schema.json" for file in FILES}
    assert "$ref" not in "".join(texts().values())
    copies = Schemas((here / "schemas",))
    for path in sorted((SPECS / "negative").glob("*.yaml")):
        document = load_yaml(path)
        if document.data is not None:
            schema = validator(copies.schema("family"))
            ours = validator(built_in().schema("family"))
            assert schema.is_valid(document.data) == ours.is_valid(document.data), path


def test_schemas_are_updated(capsys):
    assert main(["schemas"]) == 0
    before = texts()
    old = Path("schemas/family.schema.json")
    old.write_text(old.read_text("utf-8").replace("A family", "The family"), "utf-8")
    mine = Path("schemas/mine.schema.json")
    mine.write_text("{}")
    capsys.readouterr()
    assert main(["schemas"]) == 0
    assert capsys.readouterr().out.startswith("1 of ")
    assert texts() == before | {"mine.schema.json": "{}"}
    assert main(["schemas"]) == 0
    assert capsys.readouterr().out.startswith("0 of ")


def test_foreign_file_is_not_overwritten(capsys):
    Path("schemas").mkdir()
    Path("schemas/task.schema.json").write_text("{}")
    assert main(["schemas"]) == 2
    said = capsys.readouterr().err
    assert "schemas/task.schema.json was not written by `xlmgen schemas`" in said
    assert texts() == {"task.schema.json": "{}"}


def test_unwritable_folder_is_reported(capsys):
    Path("schemas").write_text("")
    assert main(["schemas"]) == 2
    assert "cannot write the schemas to schemas" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("../schemas/family.schema.json", "../../schemas/family.schema.json"),
        ("https://example.org/schemas/f.json", "https://example.org/schemas/f.json"),
        ("/nowhere/family.schema.json", "/nowhere/family.schema.json"),
    ],
)
def test_rendered_spec_names_schema_of_project(line, becomes):
    assert main(["schemas"]) == 0
    Path("specs").mkdir()
    Path("specs/mine.yaml").write_text(f"{MODELINE}{line}\n{GOOD}", "utf-8")
    assert main(["new", "specs/mine.yaml"]) == 0
    spec = Path("families/mdlm/family.yaml")
    assert spec.read_text("utf-8") == f"{MODELINE}{becomes}\n{GOOD}"
    assert main(["new", "specs/mine.yaml"]) == 0
    assert main(["check", "--strict"]) == 0


def test_schema_line_is_kept_without_schemas():
    text = f"{MODELINE}../schemas/family.schema.json\n{GOOD}"
    Path("mine.yaml").write_text(text, "utf-8")
    assert main(["new", "mine.yaml"]) == 0
    spec = Path("families/mdlm/family.yaml")
    assert spec.read_text("utf-8") == text
    assert main(["schemas"]) == 0
    assert main(["new", str(spec)]) == 0  # in its place it is the user's
    assert spec.read_text("utf-8") == text
    assert main(["new", "mine.yaml"]) == 0
    assert f"{MODELINE}../../schemas/" in spec.read_text("utf-8")
