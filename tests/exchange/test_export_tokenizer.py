"""transformers' `AutoTokenizer` loads the run's tokenizer from an export."""

import importlib.util
import itertools
import json
import shutil

import pytest
import yaml
from transformers import AutoTokenizer

from xlmgen.cli import main
from xlmgen.data import auto_tokenizer
from xlmgen.exchange import tokenizer_files
from xlmgen.runs.run import Run

from .conftest import rewrite

WORDS = ("1950", "naïve", "café", "isn't", "x=y")
# Two spaces, a number and an accent: Qwen2's own rules give other ids for each.
LINES = ["A  year " + "  ".join(words) for words in itertools.permutations(WORDS)]
KINDS = {
    "character": {},
    "byte": {},
    "bpe": {"size": 320},
    "unigram": {"size": 300},
    "wordpiece": {"size": 200},
    "whitespace": {},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    (tmp_path / "lines.txt").write_text("\n".join(LINES), encoding="utf-8")


def trained(kind):
    """An untrained run of the task with a kind of tokenizer."""
    task = {
        "spec": "xlmgen/task/v1",
        "name": "lines",
        "layout": "lm",
        "max_length": {"length": 64},
        "source": {"files": {"train": "lines.txt"}, "shares": {"validation": 0.1}},
        "tokenizer": {"kind": kind, **KINDS[kind]},
    }
    experiment = {
        "spec": "xlmgen/experiment/v1",
        "family": "dream",
        "task": "./task.yaml",
        "size": "tiny",
        "model": {"layers": 1, "d_model": 16, "num_heads": 2},
        "training": {"max_steps": 1, "batch_size": 2, "accelerator": "cpu"},
        "evaluation": {"generate": 0},
        "loggers": [],
    }
    for name, content in (("task", task), ("experiment", experiment)):
        with open(f"{name}.yaml", "w", encoding="utf-8") as file:
            yaml.safe_dump(content, file)
    assert main(["train", "experiment.yaml", "--run-dir", "run"]) == 0
    return Run.open("run").load_task().tokenizer


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_same_ids_and_texts(kind, capsys, tmp_path):
    tokenizer = trained(kind)
    capsys.readouterr()
    assert main(["export", "run", "out"]) == 0
    assert capsys.readouterr().out == "out\n"
    loaded = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert len(loaded) <= tokenizer.vocab_size
    for line in LINES[:20]:
        ids = tokenizer.encode(line)
        assert loaded(line)["input_ids"] == ids
        assert loaded.decode(ids) == tokenizer.decode(ids)
    for role in ("pad", "bos", "eos", "mask"):
        found = getattr(loaded, f"{role}_token_id")
        assert found == getattr(tokenizer.special, role)


def test_code_of_the_export_loads_the_same_tokenizer(tmp_path, monkeypatch):
    """A user may pass `trust_remote_code=True`, which imports the named class."""
    from transformers import dynamic_module_utils

    modules = tmp_path / "modules"
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(modules))
    monkeypatch.syspath_prepend(modules)
    tokenizer = trained("character")
    assert main(["export", "run", "out"]) == 0
    loaded = AutoTokenizer.from_pretrained(tmp_path / "out", trust_remote_code=True)
    assert type(loaded).__name__ == "SavedTokenizer"
    assert loaded(LINES[0])["input_ids"] == tokenizer.encode(LINES[0])


def test_layout_that_loads_as_another_tokenizer_is_refused(
    tmp_path, monkeypatch, capsys
):
    trained("bpe")
    monkeypatch.setattr(tokenizer_files, "AUTO_MAP", {})
    assert main(["export", "run", "out"]) == 2
    message = capsys.readouterr().err
    assert "AutoTokenizer would load another tokenizer than the run's" in message
    assert "nothing was written" in message
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("part", ["pre_tokenizer", "decoder"])
def test_difference_in_texts_alone_is_found(tmp_path, part):
    """Its tokens have the same ids."""
    trained("byte")
    assert main(["export", "run", "out"]) == 0
    rewrite(tmp_path / "out" / "tokenizer.json", **{part: None})
    found = auto_tokenizer.compare(tmp_path / "out", Run.open("run").load_task())
    assert " becomes " in found.difference


def test_token_beyond_the_embedding_is_found(tmp_path):
    trained("character")
    assert main(["export", "run", "out"]) == 0
    rewrite(tmp_path / "out" / "tokenizer_config.json", unk_token="<unknown>")
    found = auto_tokenizer.compare(tmp_path / "out", Run.open("run").load_task())
    assert "it adds '<unknown>'" in found.difference


def test_missing_transformers_is_one_line_that_names_the_extra(
    tmp_path, monkeypatch, capsys
):
    trained("character")
    capsys.readouterr()
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "transformers" else real(name, *rest),
    )
    assert main(["export", "run", "out"]) == 0
    path, note = capsys.readouterr().out.splitlines()
    assert path == "out"
    assert note.endswith("transformers is not installed: pip install 'xlmgen[export]'")


def test_unreadable_data_is_one_line_and_tokens_are_compared(tmp_path, capsys):
    trained("character")
    (tmp_path / "lines.txt").unlink()
    capsys.readouterr()
    assert main(["export", "run", "out"]) == 0
    _, note = capsys.readouterr().out.splitlines()
    assert "not compared with AutoTokenizer's on the task's texts" in note


def test_files_of_a_checkpoint_that_load_otherwise_are_replaced(
    make_checkpoint, tmp_path, capsys
):
    """Its pre-tokenizer keeps numbers together; Qwen2's class splits their digits."""
    folder, _ = make_checkpoint()
    saved = folder / "tokenizer.json"
    data = json.loads(saved.read_text("utf-8"))
    ids = data["model"]["vocab"]
    del ids["þ"]  # a token for the pair 1 9 in place of one that no text needs
    data["model"]["vocab"] = ids | {"19": max(ids.values())}
    names = sorted(data["model"]["vocab"], key=data["model"]["vocab"].get)
    data["model"]["vocab"] = {name: number for number, name in enumerate(names)}
    data["model"]["merges"] = [["1", "9"]]
    saved.write_text(json.dumps(data), "utf-8")
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ x }}"}')
    (tmp_path / "data").mkdir()
    shutil.copy("lines.txt", "data/lines.txt")
    assert main(["import", str(folder), "--run-dir", "run"]) == 0
    capsys.readouterr()
    assert main(["export", "run", "out"]) == 0
    assert "the run's tokenizer was written in their place" in capsys.readouterr().out
    loaded = AutoTokenizer.from_pretrained(tmp_path / "out")
    tokenizer = Run.open("run").load_task().tokenizer
    assert loaded("1950")["input_ids"] == tokenizer.encode("1950")
    assert len(tokenizer.encode("1950")) == 3
    assert loaded.chat_template == "{{ x }}"
