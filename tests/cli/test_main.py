"""Command line: one line for a mistake, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

import xlmgen
from xlmgen import __main__, __version__, resources
from xlmgen.cli import COMMANDS, GROUPS, main
from xlmgen.errors import UserError


def test_required_commands_exist():
    assert {"check", "new", "list", "explain"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"Example: xlmgen {command}" in capsys.readouterr().out


def test_help_is_shown_without_arguments(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)


def test_help_lists_every_summary_on_one_line_of_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for group, names in GROUPS.items():
        first = lines.index(f"{group}:") + 1
        rows = [line.split(maxsplit=1) for line in lines[first : first + len(names)]]
        assert [row[0] for row in rows] == list(names)
        assert all(row[1].endswith(".") for row in rows)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"xlmgen {__version__}\n"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["chekc"], "Did you mean 'check'"),
        (["check", "--formt", "json"], "--format"),
        (["check", "--format", "xml"], "sarif"),
        (["new"], "FILE"),
        (["new", "a", "b"], "unexpected extra argument"),
        (["zzz"], "xlmgen --help"),
    ],
)
def test_unknown_word_is_one_line(words, answer, capsys):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert answer in captured.err


@pytest.mark.parametrize(
    "words",
    [
        ["init", ""],
        ["init", "--dry-run", ""],
        ["new", "family.yaml", "--out", ""],
        ["new", "family.yaml", "--out="],
        ["check", ""],
    ],
)
def test_empty_argument_is_refused(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = resources.root() / "families" / "mdlm" / "family.yaml"
    Path("family.yaml").write_text(source.read_text("utf-8"), "utf-8")
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: an argument is empty: xlmgen ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["family.yaml"]


def test_user_error_is_one_line_with_exit_code(monkeypatch, capsys):
    def fail(path, schemas):
        raise UserError("this is wrong", "do that", exit_code=1)

    monkeypatch.setattr("xlmgen.cli.explain.find", fail)
    assert main(["explain", "loss"]) == 1
    assert capsys.readouterr().err == "error: this is wrong; do that\n"


def test_ctrl_c_is_one_line_with_exit_code_130(monkeypatch, capsys):
    def interrupt(path, schemas):
        raise KeyboardInterrupt

    monkeypatch.setattr("xlmgen.cli.explain.find", interrupt)
    assert main(["explain", "loss"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_ctrl_c_during_imports_is_one_line(monkeypatch, capsys):
    class Finder:
        def find_spec(self, name, path, target=None):
            if name == "xlmgen.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "xlmgen.cli")
    monkeypatch.delattr(xlmgen, "cli")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert __main__.main() == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_closed_pipe_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "xlmgen", "explain", "experiment"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(30)


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_closed_output_is_no_error(closed, tmp_path):
    (tmp_path / "family.yaml").write_text("spec: xlmgen/family/v1\n")
    command = f"{sys.executable} -m xlmgen check family.yaml {closed}"
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no full device")
@pytest.mark.parametrize(
    ("output", "said"),
    [
        (">/dev/full", "error: cannot write the output: No space left on device\n"),
        (">/dev/full 2>&1", ""),
    ],
)
def test_full_output_is_one_line(output, said):
    command = f"{sys.executable} -m xlmgen explain experiment {output}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        (["chek"], "Did you mean 'check', "),
        (["check", "--format", "jsn"], "Did you mean 'json'?"),
        (["check", "--formt", "json"], "--format"),
        (["check", "familes"], "did you mean 'families'?"),
        (["new", "families/mne/family.yaml"], "did you mean 'families/mine'?"),
        (
            ["new", "families/mine/famly.yaml"],
            "did you mean 'families/mine/family.yaml'",
        ),
        (["check", "nothing-like-it"], "check the path"),
        (["eval", "rnus/mine"], "did you mean 'runs'?"),
        (["explain", "lss.weight"], "did you mean 'loss'?"),
    ],
)
def test_misspelt_word_gets_suggestion(words, guess, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "families" / "mine"
    folder.mkdir(parents=True)
    (folder / "family.yaml").write_text("name: mine\n")
    (tmp_path / "runs").mkdir()
    assert main(words) != 0
    assert guess in capsys.readouterr().err


@pytest.mark.parametrize("command", ["eval", "generate", "compare"])
def test_file_as_run_folder_is_reported(command, project, capsys):
    assert main([command, "toy.yaml"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: toy.yaml is a file, not a run folder; give the ")
    assert "did you mean" not in error


def test_long_argument_is_shortened(project, capsys):
    long = "x" * 100_000
    for words in (
        ["explain", long],
        ["check", long],
        ["resolve", "toy.yaml", long],
        ["resolve", "toy.yaml", f"training.max_steps={long}"],
        ["resolve", "toy.yaml", f"{long}=1"],
        ["resolve", "toy.yaml", f"size={long}"],
        ["eval", long],
        ["review", "--against", long],
        ["check", "--format", long],
    ):
        assert main(words) != 0
        said = capsys.readouterr()
        assert len(said.err) < 3000, words[:2]
        assert said.out == ""
