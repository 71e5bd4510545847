"""`xlmgen task`: a task drafted from a data file, which can be used as it is."""

import gzip
import json
import random

import pytest
import yaml

from xlmgen.cli import main
from xlmgen.data import head
from xlmgen.data.task import load_task

WORDS = ("green", "house", "walks", "over", "seven", "hills")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def draft(name, content, capsys):
    """Write a file and its draft; check and tokenise the task, and return its YAML."""
    data = content if isinstance(content, bytes) else content.encode()
    with open(name, "wb") as file:
        file.write(data)
    assert main(["task", name]) == 0
    out = capsys.readouterr().out.split()[0]
    assert main(["check", "--strict", out]) == 0
    task = load_task(out)
    kept = sum(task.summary(split).documents for split in ("train", "validation"))
    assert kept > 1
    assert len(task.examples("train")) > 0
    capsys.readouterr()
    with open(out, encoding="utf-8") as file:
        return yaml.safe_load(file)


SUMS = [{"id": n, "question": f"{n}+1=", "answer": str(n + 1)} for n in range(40)]


def test_usual_names_are_prompt_and_answer(capsys):
    task = draft("sums.jsonl", jsonl(*SUMS), capsys)
    assert task["layout"] == "seq2seq"
    assert task["source"]["columns"] == {"prompt": "question", "target": "answer"}
    assert task["max_length"] == {"prompt": 1 + 5, "answer": 2 + 1}
    assert task["tokenizer"] == {"kind": "character"}


def test_numbers_are_read_by_a_template(capsys):
    rows = [{**row, "answer": n if n % 2 else str(n)} for n, row in enumerate(SUMS)]
    task = draft("sums.jsonl", jsonl(*rows), capsys)
    assert task["source"]["templates"] == {"target": "{answer}"}
    assert task["source"]["columns"] == {"prompt": "question"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_bom_line_ends_and_delimiter_of_csv_are_found(capsys, end, mark):
    lines = ["frage;antwort", *(f"was ist {n};{n}" for n in range(30))]
    task = draft("q.csv", mark + end.join(lines) + end, capsys)
    assert task["source"]["delimiter"] == ";"
    assert task["source"]["columns"] == {"prompt": "frage", "target": "antwort"}


def test_column_with_holes_is_infill(capsys):
    drawn = random.Random(0)
    rows = ["quiz,solution"]
    for _ in range(30):
        solution = "".join(drawn.choices("1234", k=16))
        quiz = "".join(c if drawn.random() < 0.5 else "0" for c in solution)
        rows.append(f"{quiz},{solution}")
    task = draft("sudoku.csv", "\n".join(rows), capsys)
    assert task["layout"] == "infill"
    assert task["source"]["hole"] == "0"
    assert task["source"]["columns"] == {"tokens": "solution", "given": "quiz"}
    assert task["max_length"] == {"length": 18}


def test_binary_prompts_and_answers_are_no_infill(capsys):
    rows = [f"{n:08b},{255 - n:08b}" for n in range(64)]
    task = draft("bits.csv", "\n".join(["prompt,target", *rows]), capsys)
    assert task["layout"] == "seq2seq"


def test_few_numbers_are_a_vocabulary(capsys):
    drawn = random.Random(0)
    rows = [" ".join(drawn.choices("01234567", k=5)) for _ in range(50)]
    rows = [f"{row}\t{row[:3]}" for row in rows]
    task = draft("graph.tsv", "\n".join(["a\tb", *rows]), capsys)
    assert task["tokenizer"] == {"kind": "vocabulary", "range": 8}
    assert "delimiter" not in task["source"]


def test_prose_is_packed_and_compressed_text_is_read(capsys):
    drawn = random.Random(0)
    text = "\n\n".join(" ".join(drawn.choices(WORDS, k=30)) for _ in range(20))
    task = draft("novel.txt.gz", gzip.compress(text.encode()), capsys)
    assert (task["name"], task["layout"]) == ("novel", "lm")
    assert (task["packing"], task["source"]["unit"]) == ("packed", "paragraph")


def test_subwords_of_long_prose_leave_room(capsys, monkeypatch):
    monkeypatch.setattr("xlmgen.data.draft.PROSE_SIZE", 1000)
    drawn = random.Random(0)
    rows = [
        {"prompt": " ".join(drawn.choices(WORDS, k=9)), "target": f"no {n}"}
        for n in range(60)
    ]
    task = draft("stories.jsonl", jsonl(*rows), capsys)
    assert task["tokenizer"]["kind"] == "bpe"
    assert task["overflow"] == "drop"


def test_outliers_in_length_are_dropped_and_rare_characters_too(capsys):
    rows = [{"text": "ab" * (1 + n % 3)} for n in range(400)]
    rows = [{"text": f"{row['text']}{n}"} for n, row in enumerate(rows)]
    task = draft("dna.jsonl", jsonl(*rows, {"text": "a" * 5000 + "z"}), capsys)
    assert task["overflow"] == "drop"
    assert task["max_length"]["length"] < 20
    assert task["unknown"] == "drop"


def test_only_the_first_rows_of_a_large_file_are_read(capsys, monkeypatch):
    monkeypatch.setattr(head, "MOST_BYTES", 500)
    rows = [f'"{n},\n{n}",{n}' for n in range(90)]
    task = draft("large.csv", "\n".join(["prompt,target", *rows]), capsys)
    assert (task["overflow"], task["unknown"]) == ("drop", "drop")
    with open("large.yaml", encoding="utf-8") as file:
        assert "from the first 43 rows" in file.read()


def test_parquet_is_drafted(capsys):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(SUMS), "sums.parquet")
    with open("sums.parquet", "rb") as file:
        task = draft("sums.parquet", file.read(), capsys)
    assert task["source"]["columns"] == {"prompt": "question", "target": "answer"}


def test_hostile_names_stay_names(capsys):
    evil = "a\x1b[31m: {b}\n# \u202ec'\"]"
    rows = [{evil: f"{n}" * 5, "other\n::error::": "x" * 3} for n in range(30)]
    rows = [{**row, "third": "y"} for row in rows]
    with open("x y[1].log", "w", encoding="utf-8") as file:
        file.write(jsonl(*rows))
    task = draft("x y[1].log", jsonl(*rows), capsys)
    assert task["source"]["format"] == "jsonl"
    with open("x_y_1_.yaml", encoding="utf-8") as file:
        assert "\x1b" not in file.read()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "a.txt has no rows"),
        ("a.csv", b"prompt,target\n", "a.csv has no rows"),
        ("a.txt", b"one line\nand two\n", "has 2 different rows"),
        ("a.bin", b"\x00\x01" * 50, "is a binary file"),
        ("a.txt", "text\n".encode("utf-16"), "is in UTF-16"),
        ("a.txt", b"ok\n\xff\n", "a.txt:2: byte 3 of the file is not valid UTF-8"),
        ("a.csv", b"3,4\n1,2\n", "'3' is a number, not the name of a column"),
        ("a.csv", b"a,a\n1,2\n", "2 columns are called 'a'"),
        ("a.csv", b"a,b\n1,2\n1\n", "a.csv:3: the row has 1 cells"),
        ("a.json", b'[{"a": 1}]', "is one JSON list"),
        ("a.jsonl", b'{"a": 1, "a": 2}\n', "the key 'a' is repeated"),
        ("a.jsonl", b'{"prompt": "a", "target": null}\n', "holds null"),
        ("a.jsonl", b'{"prompt":"a","target":"b"}\n{"prompt":"a"}\n', "holds nothing"),
        ("a.jsonl", b'{"a": [1]}\n', "column 'a' holds [1], not a text or a number"),
        ("a.gz", b"not compressed", "cannot read a.gz"),
    ],
)
def test_unusable_file_is_one_line_and_writes_nothing(
    folder, capsys, name, content, said
):
    (folder / name).write_bytes(content)
    assert main(["task", name]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == [name]


def test_line_without_end_is_not_read_completely(folder, capsys, monkeypatch):
    monkeypatch.setattr(head, "MOST_BYTES", 100)
    (folder / "a.jsonl").write_text('{"text": "' + "x" * 1000)
    assert main(["task", "a.jsonl"]) == 2
    assert "a.jsonl:1: the line is longer than" in capsys.readouterr().err


def test_folder_names_a_file_in_it(folder, capsys):
    (folder / "data").mkdir()
    (folder / "data" / "rows.jsonl").write_text(jsonl(*SUMS))
    assert main(["task", "data"]) == 2
    assert "name a file in it, such as data/rows.jsonl" in capsys.readouterr().err
    assert main(["task", "data/rows.jsonl", "--out", "tasks/mine.yaml"]) == 0
    task = yaml.safe_load((folder / "tasks" / "mine.yaml").read_text("utf-8"))
    assert task["name"] == "mine"
    assert task["source"]["files"] == {"train": "../data/rows.jsonl"}


def test_existing_task_is_not_overwritten(folder, capsys):
    (folder / "sums.jsonl").write_text(jsonl(*SUMS))
    (folder / "sums.yaml").write_text("mine")
    assert main(["task", "sums.jsonl"]) == 2
    assert "sums.yaml already exists" in capsys.readouterr().err
    assert (folder / "sums.yaml").read_text() == "mine"


def test_next_commands_show_the_data(folder, capsys):
    (folder / "sums.jsonl").write_text(jsonl(*SUMS))
    assert main(["task", "sums.jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (command,) = [line.split()[1:] for line in lines if "xlmgen data" in line]
    assert main([*command, "--num", "1"]) == 0
    assert "prompt" in capsys.readouterr().out
