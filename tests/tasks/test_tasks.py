"""Tasks: search, validation, loading, saving, and their examples."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import xlmgen
from xlmgen import resources
from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.render.plan import EXPERIMENTS
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens
from xlmgen.spec.diagnostics import SpecError
from xlmgen.tasks.find import find_tasks

LM = """\
spec: xlmgen/task/v1
name: notes
layout: lm
max_length: {length: 12}
source: {files: {train: notes.txt, validation: more.txt, test: more.txt}}
tokenizer: {kind: character}
"""
PAIRS = """\
spec: xlmgen/task/v1
name: pairs
layout: seq2seq
max_length: {prompt: 6, answer: 4}
source: {files: {train: a.jsonl, validation: a.jsonl, test: a.jsonl}}
tokenizer: {kind: byte}
"""
INFILL = """\
spec: xlmgen/task/v1
name: holes
layout: infill
max_length: {length: 8}
source: {files: {train: a.csv, validation: a.csv, test: a.csv}}
tokenizer: {kind: character}
"""


@pytest.fixture
def notes(tmp_path):
    """Path of an lm task with two files."""
    (tmp_path / "notes.txt").write_text("abc\n\nabcabcabcabc\nab\n")
    (tmp_path / "more.txt").write_text("cab\n")
    (tmp_path / "notes.yaml").write_text(LM)
    return tmp_path / "notes.yaml"


@pytest.fixture
def pairs(tmp_path):
    """Path of a seq2seq task whose second row is too long."""
    rows = [("12345", "abc"), ("1", "abcd"), ("123", "")]
    lines = [json.dumps({"prompt": p, "target": t}) for p, t in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "pairs.yaml").write_text(PAIRS)
    return tmp_path / "pairs.yaml"


@pytest.fixture
def holes(tmp_path):
    """Path of an infill task."""
    (tmp_path / "a.csv").write_text("text,given\nabcabc,110110\nba,00\n")
    (tmp_path / "holes.yaml").write_text(INFILL)
    return tmp_path / "holes.yaml"


def change(path, **keys):
    """Change keys of a YAML file; None removes a key."""
    data = yaml.safe_load(path.read_text()) | keys
    kept = {key: value for key, value in data.items() if value is not None}
    path.write_text(yaml.safe_dump(kept, sort_keys=False))
    return path


def assert_problem(path, place, message):
    """Loading the file reports a problem at a path with a matching message."""
    with pytest.raises(SpecError) as error:
        load_task(path)
    assert str(error.value).startswith(f"{path}:")
    problems = [(problem.path, problem.text) for problem in error.value.diagnostics]
    assert any(place == p and message in text for p, text in problems), problems


# Finding


def test_built_in_tasks_are_found():
    names = [task.name for task in find_tasks()]
    assert set(EXPERIMENTS) <= set(names)
    assert names == sorted(names)


def test_nearer_task_shadows_farther_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared = tmp_path / "shared"
    for folder in (tmp_path / "tasks", shared / "tasks"):
        folder.mkdir(parents=True)
        (folder / "mine.yaml").write_text(LM)
    (shared / "tasks" / "star_easy.yaml").write_text(LM)
    monkeypatch.setenv("XLMGEN_PATH", str(shared))
    found = dict(find_tasks())
    assert found["mine"] == Path("tasks/mine.yaml")
    assert found["star_easy"] == shared / "tasks" / "star_easy.yaml"
    assert load_task("star_easy").name == "notes"
    assert "star_hard" in found


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("star_eazy", "there is no task 'star_eazy'; did you mean 'star_easy'"),
        ("zzz", "there is no task 'zzz'; known tasks: "),
        ("nowhere/star.yaml", "there is no task file nowhere/star.yaml"),
        ("../star_easy", "there is no task file ../star_easy"),
    ],
)
def test_missing_task_is_reported(name, message):
    with pytest.raises(UserError) as error:
        load_task(name)
    assert message in str(error.value)


def test_finding_and_loading_tasks_imports_nothing_heavy():
    code = (
        "import sys; from xlmgen.data.task import load_task; from xlmgen.tasks.find "
        "import find_tasks; find_tasks(); load_task('star_easy');"
        "print(*{'torch', 'numpy', 'lightning', 'tokenizers'} & sys.modules.keys())"
    )
    top = Path(xlmgen.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=top,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"


# Checking


@pytest.mark.parametrize(
    ("change_of", "place", "message"),
    [
        ({"layout": "seq2sec"}, "layout", "did you mean 'seq2seq'"),
        ({"overflw": "drop"}, "overflw", "did you mean 'overflow'"),
        ({"name": None}, "", "missing key 'name'"),
        ({"name": "a/b"}, "name", "a/b"),
        ({"max_length": {"length": 128}}, "max_length", "missing key 'answer'"),
        (
            {"max_length": {"prompt": "28", "answer": 14}},
            "max_length.prompt",
            "remove the quotes",
        ),
        (
            {"max_length": {"prompt": 20, "answer": 14}},
            "max_length.prompt",
            "at least 27",
        ),
        (
            {"max_length": {"prompt": 28, "answer": 8}},
            "max_length.answer",
            "at least 9",
        ),
        (
            {"layout": "lm", "max_length": {"length": 64}, "metrics": []},
            "layout",
            "seq2seq",
        ),
        ({"packing": "packed"}, "packing", "needs the layout lm"),
        ({"overflow": "truncate"}, "overflow", "needs the layout lm"),
        ({"metrics": ["exact"]}, "metrics[0]", "did you mean 'exact_match'"),
        ({"metrics": ["exact_match"] * 2}, "metrics", "same item twice"),
        ({"tokenizer": {"kind": "bite"}}, "tokenizer.kind", "did you mean 'byte'"),
        ({"tokenizer": {"kind": "byte", "size": 9}}, "tokenizer.size", "unknown key"),
        ({"tokenizer": {"kind": "vocabulary"}}, "tokenizer", "either range or tokens"),
        (
            {"tokenizer": {"kind": "vocabulary", "range": 19}},
            "tokenizer.range",
            "write range: 20",
        ),
        ({"tokenizer": {"kind": "bpe", "size": 260}}, "tokenizer.size", "261"),
        ({"tokenizer": {"kind": "file"}}, "tokenizer", "missing key 'path'"),
    ],
)
def test_mistake_in_yaml_is_located(tmp_path, change_of, place, message):
    original = next(path for name, path in find_tasks() if name == "star_easy")
    path = tmp_path / "mine.yaml"
    path.write_text(original.read_text())
    change(path, **change_of)
    assert_problem(path, place, message)


@pytest.mark.parametrize(
    ("change_of", "place", "message"),
    [
        ({"nodes": {"min": 5, "max": 4}}, "source.nodes", "less than min"),
        ({"plan": 5}, "source.plan", "nodes.min - 1 = 4"),
        ({"vocabulary": 12}, "source.vocabulary", "at least 13"),
        ({"generator": "stars"}, "source.generator", "'star'"),
        ({"sizes": {"train": 5}}, "source.sizes", "missing key"),
        (
            {"sizes": {"train": 5, "validation": 5, "test": 0}},
            "source.sizes.test",
            "≥ 1",
        ),
        ({"seed": -1}, "source.seed", "out of range"),
        ({"files": {"train": "a.txt"}}, "source", "choose one of generator, python"),
    ],
)
def test_mistake_in_star_source_is_located(tmp_path, change_of, place, message):
    task = load_task("star_easy")
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(dict(task.document)))
    change(path, source={**task.source, **change_of})
    assert_problem(path, place, message)


def test_mistakes_in_files_source_are_located(notes):
    for source, message in (
        ({"files": "notes.txt"}, "source.files"),
        ({"files": {}}, "missing key 'train'"),
        ({"files": {"train": []}}, "at least 1"),
        ({"files": {"train": "a"}, "unit": "lines"}, "did you mean 'line'"),
        ({"files": {"train": "a"}, "shares": {"test": 0.5}}, "source.shares.test"),
        ({"files": {"train": "a"}, "columns": {"text": "a"}}, "source.columns"),
    ):
        change(notes, source=source)
        with pytest.raises(UserError) as error:
            load_task(notes)
        assert message in str(error.value)


def test_metrics_of_other_layouts_or_generators_are_refused(notes, pairs):
    with pytest.raises(UserError, match="the layout lm does not have"):
        load_task(change(notes, metrics=["exact_match"]))
    with pytest.raises(UserError, match="star graphs only"):
        load_task(change(pairs, metrics=["exact_match", "valid_path"]))


def test_every_key_of_the_schema_is_explained():
    schema = json.loads((resources.root() / "schemas/task.schema.json").read_text())
    seen = 0

    def visit(node, required=()):
        nonlocal seen
        if isinstance(node, list):
            for part in node:
                visit(part)
        if not isinstance(node, dict):
            return
        for name, key in node.get("properties", {}).items():
            if "type" not in key and "$ref" not in key and "enum" not in key:
                continue  # a condition on a key that is described elsewhere
            if set(key) <= {"const", "enum", "x-message", "$ref"}:
                continue
            seen += 1
            assert key.get("description"), name
            assert key.get("examples"), name
        for part in node.values():
            visit(part)

    visit(schema)
    assert seen > 35


# Loading and examples


def test_built_in_star_task_is_loaded():
    task = load_task("star_tiny")
    assert task.max_length == MaxLength(answer=5, prompt=11)
    special = task.tokenizer.special
    assert special == SpecialTokens(0, 1, 2, 3, 4, vocab_size=15)
    assert len(task.examples("test")) == task.source["sizes"]["test"]
    example = task.examples("validation")[0]
    assert set(example) == {"prompt", "target"}
    assert example["prompt"].dtype == np.int64
    text = task.decode(example["prompt"])
    assert len(text.split()) == 10
    again = task.encode_prompt(text)
    assert set(again) == {"prompt"}
    assert again["prompt"].tolist() == example["prompt"].tolist()


def test_examples_support_indexing_and_slicing():
    examples = load_task("star_tiny").examples("test")
    last = examples[len(examples) - 1]["prompt"]
    assert examples[-1]["prompt"].tolist() == last.tolist()
    assert [len(row) for row in (examples[2:4], list(examples))] == [2, len(examples)]
    with pytest.raises(IndexError):
        examples[len(examples)]
    with pytest.raises(IndexError):
        examples[-len(examples) - 1]


def test_unknown_split_is_refused():
    with pytest.raises(UserError, match="'dev'; it is one of train, validation, test"):
        load_task("star_tiny").examples("dev")


def test_too_long_lm_example_is_located(notes):
    task = load_task(notes)
    with pytest.raises(UserError) as error:
        task.examples("train")
    for part in ("notes.txt:3 (train split)", "12 tokens", "room for 10", "to 14"):
        assert part in str(error.value)
    assert [e["tokens"].tolist() for e in task.examples("test")] == [[7, 5, 6]]


def test_suggested_max_length_of_overflow_error_works(notes):
    task = load_task(change(notes, max_length={"length": 14}))
    assert [len(e["tokens"]) for e in task.examples("train")] == [3, 12, 2]
    with pytest.raises(UserError, match=r"notes\.txt:3 "):
        load_task(change(notes, max_length={"length": 13})).examples("train")


def test_too_long_examples_are_dropped_or_truncated(notes):
    dropped = load_task(change(notes, overflow="drop")).examples("train")
    assert [len(e["tokens"]) for e in dropped] == [3, 2]
    cut = load_task(change(notes, overflow="truncate")).examples("train")
    assert [len(e["tokens"]) for e in cut] == [3, 10, 2]
    assert cut[1]["tokens"].tolist() == [5, 6, 7] * 3 + [5]


def test_prompt_and_target_have_separate_limits(pairs):
    with pytest.raises(UserError) as error:
        load_task(pairs).examples("train")
    for part in (
        "the target of",
        "a.jsonl:2 (train",
        "4 tokens",
        "room for 3",
        "max_length.answer to 5",
    ):
        assert part in str(error.value)
    kept = load_task(change(pairs, overflow="drop")).examples("train")
    assert [(len(e["prompt"]), len(e["target"])) for e in kept] == [(5, 3), (3, 0)]
    change(pairs, max_length={"prompt": 5, "answer": 9}, overflow="error")
    with pytest.raises(UserError, match=r"the prompt of .*a\.jsonl:1 "):
        load_task(pairs).examples("train")
    change(pairs, max_length={"prompt": 1, "answer": 2}, overflow="drop")
    with pytest.raises(UserError, match="every example of the train split is too"):
        load_task(pairs).examples("train")


def test_infill_examples_have_given_flags(holes):
    examples = load_task(holes).examples("train")
    assert [e["tokens"].tolist() for e in examples] == [[5, 6, 7, 5, 6, 7], [6, 5]]
    assert [e["given"].tolist() for e in examples] == [[1, 1, 0, 1, 1, 0], [0, 0]]


@pytest.mark.parametrize("given", ["11", "1102", "11111"])
def test_given_must_have_one_flag_per_token(holes, given):
    (holes.parent / "a.csv").write_text(f"text,given\nabca,{given}\n")
    with pytest.raises(UserError, match=r"a\.csv:2: `given` is '" + given):
        load_task(holes).examples("train")


def test_text_that_cannot_be_tokenised_is_located(notes):
    (notes.parent / "more.txt").write_text("cab\n\ncaxb\n")
    with pytest.raises(UserError, match=r"more\.txt:3: .* 'x' at character 2"):
        load_task(notes).examples("train")


# Prompts


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("1 2 88", "no token for '88' at character 4"),
        ("1 2 [EOS]", "'[EOS]' at character 4 is the name of a special token"),
        ("1 " * 40, "it has 40 tokens, and max_length has room for 10"),
    ],
)
def test_invalid_prompt_is_refused(prompt, message):
    with pytest.raises(UserError) as error:
        load_task("star_tiny").encode_prompt(prompt)
    assert message in str(error.value)


def test_prompt_with_holes_is_encoded(holes):
    prompt = load_task(holes).encode_prompt("a[MASK]bb[MASK]")
    assert prompt["tokens"].tolist() == [5, 3, 6, 6, 3]
    assert prompt["given"].tolist() == [1, 0, 1, 1, 0]
    with pytest.raises(UserError, match="room for 6"):
        load_task(holes).encode_prompt("a[MASK]bb[MASK]aa")


# Saving


def test_saved_task_needs_neither_folder_nor_data(notes, tmp_path, monkeypatch):
    change(notes, max_length={"length": 14})
    task = load_task(notes)
    run = tmp_path / "run"
    run.mkdir()
    task.save(run)
    assert sorted(path.name for path in run.iterdir()) == [
        "task.yaml",
        "tokenizer.json",
    ]

    monkeypatch.chdir(run)
    again = load_task("task.yaml", tokenizer=run / "tokenizer.json")
    assert [e["tokens"].tolist() for e in again.examples("train")] == [
        e["tokens"].tolist() for e in task.examples("train")
    ]
    # The data has changed: a tokenizer trained now would have other ids.
    (tmp_path / "notes.txt").write_text("zyx")
    later = load_task("task.yaml", tokenizer=run / "tokenizer.json")
    assert later.encode_prompt("abc")["prompt"].tolist() == [5, 6, 7]
    (tmp_path / "notes.txt").unlink()
    assert later.decode([5, 6, 2, 7]) == "abc"


def test_relative_paths_start_at_the_yaml_file(notes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    task = load_task(Path(tmp_path.name) / "notes.yaml")
    assert len(task.examples("test")) == 1


def test_text_task_reads_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no file matches data/\*\.txt"):
        load_task("text").examples("train")
    (tmp_path / "data").mkdir()
    for name in "ab":
        paragraphs = [f"{name} number {i}\nof many" for i in range(300)]
        (tmp_path / "data" / f"{name}.txt").write_text("\n\n".join(paragraphs))
    task = load_task("text")
    examples = task.examples("train")
    assert all(len(e["tokens"]) == 256 for e in examples[:-1])
    text = task.decode(np.concatenate([e["tokens"] for e in examples]))
    assert 500 < text.count("of many") < 600
    held_out = task.decode(task.examples("test")[0]["tokens"])
    assert "a number" in held_out or "b number" in held_out


def test_error_in_examples_has_file_and_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.yaml").write_text(
        "spec: xlmgen/task/v1\nname: t\nlayout: seq2seq\n"
        "max_length: {prompt: 12, answer: 8}\n"
        "source:\n  generator: star\n  arms: 2\n  nodes: {min: 3, max: 3}\n"
        "  plan: 2\n  vocabulary: 5\n"
        "  sizes: {train: 100000, validation: 1, test: 1}\n"
        "tokenizer: {kind: vocabulary, range: 10}\n"
    )
    with pytest.raises(UserError) as caught:
        load_task("t.yaml").examples("train")
    assert caught.value.message.startswith("t.yaml:11: source.sizes: asks for 100002 ")
    assert "ask for fewer" in caught.value.fix


def test_error_about_a_key_has_file_and_line(notes):
    (notes.parent / "more.txt").unlink()
    with pytest.raises(UserError) as caught:
        load_task(notes).examples("train")
    assert f"{notes}:5: source.files.validation: there is no file" in str(caught.value)
    (notes.parent / "empty").mkdir()
    text = LM.replace("{kind: character}", "{kind: file, path: empty}")
    notes.write_text(text)
    with pytest.raises(UserError, match=rf"^{notes}:6: tokenizer.path: "):
        _ = load_task(notes).tokenizer


def test_path_in_error_has_no_parent_references(notes):
    (notes.parent / "tasks").mkdir()
    text = LM.replace("notes.txt", "../notes.txt").replace("more.txt", "../no.txt")
    (notes.parent / "tasks" / "notes.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"there is no file {notes.parent}/no\.txt"):
        load_task(notes.parent / "tasks" / "notes.yaml").examples("train")


def test_long_value_in_error_is_shortened(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"prompt": [{"content": "x" * 200_000}], "target": "1"})
    )
    (tmp_path / "pairs.yaml").write_text(PAIRS)
    with pytest.raises(UserError) as caught:
        load_task(tmp_path / "pairs.yaml").examples("train")
    assert 'a.jsonl:1: column \'prompt\' holds [{"content": "xxx' in str(caught.value)
    assert len(str(caught.value)) < 400
