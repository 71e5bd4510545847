"""Detection of text that a tokenizer silently drops.

A tokenizer normalises a text, extracts its added tokens, and splits the rest into
pieces; then its model maps pieces to tokens. The library does not expose the pieces. A
second tokenizer with the same normaliser and pre-tokenizer around a model of single
bytes does, with the source position of every character.
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
"""Most pieces remembered as lossless, since words repeat."""
UNSEEN = ("Z", "Cc", "Cf", "M")
"""Unicode categories that a tokenizer may drop: blanks, control and format
characters, accents."""

Span = tuple[int, int]


class Piece(NamedTuple):
    """A piece of text as the model gets it.

    Args:
        text: after normalisation; empty for an added token.
        spans: source span of each character; for an added token its own span.
    """

    text: str
    spans: Sequence[Span]


class Lost(NamedTuple):
    """A part of a text that its ids do not represent.

    Args:
        position: index of its first character.
        text: the part.
    """

    position: int
    text: str


class Pieces:
    """Splits texts into a tokenizer's pieces, and finds parts that its ids lack.

    Args:
        backend: the tokenizer; its components are shared and not changed.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        parts = json.loads(backend.to_str())
        self._model = parts["model"]
        self._vocabulary = backend.get_vocab(with_added_tokens=False)
        self._drops = _drops(self._model, parts, self._vocabulary)
        self._removes = any(_removes(part) for part in _walk(parts))
        self._lossless: set[str] = set()
        self._backend = backend
        self._reader = _reader(backend)

    @property
    def may_lose(self) -> bool:
        """Whether a text can lose a part without an unknown token or an error."""
        return self._drops or self._removes

    def lost(self, texts: Sequence[str]) -> list[Lost | None]:
        """First part of each text that its ids lack; None for a lossless text."""
        if not self.may_lose:
            return [None] * len(texts)
        return [
            self._first_lost(text, list(pieces))
            for text, pieces in zip(texts, self._cut(texts), strict=True)
        ]

    def first_failing(self, text: str) -> Lost | None:
        """First piece for which the model raises an error."""
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
        """First character of a piece that the model drops."""
        if not self._drops or piece.text in self._lossless:
            return None
        number = self._without_token(piece.text)
        if number is None:
            if len(self._lossless) < KNOWN_PIECES:
                self._lossless.add(piece.text)
            return None
        start, stop = piece.spans[number]
        return Lost(start, text[start:stop] or piece.text[number])

    def _without_token(self, piece: str) -> int | None:
        """Index of the first character of a piece without a token in BPE, or None."""
        model, known = self._model, self._vocabulary
        if model["ignore_merges"] and piece in known:
            return None
        prefix = model["continuing_subword_prefix"] or ""
        suffix = model["end_of_word_suffix"] or ""
        last = len(piece) - 1
        for number, character in enumerate(piece):
            form = prefix * (number > 0) + character + suffix * (number == last)
            if form in known:
                continue
            if model["byte_fallback"] and all(
                _byte(byte) in known for byte in form.encode()
            ):
                continue
            return number
        return None


def _reader(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A tokenizer with the same splitting whose tokens are single bytes."""
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
    """Pieces of a text from the byte tokens of the reader."""
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
            offsets[i]
            for i in range(start, stop)
            if ids[i] & 0xC0 != 0x80  # the first UTF-8 byte of a character
        ]
        yield Piece(bytes(ids[start:stop]).decode(), spans)
        start = stop


def _first_unseen(text: str, pieces: Sequence[Piece]) -> Lost | None:
    """First character outside all pieces whose category is not in `UNSEEN`."""
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
    """Whether the model silently drops unknown characters.

    BPE does, unless it has an unknown token or a token for every byte.
    """
    if model["type"] != "BPE" or model["unk_token"]:
        return False
    if model["byte_fallback"] and all(_byte(b) in vocabulary for b in range(BYTES)):
        return False
    if not _sees_bytes(parts):
        return True
    prefixes = {"", model["continuing_subword_prefix"] or ""}
    suffixes = {"", model["end_of_word_suffix"] or ""}
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return not all(
        prefix + character + suffix in vocabulary
        for character in alphabet
        for prefix in prefixes
        for suffix in suffixes
    )


def _sees_bytes(parts: Mapping[str, Any]) -> bool:
    """Whether the model's input consists of the library's byte characters only."""
    types = [part["type"] for part in _walk(parts.get("pre_tokenizer"))]
    return "ByteLevel" in types and "Metaspace" not in types


def _removes(part: Mapping[str, Any]) -> bool:
    """Whether a component removes characters other than blanks."""
    if part["type"] == "CharDelimiterSplit" or part.get("behavior") in REMOVING:
        return True
    return part["type"] == "Replace" and part.get("content") == ""


def _walk(part: Any) -> Iterator[Mapping[str, Any]]:
    """All normalisers and pre-tokenizers of a saved tokenizer, nested ones included.

    Args:
        part: a component, or the entire tokenizer.
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
    """Name of a byte in a vocabulary with `byte_fallback`."""
    return f"<0x{byte:02X}>"
