"""The pieces of a text that a tokenizer's model sees, and what is lost on the way.

A saved tokenizer changes a text (its normaliser), takes its added tokens out, and cuts
the rest into pieces; only then the model looks for tokens. The library does not show
the pieces. A second tokenizer with the same parts around a model of single bytes does,
with the place of every character in the text.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import tokenizers
from tokenizers import models, pre_tokenizers

BYTES = 256
REMOVING = ("Removed", "removed")
KNOWN_PIECES = 1 << 18
"""Pieces that are kept as looked at: words come again."""
UNSEEN = ("Z", "Cc", "Cf", "M")
"""Categories of Unicode that a tokenizer may leave out: blanks, control and format
characters, accents."""

Span = tuple[int, int]


class Piece(NamedTuple):
    """What the model sees at once.

    Args:
        text: as the normaliser left it; empty for an added token.
        spans: where in the original text each of its characters comes from; the place
            of an added token.
    """

    text: str
    spans: Sequence[Span]


class Lost(NamedTuple):
    """A part of a text that its ids do not stand for.

    Args:
        position: the character that it begins with.
        text: the part.
    """

    position: int
    text: str


class Pieces:
    """Cuts texts as a tokenizer does, and finds what its ids leave out.

    Args:
        backend: the tokenizer; its parts are shared, and nothing of it is changed.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        parts = json.loads(backend.to_str())
        self._model = parts["model"]
        self._vocabulary = backend.get_vocab(with_added_tokens=False)
        self._drops = _drops(self._model, parts, self._vocabulary)
        self._removes = any(_removes(part) for part in _walk(parts))
        self._complete: set[str] = set()
        self._backend = backend
        self._reader = _reader(backend)

    @property
    def may_lose(self) -> bool:
        """Whether any text could lose a part without an unknown token or an error."""
        return self._drops or self._removes

    def lost(self, texts: Sequence[str]) -> list[Lost | None]:
        """The first part of each text that the model drops, or that it never sees."""
        if not self.may_lose:
            return [None] * len(texts)
        return [
            self._first_lost(text, list(pieces))
            for text, pieces in zip(texts, self._cut(texts), strict=True)
        ]

    def first_failing(self, text: str) -> Lost | None:
        """The first piece that the model raises an error for."""
        (pieces,) = self._cut([text])
        for piece in pieces:
            try:
                self._backend.model.tokenize(piece.text)
            except Exception:  # the library raises nothing more specific
                start, stop = piece.spans[0][0], piece.spans[-1][1]
                return Lost(start, text[start:stop])
        return None

    def _cut(self, texts: Sequence[str]) -> Iterator[Iterator[Piece]]:
        for encoding in self._reader.encode_batch(
            list(texts), add_special_tokens=False
        ):
            yield _grouped(encoding)

    def _first_lost(self, text: str, pieces: Sequence[Piece]) -> Lost | None:
        found = [lost for piece in pieces if (lost := self._dropped(text, piece))]
        if self._removes and (unseen := _first_unseen(text, pieces)):
            found.append(unseen)
        return min(found, default=None)

    def _dropped(self, text: str, piece: Piece) -> Lost | None:
        """The first character of a piece that the model has no token for."""
        if not self._drops or piece.text in self._complete:
            return None
        number = self._without_token(piece.text)
        if number is None:
            if len(self._complete) < KNOWN_PIECES:
                self._complete.add(piece.text)
            return None
        start, stop = piece.spans[number]
        return Lost(start, text[start:stop] or piece.text[number])

    def _without_token(self, piece: str) -> int | None:
        """Which character of a piece BPE finds no token for, in its place there."""
        model, known = self._model, self._vocabulary
        if model["ignore_merges"] and piece in known:
            return None
        before = model["continuing_subword_prefix"] or ""
        behind = model["end_of_word_suffix"] or ""
        last = len(piece) - 1
        for number, character in enumerate(piece):
            form = before * (number > 0) + character + behind * (number == last)
            if form in known:
                continue
            if model["byte_fallback"] and all(
                _byte(byte) in known for byte in form.encode()
            ):
                continue
            return number
        return None


def _reader(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A tokenizer with the same parts whose tokens are single bytes."""
    bytes_ = {_byte(byte): byte for byte in range(BYTES)}
    reader = tokenizers.Tokenizer(models.BPE(bytes_, [], byte_fallback=True))
    if backend.normalizer is not None:
        reader.normalizer = backend.normalizer
    if backend.pre_tokenizer is not None:
        reader.pre_tokenizer = backend.pre_tokenizer
    added = backend.get_added_tokens_decoder()
    for _, token in sorted(added.items()):
        add = reader.add_special_tokens if token.special else reader.add_tokens
        add([token])
    reader.encode_special_tokens = True
    return reader


def _grouped(encoding: tokenizers.Encoding) -> Iterator[Piece]:
    """The pieces of what the reader made of a text."""
    ids, words, offsets = encoding.ids, encoding.word_ids, encoding.offsets
    start = 0
    while start < len(ids):
        if ids[start] >= BYTES:
            yield Piece("", [offsets[start]])
            start += 1
            continue
        stop = start + 1
        while stop < len(ids) and words[stop] == words[start]:
            stop += 1
        spans = [
            offsets[at]
            for at in range(start, stop)
            if ids[at] & 0xC0 != 0x80  # the first byte of a character
        ]
        yield Piece(bytes(ids[start:stop]).decode(), spans)
        start = stop


def _first_unseen(text: str, pieces: Sequence[Piece]) -> Lost | None:
    """The first character that left no trace, and is more than a blank or an accent."""
    seen = bytearray(len(text))
    for piece in pieces:
        for start, stop in piece.spans:
            seen[start:stop] = b"\1" * (stop - start)
    for position, character in enumerate(text):
        if not seen[position] and not unicodedata.category(character).startswith(
            UNSEEN
        ):
            return Lost(position, character)
    return None


def _drops(
    model: Mapping[str, Any], parts: Mapping[str, Any], vocabulary: Mapping[str, int]
) -> bool:
    """Whether the model leaves out characters that it does not know without a word.

    BPE does so, unless it has a token for unknown ones or one for each byte.
    """
    if model["type"] != "BPE" or model["unk_token"]:
        return False
    if model["byte_fallback"] and all(_byte(b) in vocabulary for b in range(BYTES)):
        return False
    if not _sees_bytes(parts):
        return True
    before = {"", model["continuing_subword_prefix"] or ""}
    behind = {"", model["end_of_word_suffix"] or ""}
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return not all(
        first + character + last in vocabulary
        for character in alphabet
        for first in before
        for last in behind
    )


def _sees_bytes(parts: Mapping[str, Any]) -> bool:
    """Whether all that the model sees is written in the library's names of bytes."""
    types = [part["type"] for part in _walk(parts.get("pre_tokenizer"))]
    return "ByteLevel" in types and "Metaspace" not in types


def _removes(part: Mapping[str, Any]) -> bool:
    """Whether a part takes characters away that may be more than blanks."""
    if part["type"] == "CharDelimiterSplit" or part.get("behavior") in REMOVING:
        return True
    return part["type"] == "Replace" and part.get("content") == ""


def _walk(part: Any) -> Iterator[Mapping[str, Any]]:
    """The normalisers and pre-tokenizers of a saved tokenizer, those inside others too.

    Args:
        part: one of them, or all parts of a tokenizer.
    """
    if not isinstance(part, Mapping):
        return
    if "type" in part:
        yield part
    for key in ("normalizer", "pre_tokenizer"):
        yield from _walk(part.get(key))
    for key in ("normalizers", "pretokenizers"):
        for inner in part.get(key, ()):
            yield from _walk(inner)


def _byte(byte: int) -> str:
    """The name of a byte in a vocabulary with `byte_fallback`."""
    return f"<0x{byte:02X}>"
