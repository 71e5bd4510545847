"""Readers of files: compression, delimiters, repeated names."""

import bz2
import gzip
import json
import lzma

import pytest

from xlmgen.data.readers import Reading, expand, read
from xlmgen.data.task import load_task
from xlmgen.data.text_files import ending
from xlmgen.errors import UserError
from xlmgen.io.files import begin
from xlmgen.spec.diagnostics import SpecError

TASK = """\
spec: xlmgen/task/v1
name: some
layout: lm
max_length: {{length: 40}}
source: {{files: {{train: {train}}}{more}}}
tokenizer: {{kind: byte}}
"""
ROWS = [(1, "0010"), (2, "NA"), (3, "x;y")]
CSV = 'text\n0010\nNA\n"x;y"\n'
JSONL = "".join(f"{json.dumps({'text': text})}\n" for _, text in ROWS)


def rows(path, how=Reading(), wanted=("text",)):  # noqa: B008
    return [(at, cells["text"]) for at, cells in read(path, how, "text", wanted)]


def load(folder, train, more=""):
    (folder / "some.yaml").write_text(TASK.format(train=train, more=more))
    return load_task(folder / "some.yaml")


def texts(task):
    return [row.texts[0] for row in task.corpus.rows()]


@pytest.mark.parametrize(
    ("name", "content", "first"),
    [
        ("a.jsonl", JSONL, 1),
        ("A.JSONL", JSONL, 1),
        ("a.ndjson", JSONL, 1),
        ("a.csv", CSV, 2),
        ("a.Csv", CSV, 2),
        ("a.tsv", CSV.replace('"', ""), 2),
        ("a.txt", "0010\nNA\nx;y", 1),
        ("a.v2.TXT", "0010\nNA\nx;y", 1),
    ],
)
@pytest.mark.parametrize(
    ("behind", "packed"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".GZ", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
    ],
)
def test_suffix_selects_reader_and_decompression(
    tmp_path, name, content, first, behind, packed
):
    path = tmp_path / f"{name}{behind}"
    path.write_bytes(packed(content.encode()))
    assert rows(path) == [(first + at - 1, text) for at, text in ROWS]
    assert ending(path) == f".{name.rpartition('.')[2].lower()}"


@pytest.mark.parametrize(
    "broken",
    [b"no", gzip.compress(JSONL.encode())[:-9], gzip.compress(b"a" * 999)[:20]],
    ids=["not gzip", "without its end", "cut short"],
)
def test_damaged_compressed_file_is_named(tmp_path, broken):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(broken)
    with pytest.raises(
        UserError, match=r"cannot read .*a\.txt\.gz: .*; check the file"
    ):
        rows(path)


def test_invalid_utf8_in_compressed_file_is_located(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"ab\n\xc3\xa4\nc\xff"))
    with pytest.raises(UserError, match=r"a\.txt\.gz:3: byte 7 of the file is not"):
        rows(path)


# Delimiters


@pytest.mark.parametrize("mark", [";", "|", "\t", ","])
def test_cells_are_split_at_configured_delimiter(tmp_path, mark):
    (tmp_path / "a.csv").write_text(
        f"n{mark}text\n" + "".join(f'{n}{mark}"{n}{mark}x"\n' for n in range(30))
    )
    task = load(tmp_path, "a.csv", f", delimiter: {json.dumps(mark)}")
    assert texts(task) == [f"{n}{mark}x" for n in range(30)]


def test_other_delimiter_is_suggested(tmp_path):
    (tmp_path / "a.csv").write_text("n;text\n1;x\n")
    with pytest.raises(UserError) as error:
        texts(load(tmp_path, "a.csv"))
    assert "a.csv:2: there is no column 'text'" in str(error.value)
    assert """only column is 'n;text': set source.delimiter to ";" if""" in str(
        error.value
    )


@pytest.mark.parametrize("mark", [";;", "", '"', "\n", " ", 3])
def test_invalid_delimiter_is_refused(tmp_path, mark):
    with pytest.raises(SpecError, match=r"source\.delimiter"):
        load(tmp_path, "a.csv", f", delimiter: {json.dumps(mark)}")


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ('text\nx\n"say "hi""\ny\n', 3, "not CSV"),
        ('text\n\nx\n"one\ntwo" z\ny\n', 4, "not CSV"),
        ('text\nx\n"never closed\ny\n', 3, "not CSV"),
        ('text,n\n"one\ntwo",1\n"three\nfour"\nx,2\n', 4, "the row has 1 cells"),
    ],
)
def test_csv_error_names_first_line_of_row(tmp_path, content, line, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(UserError) as error:
        rows(tmp_path / "a.csv")
    assert str(error.value).startswith(f"{tmp_path / 'a.csv'}:{line}: {message}")


# Repeated names


def test_repeated_json_key_in_use_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"text": "a", "n": {"x": 1, "x": 2}}\n{"text": "a", "text": "b"}\n'
    )
    with pytest.raises(UserError, match=r"a\.jsonl:2: the key 'text' is repeated"):
        rows(path)


def test_repeated_json_key_not_in_use_is_allowed(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"n": 1, "text": "a", "n": 2}\n')
    assert rows(path) == [(1, "a")]


def test_repeated_parquet_column_is_refused(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [pyarrow.array([f"{c}{n}" for n in range(3)]) for c in "abc"]
    path = tmp_path / "a.parquet"
    table = pyarrow.Table.from_arrays(columns, names=["n", "n", "text"])
    parquet.write_table(table, path)
    assert rows(path) == [(1, "c0"), (2, "c1"), (3, "c2")]
    with pytest.raises(UserError, match=r"a\.parquet: 2 columns are called 'n'"):
        rows(path, wanted=("n",))


def test_invalid_utf8_in_parquet_is_located(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    raw = pyarrow.array([b"good"] * 300 + [b"bad \xff", b"good"], pyarrow.binary())
    text = pyarrow.Array.from_buffers(pyarrow.string(), len(raw), raw.buffers())
    parquet.write_table(pyarrow.table({"text": text}), tmp_path / "a.parquet")
    with pytest.raises(
        UserError, match=r"a\.parquet:301: column 'text' is not valid UTF-8"
    ):
        rows(tmp_path / "a.parquet")


# Paths


def test_path_with_tilde_is_expanded(tmp_path, monkeypatch):
    home = tmp_path / "home [1]"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    (home / "a.txt").write_text("a")
    for path in ("~/a.txt", "~/*.txt"):
        assert expand(path, tmp_path, "train") == [home / "a.txt"]
    task = load(tmp_path, '"~/a.txt"')
    assert task.settings["source"]["files"] == {"train": str(home / "a.txt")}
    assert begin(tmp_path, "a~/b") == (tmp_path, "a~/b")


@pytest.mark.parametrize(
    ("files", "such_as"),
    [
        (["a.md", "b.jsonl", "c.jsonl"], r"texts/\*\.jsonl"),
        (["a.csv.gz"], r"texts/\*\.csv\.gz"),
        ([".a.csv", ".b.csv", "c.TXT"], r"texts/\*\.TXT"),
        ([], r"texts/\*\.txt"),
    ],
)
@pytest.mark.parametrize("given", ["texts", "texts/"])
def test_folder_instead_of_files_suggests_pattern(tmp_path, files, such_as, given):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in files:
        (folder / name).touch()
    with pytest.raises(UserError, match=rf"texts is a folder; .*, such as {such_as}$"):
        expand(given, tmp_path, "train")


def test_pattern_that_matches_only_folders_is_refused(tmp_path):
    (tmp_path / "texts").mkdir()
    with pytest.raises(UserError, match=r"no file matches .*, and .*texts is a folder"):
        expand("t*", tmp_path, "train")
