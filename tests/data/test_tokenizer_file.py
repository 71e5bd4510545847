"""An untrusted tokenizer.json is read, or refused in one line."""

import json

import pytest
from tokenizers import Tokenizer, models

from xlmgen.data import tokenizer_file
from xlmgen.data.tokenizer_file import MOST_IDS, check_ids, read_backend
from xlmgen.errors import UserError

WORDS = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}


def saved(path, model=WORDS, **parts):
    backend = Tokenizer(models.WordLevel({"a": 0}, "a"))
    path.write_text(json.dumps(json.loads(backend.to_str()) | {"model": model} | parts))
    return path


def refused(path):
    with pytest.raises(UserError) as raised:
        read_backend(path, "restore it")
    assert raised.value.fix == "restore it"
    assert str(path) in raised.value.message
    assert len(raised.value.message) < 500
    return raised.value.message


def test_saved_tokenizer_is_read(tmp_path):
    backend = read_backend(saved(tmp_path / "tokenizer.json"), "restore it")
    assert backend.get_vocab() == {"a": 0, "b": 1}


@pytest.mark.parametrize("id_", [MOST_IDS, 4_294_967_290])
def test_huge_id_is_refused_with_its_token(id_, tmp_path):
    words = {**WORDS, "vocab": {"a": 0, "b": id_}}
    said = refused(saved(tmp_path / "tokenizer.json", words))
    assert f"the token 'b' has the id {id_}, and ids are below 4,194,304" in said


def test_the_largest_id_is_read(tmp_path):
    words = {**WORDS, "vocab": {"a": 0, "b": MOST_IDS - 1}}
    read_backend(saved(tmp_path / "tokenizer.json", words), "restore it")


def test_empty_vocabulary_is_accepted(tmp_path):
    check_ids(Tokenizer(models.WordLevel({}, "a")), tmp_path, "restore it")


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 200_000, "\udcff", '{"version": 1e999}']
)
def test_invalid_tokenizer_file_is_refused(text, tmp_path):
    (tmp_path / "t.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "is not a saved tokenizer" in refused(tmp_path / "t.json")


def test_library_panic_is_translated(tmp_path, capfd):
    broken = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    saved(tmp_path / "t.json", normalizer=broken)
    assert "is not a saved tokenizer: Precompiled" in refused(tmp_path / "t.json")


def test_unreadable_file_is_refused(tmp_path, monkeypatch):
    assert "No such file" in refused(tmp_path / "none.json")
    assert "directory" in refused(tmp_path)
    monkeypatch.setattr(tokenizer_file, "LARGEST_FILE", 9)
    assert "has more than 9 bytes" in refused(saved(tmp_path / "t.json"))


def test_keyboard_interrupt_is_not_translated():
    with (
        pytest.raises(KeyboardInterrupt),
        tokenizer_file.library_errors("place", "fix"),
    ):
        raise KeyboardInterrupt
