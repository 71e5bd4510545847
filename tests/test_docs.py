"""The documentation is held to the code: commands run, links resolve, tables agree."""

import doctest
import importlib.util
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import typer.main

import xlmgen.runtime
from xlmgen.cli import command_line, main
from xlmgen.render import render
from xlmgen.spec.diagnostics import CODES
from xlmgen.spec.family import read_family
from xlmgen.spec.schemas import COMPONENTS, built_in

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
RUN = [
    ROOT / "README.md",
    ROOT / "docs" / "your-own-family.md",
    ROOT / "docs" / "your-own-data.md",
]
RUNTIME = sorted((ROOT / "docs" / "runtime").glob("*.md"))
COMMANDS = typer.main.get_command(command_line()).commands

FENCE = re.compile(
    r"(?P<note><!--[^\n]*-->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def label(path):
    return path.relative_to(ROOT).as_posix()


def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_generated_tables_are_current(page):
    """Run `python docs/tables.py` where this fails."""
    text = page.read_text("utf-8")
    assert text == tables().current(text)
    opened = re.findall(r"^<!-- table: ", text, re.MULTILINE)
    assert len(opened) == len(tables().MARKED.findall(text))


def test_every_code_and_kind_is_documented():
    diagnostics = (ROOT / "docs" / "diagnostics.md").read_text("utf-8")
    assert re.findall(r"^\| `(XG\d+)`", diagnostics, re.MULTILINE) == list(CODES)
    docs = "".join(page.read_text("utf-8") for page in PAGES)
    for component in COMPONENTS:
        for kind in built_in().kinds(component):
            assert f"<!-- table: options {component}.{kind} -->" in docs


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_relative_links_resolve(page):
    for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{label(page)}: {link}"
        assert target.is_relative_to(ROOT), f"{label(page)}: {link}"
        assert not anchor or anchor in anchors(target), f"{label(page)}: {link}"


def anchors(page):
    """What the headings of a page are called in addresses."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text("utf-8")), re.M)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


def test_every_command_is_documented():
    readme = (ROOT / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| `xlmgen (\w+)", readme, re.MULTILINE)
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_named_commands_and_options_exist(page):
    for kind, text in code(page):
        for words in commands(text) if kind in ("sh", "") else ():
            assert words[1] in COMMANDS, words
            parameters = COMMANDS[words[1]].params
            options = {o for p in parameters for o in (*p.opts, *p.secondary_opts)}
            options.add("--help")
            used = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert used <= options, words


@pytest.mark.parametrize("page", PAGES, ids=label)
def test_named_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    named = re.findall(r"(?:^|`)make (\w+)", page.read_text("utf-8"), re.MULTILINE)
    assert set(named) <= targets


def test_readme_shows_spec_and_render_of_demo():
    spec = ROOT / "examples" / "scout.yaml"
    shown = {kind: text for kind, text in code(RUN[0]) if kind in ("yaml", "python")}
    assert set(shown["yaml"].splitlines()) <= set(spec.read_text("utf-8").splitlines())
    loss = render(read_family(spec))["loss_scout.py"]
    assert textwrap.indent(shown["python"], "    ") in loss
    assert "return" in shown["python"]


def test_ratios_of_readme_are_in_the_measurements():
    ratios = re.findall(r"\*\*[\d.]+×\*\*", RUN[0].read_text("utf-8"))
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    assert ratios
    assert [ratio for ratio in ratios if ratio not in measured] == []


@pytest.mark.slow
def test_python_of_the_page_on_python_runs(tmp_path, monkeypatch):
    page = ROOT / "docs" / "python.md"
    checkout(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    names = {}
    for kind, text in code(page):
        if kind == "python":
            exec(compile(text, page.name, "exec"), names)
    assert set(xlmgen.API) <= set(re.findall(r"\w+", page.read_text("utf-8")))


def public_names():
    """Every module of the runtime that has public names, and these names."""
    packages = pkgutil.walk_packages(xlmgen.runtime.__path__, "xlmgen.runtime.")
    modules = [importlib.import_module(package.name) for package in packages]
    return {m.__name__: m.__all__ for m in modules if hasattr(m, "__all__")}


def test_every_public_module_of_the_runtime_has_a_table():
    text = "".join(page.read_text("utf-8") for page in RUNTIME)
    for module in public_names():
        name = module.removeprefix("xlmgen.runtime.")
        assert text.count(f"<!-- table: runtime {name} -->") == 1, module


@pytest.mark.parametrize(
    "page", [page for page in RUNTIME if page.stem != "index"], ids=label
)
def test_an_example_of_the_runtime_prints_what_its_page_shows(page, capsys):
    text = "\n".join(text for kind, text in code(page) if kind == "python")
    examples = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    failed, attempted = doctest.DocTestRunner().run(examples)
    assert attempted > 2
    assert not failed, capsys.readouterr().out


def code(page):
    """Fenced blocks, and what is written as code within a line."""
    text = page.read_text("utf-8")
    for fence in FENCE.finditer(text):
        yield fence["kind"], fence["text"]
    for inline in re.findall(r"`(xlmgen [^`\n]+)`", FENCE.sub("", text)):
        yield "sh", inline


def commands(text):
    """The words of every call of xlmgen with a command in a text."""
    for line in text.splitlines():
        line = line.removeprefix("$ ").partition("  #")[0]
        words = shlex.split(line) if line.startswith("xlmgen ") else []
        if len(words) > 1 and words[1][0].isalpha():
            yield words


# What a page says that a person does is done, in its order, in one scratch folder:
#   ```yaml       after `<!-- file: NAME -->` is written to that file, ```jsonl and
#                 ```python too
#   ```diff       after the same comment is a line that is edited
#   ```sh         is run; every command must end with 0, or as `<!-- exit: N -->` says.
#                 `<!-- long -->` marks a training, which two steps stand for here.
#   ```           after `<!-- output -->` is what the block before it prints


SHORT = ("training.max_steps=2", "training.validate_every=2", "evaluation.generate=8")


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=label)
def test_commands_of_page_work(page, tmp_path, monkeypatch, capfd):
    if page.name == "README.md":
        checkout(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")  # put back what a run's own family leaves
    ran, out = 0, ""
    for fence in FENCE.finditer(page.read_text("utf-8")):
        note = (fence["note"] or "").removeprefix("<!--").removesuffix("-->\n").strip()
        what, _, of = note.partition(": ")
        if what == "file" and fence["kind"] in ("yaml", "jsonl", "python"):
            Path(of).parent.mkdir(parents=True, exist_ok=True)
            Path(of).write_text(fence["text"], "utf-8")
        elif what == "file" and fence["kind"] == "diff":
            edit(Path(of), fence["text"])
        elif what == "output":
            for line in fence["text"].splitlines():
                assert line.strip() in ("", "…") or line in out, line
        elif fence["kind"] == "sh" and what != "setup":
            expected = int(of) if what == "exit" else 0
            capfd.readouterr()
            for line in fence["text"].splitlines():
                run(line.partition("  #")[0].strip(), expected, short=what == "long")
                ran += 1
            captured = capfd.readouterr()
            out = captured.out + captured.err
    assert ran >= 3


def checkout(folder):
    """What the README names by a path of this repository."""
    (folder / "examples").mkdir()
    shutil.copy(ROOT / "examples" / "scout.yaml", folder / "examples")
    shutil.copytree(ROOT / "families" / "mdlm", folder / "families" / "mdlm")


def edit(path, diff):
    """Replace the removed lines, which stand together, by the added ones."""
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line.startswith("-"))
    new = "".join(line[1:] for line in lines if line.startswith("+"))
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{old!r} is not once in {path}"
    path.write_text(text.replace(old, new), "utf-8")


def run(line, expected, *, short):
    words = shlex.split(line)
    if words[0] == "xlmgen":
        extra = SHORT if short and words[1] == "train" else ()
        assert main([*words[1:], *extra]) == expected, line
        return
    assert words[0] == "pytest", f"no test runs `{line}`"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *words[1:]], check=False)
    assert done.returncode == expected, line
