"""Local files: formats, units, shares and mistakes."""

import json
import sys

import pytest

from xlmgen.data import text_files
from xlmgen.data.sources import Corpus
from xlmgen.errors import UserError
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.load import load_yaml
from xlmgen.spec.validate import validate
from xlmgen.tasks.spec import SPLITS

HEAD = """\
spec: xlmgen/task/v1
name: some
tokenizer: {kind: byte}
"""
LAYOUTS = {
    ("tokens",): "layout: lm\nmax_length: {length: 9}\n",
    ("prompt", "target"): "layout: seq2seq\nmax_length: {prompt: 9, answer: 9}\n",
}


def source(text, columns=("tokens",)):
    """A `source:` as the loader returns it, with defaults."""
    document = load_yaml("some.yaml", f"{HEAD}{LAYOUTS[columns]}source: {text}")
    assert validate(document, "task") == []
    return fill_defaults(document.data, "task")["source"]


class Texts:
    """Rows of one split: texts by key, and places."""

    def __init__(self, columns):
        self.columns = {key: [] for key in columns}
        self.places = []

    def __len__(self):
        return len(self.places)


def read(text, folder, columns=("tokens",)):
    """Rows of every split, as `xlmgen.data.tokenise` reads them."""
    corpus = Corpus(source(text, columns), columns, folder)
    found = {split: Texts(columns) for split in SPLITS}
    left_out = 0
    for row in corpus.rows():
        if row.texts is None:
            left_out += 1
            continue
        for key, value in zip(columns, row.texts, strict=True):
            found[row.split].columns[key].append(value)
        found[row.split].places.append(corpus.place(row.piece, row.number))
    corpus.refuse_empty({split: len(texts) for split, texts in found.items()}, left_out)
    return found


def read_train(text, folder, columns=("tokens",)):
    return read(text, folder, columns)["train"]


def same_for_all(name, *more):
    """A source with the same file for all splits."""
    return "".join(
        [f"{{files: {{train: {name}, validation: {name}, test: {name}}}", *more, "}"]
    )


TEXT = "one\ntwo\n\n \nthree\n\n\nfour"


@pytest.mark.parametrize(
    ("unit", "texts", "lines"),
    [
        ("line", ["one", "two", "three", "four"], [1, 2, 5, 8]),
        ("paragraph", ["one\ntwo", "three", "four"], [1, 5, 8]),
        ("file", [TEXT], [1]),
    ],
)
def test_text_file_is_split_into_units(tmp_path, unit, texts, lines):
    (tmp_path / "a.txt").write_text(TEXT)
    train = read_train(same_for_all("a.txt", f", unit: {unit}"), tmp_path)
    assert train.columns == {"tokens": texts}
    assert train.places == [f"{tmp_path / 'a.txt'}:{line}" for line in lines]


def test_line_ends_and_byte_order_mark_are_removed(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\x0bfour\xc2\x85\n")
    train = read_train(same_for_all("a.txt"), tmp_path)
    assert train.columns["tokens"] == ["one", "two", "three\x0bfour\x85"]


def test_tables_return_named_columns(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"q": "1+1", "a": "2", "n": 3}\n\n{"a": "", "q": "a \\u00e9\\nb"}\n'
    )
    (tmp_path / "a.csv").write_text('n,q,a\n3,1+1,2\n4,"a é\nb",\n')
    for name, lines in (("a.jsonl", [1, 3]), ("a.csv", [2, 3])):
        train = read_train(
            same_for_all(name, ", columns: {prompt: q, target: a}"),
            tmp_path,
            ("prompt", "target"),
        )
        assert train.columns == {"prompt": ["1+1", "a é\nb"], "target": ["2", ""]}
        assert train.places == [f"{tmp_path / name}:{line}" for line in lines]


def test_parquet_rows_are_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"text": ["one", "two"], "n": [1, 2]})
    parquet.write_table(table, tmp_path / "a.parquet")
    train = read_train(same_for_all("a.parquet"), tmp_path)
    assert train.columns == {"tokens": ["one", "two"]}
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(UserError, match="not a parquet file"):
        read_train(same_for_all("a.parquet"), tmp_path)


def test_parquet_without_pyarrow_names_the_package(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_text("x")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="pip install pyarrow"):
        read_train(same_for_all("a.parquet"), tmp_path)


def test_lists_and_patterns_name_each_file_once(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.txt").write_text(name)
    train = read_train(
        "{files: {train: [c.txt, '*.txt'], validation: a.txt, test: a.txt}}", tmp_path
    )
    assert train.columns["tokens"] == ["c", "a", "b"]


def test_folder_name_with_pattern_characters_is_literal(tmp_path):
    folder = tmp_path / "data [1]"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    train = read_train(same_for_all("'*.txt'"), folder)
    assert train.columns["tokens"] == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "t,n\nx,1\n", "a.csv:2: there is no column 'text'; set "),
        ("a.csv", "t,n\nx,1\n", "source.columns.tokens to one of t, n"),
        ("a.csv", "text,n\nx\n", "a.csv:2: the row has 1 cells, and the first"),
        ("a.csv", "text,n\nx,y,z\n", "a.csv:2: the row has 3 cells, and the first"),
        ("a.csv", 'text\n"x\n', "not CSV"),
        ("a.csv", "text,n,text\nx,1,y\n", "a.csv:1: 2 columns are called 'text'; give"),
        ("a.jsonl", '{"text": "x"}\n{"text": }\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: '[1]' is not a JSON object"),
        ("a.jsonl", '{"text": 3}\n', "a.jsonl:1: column 'text' holds 3, not a text"),
        ("a.jsonl", '{"txt": "x"}\n', "a.jsonl:1: there is no column 'text'"),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": "b \\ud83d"}\n',
            "a.jsonl:2: \\ud83d at character 2 is an unpaired surrogate",
        ),
        ("a.txt", "\n \n", "the train split has no examples"),
        ("a.csv", "text\n", "the train split has no examples"),
        ("a.md", "x", "the format of *.md files is unknown"),
    ],
)
def test_mistake_in_file_is_located(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as error:
        read(same_for_all(name), tmp_path)
    assert message in str(error.value)


def test_unused_columns_may_share_a_name(tmp_path):
    (tmp_path / "a.csv").write_text("n,text,n\n1,x,2\n")
    assert read_train(same_for_all("a.csv"), tmp_path).columns["tokens"] == ["x"]


@pytest.mark.parametrize("bad", [b"\xff\nd", b"\xc3\nd", b"\xc3"])
@pytest.mark.parametrize("chunk", [1, 4, 1 << 20])
def test_invalid_utf8_is_located(tmp_path, monkeypatch, chunk, bad):
    monkeypatch.setattr(text_files, "BYTES_AT_ONCE", chunk)
    (tmp_path / "a.txt").write_bytes(b"ab\n\xc3\xa4\nc" + bad)
    with pytest.raises(
        UserError, match=r"a\.txt:3: byte 7 of the file is not valid UTF-8"
    ):
        read(same_for_all("a.txt"), tmp_path)


def test_missing_file_is_reported(tmp_path):
    said = rf"source\.files\.train: there is no file .*it is relative to {tmp_path}"
    with pytest.raises(UserError, match=said):
        read(same_for_all("a.txt"), tmp_path)


def test_format_option_overrides_suffix(tmp_path):
    (tmp_path / "a.data").write_text(json.dumps({"text": "x"}))
    train = read_train(same_for_all("a.data", ", format: jsonl"), tmp_path)
    assert train.columns["tokens"] == ["x"]


def test_text_file_is_refused_for_pairs(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match="for the layout lm only"):
        read(same_for_all("a.txt"), tmp_path, ("prompt", "target"))


# Shares


def numbered(tmp_path, count):
    (tmp_path / "a.txt").write_text("\n".join(f"line {i}" for i in range(count)))


def test_shares_make_disjoint_splits(tmp_path):
    numbered(tmp_path, 400)
    splits = read("{files: {train: a.txt}, shares: {test: 0.1}}", tmp_path)
    sizes = {split: len(texts) for split, texts in splits.items()}
    assert sizes == {"train": 340, "validation": 20, "test": 40}
    texts = [text for part in splits.values() for text in part.columns["tokens"]]
    assert sorted(texts) == sorted(f"line {i}" for i in range(400))
    test = [int(text.split()[1]) for text in splits["test"].columns["tokens"]]
    assert test == sorted(test)  # rows keep their order
    assert max(test) > 300  # and are spread over the file
    assert min(test) < 100
    row = splits["test"].columns["tokens"][3]
    assert splits["test"].places[3].endswith(f":{int(row.split()[1]) + 1}")


def test_seed_changes_rows_of_shares(tmp_path):
    numbered(tmp_path, 100)
    tests = [
        read(f"{{files: {{train: a.txt}}, seed: {seed}}}", tmp_path)["test"].columns
        for seed in (1, 1, 2)
    ]
    assert tests[0] == tests[1] != tests[2]


def test_equal_texts_are_in_the_same_split(tmp_path):
    lines = [f"line {i % (1 + i % 20)}" for i in range(200)]  # with varying frequency
    (tmp_path / "a.txt").write_text("\n".join(lines))
    splits = read("{files: {train: a.txt}, shares: {test: 0.3}}", tmp_path)
    kinds = {split: set(texts.columns["tokens"]) for split, texts in splits.items()}
    assert [len(kinds[split]) for split in ("train", "validation", "test")] == [
        13,
        1,
        6,
    ]
    assert sum(map(len, splits.values())) == 200


def test_split_with_files_ignores_its_share(tmp_path):
    numbered(tmp_path, 40)
    (tmp_path / "b.txt").write_text("other")
    splits = read("{files: {train: a.txt, test: b.txt}}", tmp_path)
    sizes = {split: len(texts) for split, texts in splits.items()}
    assert sizes == {"train": 38, "validation": 2, "test": 1}


def test_too_few_rows_for_shares_are_refused(tmp_path):
    numbered(tmp_path, 2)
    with pytest.raises(UserError, match="the train split has no examples"):
        read("{files: {train: a.txt}}", tmp_path)
