"""Paths in messages, and files that are not regular."""

import os
import sys
from pathlib import Path

import pytest

from xlmgen.cli import main
from xlmgen.io.files import is_plain, without_parents

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="paths of Linux")

ENDLESS = ["/dev/zero", "/dev/null", "/proc/self/environ", "/proc/kmsg"]
ENDLESS += ["/sys/kernel/uevent_seqnum"]
TASK = """\
spec: xlmgen/task/v1
name: words
layout: lm
max_length: {length: 16}
source: {files: {train: TRAIN}, format: txt}
tokenizer: TOKENIZER
"""


@pytest.mark.parametrize("name", ENDLESS)
def test_device_or_virtual_file_is_not_plain(name, tmp_path):
    (tmp_path / "link").symlink_to(name)
    assert not is_plain(tmp_path / "link")
    assert not is_plain(tmp_path / ".." / tmp_path.name / "link")


def test_file_or_link_to_file_is_plain(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    assert is_plain(tmp_path / "file")
    assert is_plain(tmp_path / "link")
    assert not is_plain(tmp_path / "pipe")
    assert not is_plain(tmp_path)
    assert not is_plain(tmp_path / "missing")


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("command", ["check", "new", "resolve"])
def test_spec_that_is_not_regular_file_is_refused(name, command, capsys):
    if not os.path.exists(name):
        pytest.skip("not on this machine")
    assert main([command, name]) in (1, 2)
    shown = capsys.readouterr()
    assert "is not a regular file" in shown.out + shown.err


@pytest.mark.parametrize("train", ["/proc/self/environ", "link"])
def test_data_that_is_not_regular_file_is_refused(train, project, capsys):
    (project / "link").symlink_to("/proc/self/status")
    text = TASK.replace("TRAIN", train).replace("TOKENIZER", "{kind: byte}")
    (project / "words.yaml").write_text(text)
    assert main(["data", "toy.yaml", "task=./words.yaml"]) == 2
    assert f"{train} is not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["/dev/zero", "/proc/self/status"])
def test_tokenizer_that_is_not_regular_file_is_refused(file, project, capsys):
    (project / "words.txt").write_text("a\nb\nc\n" * 50)
    text = TASK.replace("TRAIN", "words.txt")
    text = text.replace("TOKENIZER", f"{{kind: file, path: {file}}}")
    (project / "words.yaml").write_text(text)
    assert main(["data", "toy.yaml", "task=./words.yaml"]) == 2
    assert f"{file} is not a regular file" in capsys.readouterr().err


def test_dots_are_removed_from_path_with_same_target(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "far" / "a").touch()
    (tmp_path / "link").symlink_to("far/inner")
    assert without_parents(Path("far/inner/../a")) == Path("far/a")
    assert without_parents(Path("none/../b")) == Path("b")
    assert without_parents(Path("link/../a")) == Path("link/../a")  # not ./a
