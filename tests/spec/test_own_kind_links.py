"""Links cannot include files from outside a project in its kinds."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.render import render_files
from xlmgen.render.environment import environment
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.family import read_family, settle_family
from xlmgen.spec.load import load_yaml
from xlmgen.spec.own_kinds import problems
from xlmgen.spec.project import links_out, own_files, project_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "own-kind"
SCHEMA = Path("schemas/kinds/predictor/spaced.schema.json")
TEMPLATE = Path("templates/family/predictor/spaced.py.jinja")
LINK = Path("templates/family/predictor/link.jinja")
SECRET = "AUTHORIZATION: basic SECRET-TOKEN"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Copy the example beside a secret file, and make it the current folder."""
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLE, folder)
    monkeypatch.chdir(folder)
    (tmp_path / "secret").write_text(SECRET)
    (folder / "secret").write_text(SECRET)
    return folder


def link(place, target):
    """Replace a file or folder by a link."""
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(target)
    if place == LINK:
        printed = '\nX = """{% include "family/predictor/link.jinja" %}"""\n'
        TEMPLATE.write_text(TEMPLATE.read_text("utf-8") + printed, "utf-8")


LINKS = [
    (LINK, "../../../secret"),
    (LINK, "../../../../secret"),
    (LINK, "../../../schemas/kinds/predictor/spaced.schema.json"),
    (LINK, "/dev/zero"),
    (LINK, "/proc/self/environ"),
    (TEMPLATE, "../../../secret"),
    (TEMPLATE, "/dev/zero"),
    (SCHEMA, "../../../secret"),
    (SCHEMA, "/dev/zero"),
    (Path("templates/family/other"), "../.."),
    (Path("templates/family/other"), "/proc"),
]


@pytest.mark.parametrize(("place", "target"), LINKS)
def test_link_out_of_the_folder_is_refused(place, target, project, capsys):
    link(place, target)
    assert main(["check", "comb.yaml"]) == 1
    shown = capsys.readouterr()
    assert f"{place}:1:1  XG40" in shown.out
    assert "leads out of the folder" in shown.out
    assert "SECRET" not in shown.out + shown.err
    assert main(["new", "comb.yaml"]) == 1
    assert not Path("families").exists()


def test_a_folder_of_templates_is_not_a_link(project, capsys):
    shutil.move("templates/family", "family")
    shutil.rmtree("templates")
    Path("templates").symlink_to(".")
    page = Path("family/predictor/spaced.py.jinja")
    page.write_text(page.read_text("utf-8") + '{% include "secret" %}', "utf-8")
    assert main(["check", "comb.yaml"]) == 1
    shown = capsys.readouterr()
    assert "leads out of the folder" in shown.out
    assert "SECRET" not in shown.out + shown.err


@pytest.mark.parametrize(("place", "target"), LINKS)
def test_link_out_of_the_folder_is_neither_copied_nor_read(place, target, project):
    link(place, target)
    assert place.absolute() in links_out(project)
    assert not [path for path in own_files(project) if path.is_symlink()]


def test_relative_path_has_files_of_the_folder(project):
    found = own_files(Path())
    assert Path("templates/family/predictor/spaced.py.jinja") in found
    assert [project / path for path in found] == own_files(project)


def test_link_within_the_folder_is_followed(project):
    LINK.symlink_to("spaced.py.jinja")
    assert not links_out(project)
    assert not problems(project_of("comb.yaml"))
    assert main(["check", "comb.yaml"]) == 0


def test_loader_refuses_link_out_of_the_folder(project):
    """Also if the project was not validated before."""
    family = read_family("comb.yaml")
    link(LINK, "../../../secret")
    with pytest.raises(SpecError, match="link that leads out of") as refused:
        render_files(family)
    assert SECRET not in str(refused.value)
    assert settle_family(load_yaml("comb.yaml")).own_kinds


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "family/../../secret"])
def test_loader_refuses_paths_out_of_its_folder(name, project):
    from jinja2 import TemplateNotFound

    with pytest.raises(TemplateNotFound):
        environment((project / "templates",)).get_template(name)


def test_too_large_template_is_refused(project, capsys):
    TEMPLATE.write_text("#" * 1_000_001)
    assert main(["check", "comb.yaml"]) == 1
    assert "at most 1,000,000 bytes" in capsys.readouterr().out


def git(*words):
    subprocess.run(["git", *words], check=True, capture_output=True)


def test_review_does_not_read_links(project, capsys):
    for words in (["init", "-q"], ["config", "user.email", "a@b"]):
        git(*words)
    git("config", "user.name", "a")
    git("config", "http.extraheader", SECRET)
    git("add", "-A")
    git("commit", "-qm", "one")
    link(LINK, "../../../.git/config")
    text = Path("comb.yaml").read_text("utf-8")
    Path("comb.yaml").write_text(text.replace("title: ", "title: Other "), "utf-8")
    capsys.readouterr()
    main(["review", "--against", "HEAD", ".", "--format", "markdown", "--diff"])
    shown = capsys.readouterr()
    assert "comb" in shown.out
    assert "SECRET" not in shown.out + shown.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipe_as_template_is_refused(project, capsys):
    TEMPLATE.unlink()
    os.mkfifo(TEMPLATE)
    assert main(["check", "comb.yaml"]) == 1
    assert "XG402" in capsys.readouterr().out
