"""Properties of every generator."""

import hashlib
import os
import subprocess
import sys

import pytest

from xlmgen.data.task import load_task
from xlmgen.evaluation.scores import score_rows
from xlmgen.spec import generators as rules
from xlmgen.tasks import generators
from xlmgen.tasks.find import find_tasks

TASKS = [name for name, path in find_tasks() if "generator" in load_task(path).source]
SIZES = {"train": 60, "validation": 8, "test": 25}

# hashes of test and validation rows of SIZES, by task: equal on every machine
GOLDEN = {
    "cfg": "c9d654dcf0fe9b377aca9ce2b32c7349",
    "cfg_tiny": "2214415ea6be39d1d7f739be6c453a4b",
    "graph_coloring_10": "0c3ea586c0cce39957559bd0479ed8a2",
    "graph_coloring_8": "2b32cb4cc73ebe2bc50aca4ef734bc46",
    "graph_coloring_tiny": "3f9502294e927c7b40f77813a56da0d9",
    "maze": "2aa5dee7cf86271848854ba1a4ebdc57",
    "maze_tiny": "bdfc550b6e1f754f3807122d1a3d1402",
    "n_queens_10": "991ab6f0d7e5a0eb1a080bcb083a90cc",
    "n_queens_8": "4cf5c65620537e5e983c393759dc1f53",
    "n_queens_tiny": "6a45e6bd4b7cbae5ba43fe584ec30d3c",
    "sudoku": "5e2a83898f44cd74063a23dd45c45249",
    "sudoku_tiny": "823a0a6cf92da8bee88b121c8cc65791",
    "zebra": "576536f24f80a19ad7050ed41927ce3d",
    "zebra_tiny": "fa85b357342a3271f282fe9901564411",
}
STAR = {name for name in TASKS if name.startswith("star")}  # has its own tests


def source_of(name, **sizes):
    return {**load_task(name).source, "sizes": SIZES | sizes}


@pytest.fixture(scope="module")
def made():
    """Records of a task in SIZES, generated once."""
    found = {}

    def make(name):
        source = source_of(name)
        if name not in found:
            found[name] = generators.module(source["generator"]).records(source)
        return found[name]

    return make


def rows(split):
    return list(zip(*split.values(), strict=True))


def digest(splits):
    text = repr([rows(splits[split]) for split in ("validation", "test")])
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", TASKS)
def test_splits_have_requested_sizes_and_distinct_rows(name, made):
    splits = made(name)
    assert {split: len(rows(splits[split])) for split in splits} == SIZES
    every = [row for split in splits.values() for row in rows(split)]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("name", TASKS)
def test_train_size_does_not_change_other_splits(name, made):
    source = source_of(name, train=90)
    larger = generators.module(source["generator"]).records(source)
    for split in ("validation", "test"):
        assert larger[split] == made(name)[split]
    assert rows(larger["train"])[:60] == rows(made(name)["train"])


@pytest.mark.parametrize("name", TASKS)
def test_seed_determines_rows(name, made):
    source = {**source_of(name), "seed": 1}
    other = generators.module(source["generator"]).records(source)
    assert other["test"] != made(name)["test"]


@pytest.mark.parametrize("name", [name for name in TASKS if name not in STAR])
def test_rows_equal_recorded_hash(name, made):
    assert digest(made(name))[:32] == GOLDEN[name]


@pytest.mark.slow
def test_rows_are_independent_of_hash_seed(made):
    """Python orders sets of texts differently in every process."""
    code = (
        "from xlmgen.data.task import load_task\n"
        "from xlmgen.tasks import generators\n"
        f"for name in {TASKS!r}:\n"
        f"    source = {{**load_task(name).source, 'sizes': {SIZES!r}}}\n"
        "    print(hash('a'), name, generators.module(source['generator'])"
        ".records(source)['test'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    for line, name in zip(done.stdout.splitlines(), TASKS, strict=True):
        number, _, text = line.split(" ", 2)
        assert int(number) != hash("a")
        assert text == str(made(name)["test"])


@pytest.mark.parametrize("name", TASKS)
def test_every_word_has_a_token_and_every_example_is_within_max_length(name, made):
    """The words and lengths that a generator declares hold for its examples."""
    task, splits = load_task(name), made(name)
    shape = rules.shape(task.source["generator"])
    words, longest = set(shape.words(task.source)), shape.longest(task.source)
    assert splits["test"].keys() == set(task.columns)
    keys = {"prompt": "prompt", "target": "answer", "tokens": "length"}
    for split in splits.values():
        for column in task.columns:
            if column == "given":
                continue
            texts = [text.split() for text in split[column]]
            assert {word for text in texts for word in text} <= words
            assert max(map(len, texts)) <= longest[keys[column]]
            encoded = [task.tokenizer.encode(text) for text in split[column]]
            assert list(map(len, encoded)) == list(map(len, texts))


def examples(task, split):
    """Records as examples of a task, without the cache."""
    encode = task.tokenizer.encode
    return [
        {
            column: list(map(int, text)) if column == "given" else encode(text)
            for column, text in zip(split, row, strict=True)
        }
        for row in rows(split)
    ]


@pytest.mark.parametrize("name", TASKS)
def test_targets_score_one_and_other_answers_less(name, made):
    task = load_task(name)
    some = examples(task, made(name)["test"])
    if task.layout == "seq2seq":
        answers = [example["target"] for example in some]
    elif task.layout == "infill":
        answers = [
            [t for t, g in zip(e["tokens"], e["given"], strict=True) if not g]
            for e in some
        ]
    else:
        answers = [example["tokens"] for example in some]
    known = [name for name, metric in rules.metrics().items() if not metric.whole]
    assert set(task.metrics) & set(known)
    true = score_rows(task, some, answers)
    assert {name: min(values) for name, values in true.items()} == dict.fromkeys(
        [name for name in task.metrics if name in true], 1.0
    )
    for wrong in (
        [answer[:-1] for answer in answers],
        [[*answer, answer[0]] for answer in answers],
        [[task.tokenizer.special.cls, *answer[1:]] for answer in answers],
        [[] for _ in answers],
    ):
        scores = score_rows(task, some, wrong)
        assert not any(max(scores[name]) for name in task.metrics if name in known)
