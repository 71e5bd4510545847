"""Saved BPE tokenizers: lossless encodings are accepted, lossy ones refused."""

import json
import unicodedata

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, decoders, models
from tokenizers import normalizers as norm
from tokenizers import pre_tokenizers as pre

from xlmgen.data.tokenizer import Tokenizer
from xlmgen.errors import UserError


def bpe(*tokens, merges=(), **options):
    vocabulary = {token: id_ for id_, token in enumerate(tokens)}
    return models.BPE(vocabulary, list(merges), **options)


def load(model, added=(), **parts):
    """A tokenizer as saved by another program."""
    backend = tokenizers.Tokenizer(model)
    for name, part in parts.items():
        setattr(backend, name, part)
    backend.add_tokens(list(added))
    return Tokenizer(backend)


def tokens(tokenizer, text):
    return [tokenizer._backend.id_to_token(id_) for id_ in tokenizer.encode(text)]


LETTERS = "abc"
SPLIT = pre.WhitespaceSplit()
TAKEN = {
    "lower case": (
        load(bpe(*LETTERS), normalizer=norm.Lowercase(), pre_tokenizer=SPLIT),
        "Ab C",
        ["a", "b", "c"],
    ),
    "decomposed accents": (
        load(bpe(*LETTERS, "\u0301"), normalizer=norm.NFD()),
        unicodedata.normalize("NFC", "a\u0301b"),
        ["a", "\u0301", "b"],
    ),
    "stripped accents": (
        load(
            bpe(*LETTERS), normalizer=norm.Sequence([norm.NFD(), norm.StripAccents()])
        ),
        unicodedata.normalize("NFC", "a\u0301b"),
        ["a", "b"],
    ),
    "blanks as ▁": (
        load(
            bpe(*LETTERS, "▁"),
            normalizer=norm.Sequence([norm.Prepend("▁"), norm.Replace(" ", "▁")]),
        ),
        "a b",
        ["▁", "a", "▁", "b"],
    ),
    "end-of-word suffix": (
        load(
            bpe("a", "b", "b</w>", end_of_word_suffix="</w>"),
            pre_tokenizer=SPLIT,
            decoder=decoders.BPEDecoder("</w>"),
        ),
        "ab b",
        ["a", "b</w>", "b</w>"],
    ),
    "continuing-subword prefix": (
        load(bpe("a", "##b", "b", continuing_subword_prefix="##"), pre_tokenizer=SPLIT),
        "ab b",
        ["a", "##b", "b"],
    ),
    "added token of unknown letters": (
        load(bpe(*LETTERS), added=[AddedToken("<xyz>", normalized=False)]),
        "a<xyz>b",
        ["a", "<xyz>", "b"],
    ),
    "added token found in normalised text": (
        load(
            bpe(*LETTERS),
            added=[AddedToken("XY", normalized=True)],
            normalizer=norm.Lowercase(),
        ),
        "AxyB",
        ["a", "xy", "b"],
    ),
    "words that need no merges": (
        load(bpe("xyz", "a", ignore_merges=True), pre_tokenizer=SPLIT),
        "xyz a",
        ["xyz", "a"],
    ),
    "bytes where characters are unknown": (
        load(bpe(*LETTERS, "<0xC3>", "<0xA9>", byte_fallback=True)),
        "aé",
        ["a", "<0xC3>", "<0xA9>"],
    ),
    "split that removes blanks": (
        load(bpe(*LETTERS), pre_tokenizer=pre.Split(Regex(r"\s+"), "removed")),
        "a \n b",
        ["a", "b"],
    ),
}


@pytest.mark.parametrize("case", TAKEN)
def test_lossless_saved_tokenizer_is_accepted(case):
    tokenizer, text, expected = TAKEN[case]
    assert tokens(tokenizer, text) == expected
    assert tokenizer.encode_known([text, ""])[1] == []


REFUSED = {
    "letter inside a word that has no form there": (
        load(bpe("a", "##b", "b", continuing_subword_prefix="##"), pre_tokenizer=SPLIT),
        "ab bab",
        ("'a'", 4),
    ),
    "letter at the end of a word that has no form there": (
        load(bpe("a", "b", "b</w>", end_of_word_suffix="</w>"), pre_tokenizer=SPLIT),
        "ab ba",
        ("'a'", 4),
    ),
    "letter behind an accent that the normaliser takes apart": (
        load(bpe(*LETTERS, "\u0301"), normalizer=norm.NFD()),
        unicodedata.normalize("NFC", "a\u0301z"),
        ("'z'", 1),
    ),
    "accent that has no token": (
        load(bpe(*LETTERS), normalizer=norm.NFD()),
        unicodedata.normalize("NFC", "ba\u0301"),
        ("'á'", 1),
    ),
    "blank that has no token": (load(bpe(*LETTERS)), "a b", ("' '", 1)),
    "character where only the names of bytes are known": (
        load(bpe(*pre.ByteLevel.alphabet())),
        "a日",
        ("'日'", 1),
    ),
    "byte that has no form inside a word": (
        load(
            bpe(*pre.ByteLevel.alphabet(), "##a", continuing_subword_prefix="##"),
            pre_tokenizer=pre.ByteLevel(add_prefix_space=False, use_regex=False),
        ),
        "aab",
        ("'b'", 2),
    ),
    "letter beside an added token": (
        load(bpe(*LETTERS), added=[AddedToken("<xyz>", normalized=False)]),
        "a<xyz>yb",
        ("'y'", 6),
    ),
    "some bytes without a token": (
        load(bpe(*LETTERS, "<0xC3>", byte_fallback=True)),
        "aé",
        ("'é'", 1),
    ),
    "letters that the split removes": (
        load(bpe(*LETTERS, "-"), pre_tokenizer=pre.Split("-", "removed")),
        "a-b",
        ("'-'", 1),
    ),
    "letters that the delimiter removes": (
        load(bpe(*LETTERS), pre_tokenizer=pre.CharDelimiterSplit("b")),
        "abc",
        ("'b'", 1),
    ),
    "letters that the normaliser removes": (
        load(bpe(*LETTERS), normalizer=norm.Replace(Regex("[0-9]"), "")),
        "a1b",
        ("'1'", 1),
    ),
    "word without an unknown token, in lower case": (
        load(
            models.WordLevel({"ab": 0}),
            normalizer=norm.Lowercase(),
            pre_tokenizer=SPLIT,
        ),
        "AB Xy",
        ("'Xy'", 3),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_text_that_saved_tokenizer_drops_is_named(case):
    tokenizer, text, (piece, position) = REFUSED[case]
    with pytest.raises(UserError) as error:
        tokenizer.encode(text, "notes.txt:7")
    said = (
        f"notes.txt:7: the tokenizer has no token for {piece} at character {position}"
    )
    assert str(error.value).startswith(said)
    assert tokenizer.encode_known(["a", text, "a"])[1] is None


FORMS = st.lists(
    st.sampled_from([a + c + e for c in "ab" for a in ("", "#") for e in ("", "$")]),
    unique=True,
    min_size=1,
)


@settings(deadline=None, max_examples=300)
@given(
    forms=FORMS,
    prefix=st.sampled_from(["", "#"]),
    suffix=st.sampled_from(["", "$"]),
    text=st.text("abAB c", max_size=12),
)
def test_text_is_encoded_exactly_if_ids_represent_it(forms, prefix, suffix, text):
    model = bpe(*forms, continuing_subword_prefix=prefix, end_of_word_suffix=suffix)
    tokenizer = load(model, normalizer=norm.Lowercase(), pre_tokenizer=SPLIT)
    encoded = tokenizer._backend.encode(text, add_special_tokens=False).tokens
    spelt = "".join(token.strip("#$") for token in encoded)
    (found,) = tokenizer.encode_known([text])
    assert (found is not None) == (spelt == text.lower().replace(" ", ""))


def test_saved_dropout_is_disabled(tmp_path):
    model = bpe("a", "b", "ab", merges=[("a", "b")], dropout=0.9)
    backend = tokenizers.Tokenizer(model)
    backend.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer.load(tmp_path / "tokenizer.json")
    assert tokenizer.encode("ab" * 50) == [2] * 50
    assert json.loads(tokenizer.to_bytes())["model"]["dropout"] is None


@pytest.mark.parametrize("tokenizer", [case[0] for case in TAKEN.values()])
def test_unpaired_surrogate_is_refused(tokenizer):
    with pytest.raises(
        UserError, match=r"^prompt: \\ud83d at character 1 is an unpaired"
    ):
        tokenizer.encode("a\ud83d", "prompt")
