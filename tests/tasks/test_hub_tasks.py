"""Tasks of the Hub, each on a small data set with the same columns and files."""

import json
import re
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import yaml

from xlmgen import resources
from xlmgen.cli import main
from xlmgen.data.task import load_task
from xlmgen.evaluation.scores import score_rows
from xlmgen.tasks.find import BUILT_IN, find_tasks

SPLITS = ("train", "validation", "test")
SOLVED = (
    "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
)


def relabelled(i):
    """The grid with its digits permuted by the i-th permutation of 9."""
    digits, rest = [], list("123456789")
    for left in range(9, 0, -1):
        i, place = divmod(i, left)
        digits.append(rest.pop(place))
    return SOLVED.translate(str.maketrans("123456789", "".join(digits)))


def holes(grid, i):
    return "".join("." if (k + i) % 4 == 0 else d for k, d in enumerate(grid))


PROGRAM = """\
def simple_math_problem() -> int:
    \"\"\"
    Ann has {0} pears and buys 2.
    \"\"\"
    pears = {0} + 2
    result = pears
    return result
"""

# Row of each data set by its number, and the expected texts.
# A few unused columns represent all others.
ROWS = {
    "lm1b": lambda i: (
        {"text": f'" It \'s day {i} , " she said .'},
        (f'"It\'s day {i}," she said.',),
    ),
    "owt": lambda i: ({"text": f"Page {i}\n\nhas  two parts."},) * 2,
    "tinystories": lambda i: ({"text": f"Once upon a time, {i} cats sat.\n"},) * 2,
    "tiny_shakespeare_char": lambda i: (
        ({"text": "First Citizen:\nSpeak, speak.\n\n" * (1 + i)},) * 2
    ),
    "tinygsm": lambda i: (
        ({"question": f"Ann has {i} pears and buys 2.", "code": PROGRAM.format(i)},) * 2
    ),
    "gsm8k": lambda i: (
        (
            {
                "question": f"Ann has {i} pears and buys 2. How many has she?",
                "answer": f"It is {i}+2=<<{i}+2={i + 2}>>{i + 2} pears.\n#### {i + 2}",
            },
        )
        * 2
    ),
    "math500": lambda i: (
        {
            "problem": f"What is $\\frac{{{i}}}{{7}}$ of $7$?",
            "solution": f"It is $\\frac{{{i}}}{{7}} \\cdot 7 = \\boxed{{{i}}}$.",
            "answer": str(i),
            "subject": "Prealgebra",
            "level": 1 + i % 5,
            "unique_id": f"train/prealgebra/{i}.json",
        },
        (
            f"What is $\\frac{{{i}}}{{7}}$ of $7$?",
            f"It is $\\frac{{{i}}}{{7}} \\cdot 7 = \\boxed{{{i}}}$.",
        ),
    ),
    "qm9": lambda i: (
        {
            "num_atoms": i,
            "atomic_symbols": ["C", "O"],
            "pos": [[0.5, 1.0, -1.5]],
            "smiles": "[H]C([H])O" + "C" * (i % 5) + "N" * (i // 5),
            "canonical_smiles": "C" * (i % 5) + "N" * (i // 5) + "CO",
            "logP": 0.5,
        },
        ("C" * (i % 5) + "N" * (i // 5) + "CO",),
    ),
    "safe": lambda i: (
        {
            "input": f"c1cc2ccc1.C2{'C' * (i % 7)}N{'O' * (i // 7)}",
            "mc_labels": [0.5, float(i)],
        },
        (f"c1cc2ccc1.C2{'C' * (i % 7)}N{'O' * (i // 7)}",),
    ),
    "uniref50": lambda i: (
        {
            "id": f"UniRef50_A{i}",
            "name": f"UniRef50_A{i} protein n=1",
            "text": "MKTAYIAKQR" + "G" * (i % 6) + "W" * (i // 6),
        },
        ("MKTAYIAKQR" + "G" * (i % 6) + "W" * (i // 6),),
    ),
    "sudoku_extreme": lambda i: (
        {
            "source": "puzzles0_kaggle",
            "question": holes(relabelled(i), i),
            "answer": relabelled(i),
            "rating": i,
        },
        (relabelled(i), holes(relabelled(i), i)),
    ),
}
# Number of rows of each split of the data set.
COUNTS = {
    "lm1b": {"train": 40, "test": 5},
    "tinystories": {"train": 40, "validation": 5},
    "tiny_shakespeare_char": {"train": 1, "validation": 1, "test": 1},
    "gsm8k": {"train": 40, "test": 5},
    "math500": {"train": 40, "test": 5},
    "safe": {"train": 40, "validation": 4, "test": 5},
    "uniref50": {"train": 40, "validation": 4, "test": 5},
    "sudoku_extreme": {"train": 40, "test": 5},
}
ONE = {"train": 40}  # for data sets without other splits
# Rows longer than max_length, for tasks that drop them.
LONG = {
    "tinygsm": {"question": "Why? " * 300, "code": PROGRAM.format(1)},
    "gsm8k": {"question": "Why?", "answer": "Because. " * 600 + "#### 1"},
    "qm9": {"canonical_smiles": "C" * 63},
    "safe": {"input": "C" * 255},
    "uniref50": {"text": "M" * 1023},
}


def texts_of(name, i):
    """Texts of the example of a row."""
    row, texts = ROWS[name](i)
    if isinstance(texts, dict):
        texts = tuple(row.values())
    return texts


def write(folder, name):
    """Write the data set in the files of the Hub; returns the texts of each split."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    first, written = 0, {}
    for split, count in COUNTS.get(name, ONE).items():
        numbers = range(first, first := first + count)
        rows = [ROWS[name](i)[0] for i in numbers]
        if split == "train" and name in LONG:
            rows.insert(7, {**rows[0], **LONG[name]})
        table = pa.Table.from_pylist(rows)
        path = {
            "lm1b": f"plain_text/{split}/0000.parquet",  # as the Hub converts them
            "tiny_shakespeare_char": f"default/{split}/0000.parquet",
            "gsm8k": f"main/{split}-00000-of-00001.parquet",
            "sudoku_extreme": f"default/{split}/0000.parquet",
        }.get(name, f"data/{split}-00000-of-00001.parquet")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, folder / path)
        written[split] = [texts_of(name, i) for i in numbers]
    if name == "gsm8k":
        (folder / "README.md").write_text(
            "---\nconfigs:\n- config_name: main\n  data_files:\n"
            "  - {split: train, path: main/train-*}\n"
            "  - {split: test, path: main/test-*}\n---\n"
        )
    return written


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Factory: writes a data set, and the built-in task changed to read it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    library = pytest.importorskip("datasets")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    library.disable_progress_bars()
    monkeypatch.chdir(tmp_path)

    def make(name):
        document = yaml.safe_load((BUILT_IN / f"{name}.yaml").read_text("utf-8"))
        hub = document["source"]["hub"]
        hub["path"] = "./set"
        for split, called in hub.get("splits", {}).items():
            hub["splits"][split] = called.replace("100000", "5")
        if "size" in document["tokenizer"]:
            document["tokenizer"]["size"] = 300
        (tmp_path / "small.yaml").write_text(yaml.safe_dump(document), "utf-8")
        return write(tmp_path / "set", name), load_task(tmp_path / "small.yaml")

    return make


def read(task, split):
    """Texts of each document of a split."""
    examples = task.examples(split)
    if task.packing == "packed":
        stream = np.concatenate([e["tokens"] for e in examples])
        (ends,) = np.nonzero(stream == task.tokenizer.special.eos)
        assert ends[-1] == len(stream) - 1
        return [(task.decode(part),) for part in np.split(stream, ends + 1)[:-1]]
    if task.layout == "infill":
        return [infilled(task, e["tokens"], e["given"]) for e in examples]
    return [tuple(task.decode(e[key]) for key in task.columns) for e in examples]


def infilled(task, tokens, given):
    whole = task.decode(tokens)
    shown = (c if known else "." for c, known in zip(whole, given, strict=True))
    return whole, "".join(shown)


def test_every_hub_task_is_covered():
    shipped = {
        name
        for name, path in find_tasks()
        if path.parent == BUILT_IN and "hub" in load_task(path).source
    }
    assert shipped == set(ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_rows_become_examples(name, small):
    written, task = small(name)
    found = {split: read(task, split) for split in SPLITS}
    assert all(found.values())
    everything = [texts for split in SPLITS for texts in found[split]]
    assert len(set(everything)) == len(everything)
    assert sorted(everything) == sorted(chain.from_iterable(written.values()))
    splits = task.source["hub"]["splits"]
    if name == "owt":
        assert found["test"] == written["train"][-5:]
    for split, called in splits.items():
        if split != "train" and called in written:
            assert found[split] == written[called]
    long = sum(task.summary(split).dropped for split in SPLITS)
    assert long == (name in LONG)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tinygsm", "gsm8k", "math500", "sudoku_extreme"])
def test_answers_are_scored(name, small):
    if name == "math500":
        pytest.importorskip("math_verify")
    if name in ("tinygsm", "math500") and sys.platform != "linux":
        pytest.skip("model-written programs are run on Linux only")
    _, task = small(name)
    rows = task.examples("train")[:2]
    if task.layout == "infill":
        rows = task.examples("train")[:1] * 2
        right = rows[0]["tokens"][rows[0]["given"] == 0].tolist()
        answers = [right, right[::-1]]
    else:
        answers = [rows[0]["target"].tolist()] * 2
    scores = score_rows(task, rows, answers)
    assert list(scores) == list(task.metrics)
    # The wrong answer of sudoku may be partly right.
    assert all(score[0] == 1 for score in scores.values())
    assert scores.pop("token_accuracy", [1, 0])[1] < 1
    assert all(score[1] == 0 for score in scores.values())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")
def test_tinygsm_model_is_evaluated_on_gsm8k(tmp_path):
    """With the task in the documentation."""
    parquet = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    page = (Path(__file__).parents[2] / "docs/tasks/hub.md").read_text("utf-8")
    (shown,) = re.findall(r"^```yaml\n(spec: .*?)^```$", page, re.M | re.S)
    path = tmp_path / "both.yaml"
    path.write_text(shown.replace("size: 8192", "size: 300"), "utf-8")
    rows = [ROWS["tinygsm"](i)[0] for i in range(20)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "tinygsm.parquet")
    asked = pa.Table.from_pylist([ROWS["gsm8k"](i)[0] for i in (3, 4)])
    asked = asked.rename_columns(["question", "code"])
    parquet.write_table(asked, tmp_path / "gsm8k.parquet")

    task = load_task(path)
    questions = task.examples("test")
    assert [task.decode(q["target"])[-6:] for q in questions] == ["#### 5", "#### 6"]
    answer = task.tokenizer.encode(PROGRAM.format(3))
    assert score_rows(task, questions, [answer] * 2) == {"program_result": [1, 0]}


SHORT = (
    "model={d_model: 16, layers: 1, num_heads: 2}",
    "training.max_steps=2",
    "training.batch_size=4",
    "training.validate_every=2",
    "training.checkpoint_every=2",
    "training.accelerator=cpu",
    "training.precision=32-true",
    "evaluation={batch_size: 8, generate: 2, bound_samples: 1}",
    "loggers=[]",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "family"), [("qm9", "arlm"), ("sudoku_extreme", "mdlm")]
)
def test_hub_task_trains_and_is_evaluated(name, family, small, tmp_path, monkeypatch):
    if name == "qm9":
        pytest.importorskip("rdkit")
    small(name)
    monkeypatch.setenv("XLMGEN_PINNED", "")
    shipped = resources.root() / "families" / family / "experiments" / "star_tiny.yaml"
    words = ["train", str(shipped), "task=./small.yaml", *SHORT, "--run-dir", "run"]
    words.append("training.stop_when={}")  # the metric of the built-in task
    assert main(words) == 0
    assert main(["eval", "run"]) == 0
    (path,) = (tmp_path / "run" / "results").glob("*.json")
    results = json.loads(path.read_text())
    if name == "qm9":
        assert results["rows"] == 4  # a tenth of 40
        assert results["data"]["valid"] == 1  # molecules of the data
        assert {"valid", "length_mean", "different_new"} <= set(results["samples"])
    else:
        assert results["rows"] == 5
        assert set(results["scores"]) == {"exact_match", "token_accuracy", "solved"}
