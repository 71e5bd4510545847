"""Tokenizers: lossless round trips, and refusal of all other text."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers

import xlmgen
from xlmgen.data.task import load_task
from xlmgen.data.tokenizer import Tokenizer
from xlmgen.data.tokenizer_kinds import (
    bpe,
    build,
    byte_level,
    characters,
    unigram,
    wordpiece,
    words,
)
from xlmgen.errors import UserError
from xlmgen.runtime.special_tokens import SPECIAL_TOKENS, SpecialTokens

CORPUS = ["the cat sat on the mat", "the [MASK] hat\n", "ein Käfer"] * 5
ANY = {"byte": byte_level(), "bpe": bpe(CORPUS, 280)}
OWN = {
    **ANY,
    "vocabulary": words(["0", "1", "22"]),
    "character": characters(["\n", " ", "0", "1", "2", "é"]),
}


def saved(tmp_path, model, **parts):
    """A tokenizer.json as written by another program."""
    backend = tokenizers.Tokenizer(model)
    for name, part in parts.items():
        setattr(backend, name, part)
    path = tmp_path / "tokenizer.json"
    backend.save(str(path))
    return path


def word_level(tmp_path, *tokens, unk=None):
    vocabulary = {token: id_ for id_, token in enumerate(tokens)}
    model = models.WordLevel(vocabulary, **({"unk_token": unk} if unk else {}))
    return saved(tmp_path, model, pre_tokenizer=pre_tokenizers.WhitespaceSplit())


@pytest.mark.parametrize("kind", OWN)
def test_special_tokens_have_the_first_ids(kind):
    tokenizer = OWN[kind]
    expected = SpecialTokens(0, 1, 2, 3, 4, vocab_size=tokenizer.vocab_size)
    assert tokenizer.special == expected
    assert [tokenizer.token(id_) for id_ in range(5)] == list(SPECIAL_TOKENS)


@pytest.mark.parametrize(
    ("kind", "text", "ids"),
    [
        ("vocabulary", "22 0", [7, 5]),
        ("character", "é 0\n", [10, 6, 7, 5]),
        ("byte", "aé", [5 + 97, 5 + 0xC3, 5 + 0xA9]),
        ("byte", "\x00 \xad", [5, 5 + 32, 5 + 0xC2, 5 + 0xAD]),
    ],
)
def test_ids_equal_expected_values(kind, text, ids):
    assert OWN[kind].encode(text) == ids
    assert OWN[kind].decode(ids) == text


def test_vocabulary_sizes():
    assert OWN["vocabulary"].vocab_size == 8
    assert OWN["byte"].vocab_size == 261
    assert OWN["bpe"].vocab_size == 280


@pytest.mark.parametrize("kind", ANY)
@settings(deadline=None, max_examples=200)
@given(text=st.text())
def test_bytes_and_bpe_round_trip_any_text(kind, text):
    tokenizer = ANY[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(5 <= id_ < tokenizer.vocab_size for id_ in ids)


@pytest.mark.parametrize("kind", ANY)
@pytest.mark.parametrize("name", SPECIAL_TOKENS)
def test_special_token_name_in_text_is_plain_text(kind, name):
    ids = ANY[kind].encode(f"a{name} {name}")
    assert not set(ids) & set(range(5))
    assert ANY[kind].decode(ids) == f"a{name} {name}"


def test_bpe_merges_frequent_pairs():
    assert len(ANY["bpe"].encode("the the")) <= 3
    assert len(ANY["byte"].encode("the the")) == 7


@pytest.mark.parametrize("kind", OWN)
def test_decode_skips_special_tokens(kind):
    ids = OWN[kind].encode("0")
    assert OWN[kind].decode([1, 3, *ids, 4, 2, 0, 0]) == "0"


@pytest.mark.parametrize(
    ("kind", "text", "piece", "position"),
    [
        ("vocabulary", "0 1 3 1", "'3'", 4),
        ("vocabulary", "0 221", "'221'", 2),
        ("vocabulary", "0 [EOS]", "'[EOS]'", 2),
        ("vocabulary", "[PAD]", "'[PAD]'", 0),
        ("character", "0 2x", "'x'", 3),
        ("character", "01\t", r"'\t'", 2),
    ],
)
def test_unencodable_text_is_located(kind, text, piece, position):
    with pytest.raises(UserError) as error:
        OWN[kind].encode(text, "notes.txt:7")
    assert f"notes.txt:7: {piece}" in str(error.value) or piece in str(error.value)
    assert str(error.value).startswith("notes.txt:7: ")
    assert f"at character {position}" in str(error.value)


def test_unencodable_row_is_named():
    texts = ["0 1"] * 5000 + ["0 1 9"]
    with pytest.raises(UserError, match=r"row 5000: .* '9' at character 4"):
        list(OWN["vocabulary"].encode_all(texts, "row {}".format))


def test_error_shows_a_few_tokens():
    with pytest.raises(UserError, match=r"its tokens are '0', '1', '2', …, '49';"):
        words([str(n) for n in range(50)]).encode("50")


@pytest.mark.parametrize("tokens", [["a b"], [""], ["a", "[MASK]"], ["\n"]])
def test_words_with_white_space_or_special_names_are_refused(tokens):
    with pytest.raises(UserError, match="cannot be a token"):
        words(tokens)


@pytest.mark.parametrize("kind", OWN)
def test_save_and_load_round_trip(kind, tmp_path):
    path = tmp_path / "tokenizer.json"
    OWN[kind].save(path)
    again = Tokenizer.load(path)
    assert again.special == OWN[kind].special
    assert again.to_bytes() == OWN[kind].to_bytes() == path.read_bytes()
    assert again.encode("0") == OWN[kind].encode("0")
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]


def test_trained_kinds_encode_their_training_texts():
    texts = ["b a", "c\na"]
    assert build({"kind": "whitespace"}, Path(), texts).encode("a b c") == [5, 6, 7]
    letters = build({"kind": "character"}, Path(), texts)
    assert letters.vocab_size == 5 + len("\n abc")
    assert letters.decode(letters.encode(texts[1])) == texts[1]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_training_is_deterministic_across_processes(kind):
    code = (
        f"import hashlib; from xlmgen.data.tokenizer_kinds import {kind};"
        "texts = [f'word{i % 97} of {i * i} and ü{i}' for i in range(500)];"
        f"print(hashlib.sha256({kind}(texts, 400).to_bytes()).hexdigest())"
    )
    top = Path(xlmgen.__file__).parents[1]
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=top, capture_output=True, check=True
        ).stdout
        for _ in range(3)
    }
    assert len(digests) == 1


# Files saved by other programs


def test_default_name_in_yaml_is_added_if_missing(tmp_path):
    path = word_level(tmp_path, "<end>", "a", "<pad>")
    tokenizer = Tokenizer.load(path, {"pad": "[PAD]", "eos": "<end>"})
    assert tokenizer.names["pad"] == "[PAD]"
    assert len({*tokenizer.names.values()}) == 5


def test_usual_names_are_found_and_missing_ones_added_once(tmp_path):
    path = word_level(tmp_path, "<pad>", "a", "</s>", "<mask>")
    tokenizer = Tokenizer.load(path)
    assert tokenizer.special == SpecialTokens(
        pad=0, bos=4, eos=2, mask=3, cls=5, vocab_size=6
    )
    tokenizer.save(path)
    again = Tokenizer.load(path)
    assert again.special == tokenizer.special
    assert again.encode("a a") == [1, 1]
    assert again.decode([4, 1, 2, 0]) == "a"


def test_names_in_yaml_override_usual_names(tmp_path):
    path = word_level(tmp_path, "<pad>", "a", "</s>", "stop")
    tokenizer = Tokenizer.load(path, {"eos": "stop"})
    assert tokenizer.special.eos == 3
    with pytest.raises(UserError, match=r"tokenizer\.special\.mask: .* no token 'm'"):
        Tokenizer.load(path, {"mask": "m"})


def test_pad_and_eos_must_differ_unless_allowed(tmp_path):
    path = word_level(tmp_path, "<end>", "a")
    names = {"pad": "<end>", "eos": "<end>"}
    with pytest.raises(UserError, match="pad and eos are one token, '<end>'"):
        Tokenizer.load(path, names)
    shared = Tokenizer.load(path, names, shared=True)
    assert shared.special.pad == shared.special.eos == 0


def test_mask_never_shares_an_id(tmp_path):
    path = word_level(tmp_path, "<end>", "a")
    names = {"pad": "<end>", "eos": "<end>", "mask": "<end>"}
    with pytest.raises(UserError, match="eos and mask are one token, '<end>'"):
        Tokenizer.load(path, names, shared=True)


def test_spare_ids_are_at_the_end(tmp_path):
    path = word_level(tmp_path, "a", "b")
    assert Tokenizer.load(path).vocab_size == 7
    assert Tokenizer.load(path, vocab_size=64).special.vocab_size == 64
    with pytest.raises(UserError, match="vocab_size is 6, and there are 7 tokens"):
        Tokenizer.load(path, vocab_size=6)


def test_unknown_text_is_refused_despite_unknown_token(tmp_path):
    path = word_level(tmp_path, "[UNK]", "a", unk="[UNK]")
    with pytest.raises(UserError, match="'b' at character 2"):
        Tokenizer.load(path).encode("a b")
    assert Tokenizer.load(path).encode("a a") == [1, 1]


def test_dropped_characters_are_refused(tmp_path):
    path = saved(tmp_path, models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")]))
    tokenizer = Tokenizer.load(path)
    assert tokenizer.encode("aba") == [2, 0]
    with pytest.raises(UserError, match="'z' at character 2"):
        tokenizer.encode("abza")


def test_saved_special_token_is_not_matched_in_text(tmp_path):
    path = saved(tmp_path, models.BPE({"a": 0, "<": 1, ">": 2, "s": 3}, []))
    content = json.loads(path.read_text())
    content["added_tokens"] = [
        {
            "id": 4,
            "content": "<s>",
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
    ]
    path.write_text(json.dumps(content))
    tokenizer = Tokenizer.load(path)
    assert tokenizer.special.bos == 4
    assert tokenizer.encode("a<s>a") == [0, 1, 3, 2, 0]


def test_saved_padding_truncation_and_template_are_disabled(tmp_path):
    path = word_level(tmp_path, "[PAD]", "[CLS]", "[SEP]", "a")
    backend = tokenizers.Tokenizer.from_file(str(path))
    backend.enable_padding(length=8)
    backend.enable_truncation(2)
    backend.post_processor = tokenizers.processors.BertProcessing(
        ("[SEP]", 2), ("[CLS]", 1)
    )
    backend.save(str(path))
    assert Tokenizer.load(path).encode("a a a") == [3, 3, 3]


def test_file_that_is_not_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot read the tokenizer"):
        Tokenizer.load(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"model": 1}')
    with pytest.raises(UserError, match="is not a saved tokenizer"):
        Tokenizer.load(tmp_path / "bad.json")


# Folders saved by the transformers library


def folder_of(tmp_path, settings, special_map=None):
    """A tokenizer folder whose settings name its special tokens."""
    folder = tmp_path / "saved"
    folder.mkdir()
    word_level(tmp_path, "stop", "fill", "a", "begin", "<mask>", "[CLS]")
    (tmp_path / "tokenizer.json").rename(folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if special_map:
        (folder / "special_tokens_map.json").write_text(json.dumps(special_map))
    return folder


def test_folder_settings_name_special_tokens(tmp_path):
    settings = {
        "eos_token": "stop",
        "pad_token": {"content": "fill"},
        "bos_token": None,
    }
    folder_of(tmp_path, settings, {"eos_token": "a", "bos_token": "begin"})
    options = {"kind": "file", "path": "saved", "shared": False, "vocab_size": None}
    tokenizer = build(options, tmp_path, ())
    assert tokenizer.special == SpecialTokens(
        pad=1, bos=3, eos=0, mask=4, cls=5, vocab_size=6
    )
    again = build({**options, "special": {"eos": "a"}}, tmp_path, ())
    assert again.special.eos == 2


OPTIONS = {"kind": "file", "path": "saved", "shared": False, "vocab_size": None}


def test_folder_cls_equal_to_bos_gets_its_own_token(tmp_path):
    settings = {"bos_token": "begin", "cls_token": "begin", "eos_token": "stop"}
    folder_of(tmp_path, settings)
    tokenizer = build(OPTIONS, tmp_path, ())
    assert tokenizer.special.bos == 3
    assert tokenizer.names["cls"] == "[CLS]"
    assert tokenizer.special.cls == 5  # present in the file


def test_folder_mask_equal_to_other_role_gets_its_own_token(tmp_path):
    folder_of(tmp_path, {"eos_token": "stop", "mask_token": "stop"})
    tokenizer = build(OPTIONS, tmp_path, ())
    assert tokenizer.names["mask"] == "<mask>"
    assert tokenizer.special.mask == 4


def test_folder_pad_missing_from_file_is_added(tmp_path):
    folder_of(tmp_path, {"eos_token": "stop", "pad_token": "<|endofpad|>"})
    tokenizer = build(OPTIONS, tmp_path, ())
    assert tokenizer.names["pad"] == "<|endofpad|>"
    assert tokenizer.special.pad == 6
    assert tokenizer.encode("a") == [2]


def test_suggested_fix_for_shared_bos_and_eos_works(tmp_path):
    folder_of(tmp_path, {"eos_token": "stop", "bos_token": "stop"})
    with pytest.raises(UserError, match=r'such as eos: "\[EOS\]"') as error:
        build(OPTIONS, tmp_path, ())
    assert "bos and eos are one token, 'stop'" in str(error.value)
    tokenizer = build({**OPTIONS, "special": {"eos": "[EOS]"}}, tmp_path, ())
    assert tokenizer.names["bos"] == "stop"
    assert tokenizer.names["eos"] == "[EOS]"


def test_run_copy_keeps_special_tokens_of_folder(tmp_path):
    folder_of(
        tmp_path, {"eos_token": "stop", "pad_token": "fill", "bos_token": "begin"}
    )
    (tmp_path / "a.txt").write_text("a a")
    (tmp_path / "some.yaml").write_text(
        "spec: xlmgen/task/v1\nname: some\nlayout: lm\nmax_length: {length: 9}\n"
        "source: {files: {train: a.txt, validation: a.txt, test: a.txt}}\n"
        "tokenizer: {kind: file, path: saved}\n"
    )
    task = load_task(tmp_path / "some.yaml")
    run = tmp_path / "run"
    run.mkdir()
    task.save(run)
    shutil.rmtree(tmp_path / "saved")
    again = load_task(run / "task.yaml", tokenizer=run / "tokenizer.json")
    assert again.tokenizer.special == task.tokenizer.special
    assert again.tokenizer.special.pad == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: (f / "tokenizer.json").unlink(),
            "has no tokenizer.json; the transf",
        ),
        (
            lambda f: (f / "tokenizer_config.json").write_text("{"),
            "config.json is not JSON",
        ),
        (
            lambda f: (f / "tokenizer_config.json").write_text("[]"),
            "not hold a JSON object",
        ),
    ],
)
def test_folder_without_tokenizer_is_refused(tmp_path, change, message):
    folder = folder_of(tmp_path, {})
    change(folder)
    options = {"kind": "file", "path": "saved", "shared": False, "vocab_size": None}
    with pytest.raises(UserError) as error:
        build(options, tmp_path, ())
    assert message in str(error.value)


# WordPiece and Unigram


def test_wordpiece_splits_words_and_refuses_unseen_characters():
    tokenizer = wordpiece(["low lower lowest new newer"] * 9, 40)
    ids = tokenizer.encode("lower  newest")
    assert tokenizer.decode(ids) == "lower newest"
    assert len(ids) > 2
    with pytest.raises(UserError, match="no token for 'zebra' at character 4"):
        tokenizer.encode("low zebra")
    with pytest.raises(UserError, match="name of a special token"):
        tokenizer.encode("low [EOS]")
    assert tokenizer.encode_known(["low", "z", "new"])[1] is None


def test_unigram_round_trips_any_text():
    nouns = ("house", "mouse", "river", "mountain", "running", "window", "garden")
    texts = [
        f"the {a} near the {b} was {i}" for a in nouns for b in nouns for i in "ab"
    ]
    tokenizer = unigram(texts, 400)
    for text in ("the cat", "  A\tzebra\n日本 ▁ [EOS]", ""):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode("the mountain near the window")) < 24  # of 28 letters
    assert 261 < tokenizer.vocab_size <= 400
