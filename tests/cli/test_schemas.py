"""`xlmgen schemas`: copies that follow the schemas, and nothing else touched."""

from pathlib import Path

import pytest

from xlmgen import resources
from xlmgen.cli import main
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import Schemas
from xlmgen.spec.validate import validate

SPECS = Path(__file__).parents[1] / "specs"
GOOD = (SPECS / "positive" / "mdlm.yaml").read_text("utf-8").partition("\n")[2]
MODELINE = "# yaml-language-server: $schema="


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts():
    return {
        path.relative_to("schemas").as_posix(): path.read_text("utf-8")
        for path in Path("schemas").rglob("*")
        if path.is_file()
    }


def test_every_schema_is_copied_and_says_the_same(here, capsys):
    assert main(["schemas"]) == 0
    original = resources.root() / "schemas"
    names = {p.relative_to(original).as_posix() for p in original.rglob("*.json")}
    assert set(texts()) == names
    assert (
        capsys.readouterr().out
        == f"{len(names)} of {len(names)} files changed in schemas\n"
    )
    copies = Schemas((here / "schemas",))
    for path in sorted((SPECS / "negative").glob("*.yaml"))[:20]:
        document = load_yaml(path)
        assert validate(document, "family", copies) == validate(document, "family")


def test_copies_are_brought_up_to_date(capsys):
    assert main(["schemas"]) == 0
    before = texts()
    old = Path("schemas/family.schema.json")
    old.write_text(old.read_text("utf-8").replace("A family", "The family"), "utf-8")
    gone = Path("schemas/kinds/loss/gone.schema.json")
    gone.write_text(before["kinds/loss/masked.schema.json"], "utf-8")
    mine = Path("schemas/kinds/loss/mine.schema.json")
    mine.write_text("{}")
    capsys.readouterr()
    assert main(["schemas"]) == 0
    assert capsys.readouterr().out.startswith("2 of ")
    mine.unlink()
    assert texts() == before
    assert main(["schemas"]) == 0
    assert capsys.readouterr().out.startswith("0 of ")


def test_a_file_that_is_no_copy_is_not_overwritten(capsys):
    Path("schemas/kinds").mkdir(parents=True)
    Path("schemas/kinds/loss.schema.json").write_text("{}")
    assert main(["schemas"]) == 2
    said = capsys.readouterr().err
    assert "schemas/kinds/loss.schema.json was not written by `xlmgen schemas`" in said
    assert texts() == {"kinds/loss.schema.json": "{}"}


def test_a_folder_that_cannot_be_written_is_said(capsys):
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
def test_the_spec_of_a_rendered_family_names_the_project_s_schema(line, becomes):
    assert main(["schemas"]) == 0
    Path("specs").mkdir()
    Path("specs/mine.yaml").write_text(f"{MODELINE}{line}\n{GOOD}", "utf-8")
    assert main(["new", "specs/mine.yaml"]) == 0
    spec = Path("families/mdlm/family.yaml")
    assert spec.read_text("utf-8") == f"{MODELINE}{becomes}\n{GOOD}"
    assert main(["new", "specs/mine.yaml"]) == 0
    assert main(["check", "--strict"]) == 0


def test_a_line_that_leads_nowhere_stays_where_there_are_no_schemas():
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
