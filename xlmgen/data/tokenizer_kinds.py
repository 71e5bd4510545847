"""The tokenizers that a task's `tokenizer:` can ask for, one function per kind."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from xlmgen.data.tokenizer import Tokenizer
from xlmgen.errors import UserError
from xlmgen.tokens import SPECIAL_TOKENS

NUM_BYTES = 256
LEARNED = ("character", "whitespace", "bpe")  # kinds that look at the train split


def build(options: Mapping[str, Any], folder: Path, texts: Iterable[str]) -> Tokenizer:
    """The tokenizer that a task's `tokenizer:` describes.

    Args:
        options: the mapping under `tokenizer:`, defaults filled in.
        folder: what a relative `path` starts from.
        texts: the train split, for the kinds that learn their vocabulary from it.
    """
    match options["kind"]:
        case "vocabulary":
            tokens = options.get("tokens") or [
                str(number) for number in range(options["range"])
            ]
            return words(tokens)
        case "whitespace":
            return words(sorted({word for text in texts for word in text.split()}))
        case "character":
            return characters(sorted({c for text in texts for c in text}))
        case "byte":
            return byte_level()
        case "bpe":
            return bpe(texts, options["size"])
        case "file":
            return Tokenizer.load(
                folder / options["path"],
                options.get("special", {}),
                shared=options["shared"],
                vocab_size=options["vocab_size"],
            )
    raise AssertionError(f"tokenizer kind {options['kind']!r} passed the schema")


def words(tokens: Sequence[str]) -> Tokenizer:
    """A token is what stands between white space; decoding joins with one blank.

    Raises:
        UserError: an entry that no text could encode to.
    """
    for number, token in enumerate(tokens):
        if token.split() != [token] or token in SPECIAL_TOKENS:
            raise UserError(
                f"tokenizer.tokens[{number}]: {token!r} cannot be a token",
                "a token has no white space in it and is not one of "
                + ", ".join(SPECIAL_TOKENS),
            )
    backend = tokenizers.Tokenizer(models.WordLevel(_vocabulary(tokens)))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Tokenizer(backend)


def characters(alphabet: Sequence[str]) -> Tokenizer:
    """A token is one Unicode code point of the alphabet."""
    backend = tokenizers.Tokenizer(models.WordLevel(_vocabulary(alphabet)))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return Tokenizer(backend)


def byte_level() -> Tokenizer:
    """A token is one byte of UTF-8; byte b has the id 5 + b."""
    vocabulary = _vocabulary([_byte_name(byte) for byte in range(NUM_BYTES)])
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    backend.decoder = decoders.ByteLevel()
    return Tokenizer(backend)


def bpe(texts: Iterable[str], size: int) -> Tokenizer:
    """Byte-level BPE: any text has ids. The same texts give the same tokenizer.

    Args:
        texts: what the merges are learned from.
        size: tokens in all, special tokens and the 256 bytes included; fewer where
            the texts have no more to merge.
    """
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return Tokenizer(backend)


def _vocabulary(tokens: Sequence[str]) -> dict[str, int]:
    return {token: id_ for id_, token in enumerate((*SPECIAL_TOKENS, *tokens))}


def _byte_name(byte: int) -> str:
    """How the library's byte-level parts write a byte in a vocabulary.

    Bytes that print as one Latin-1 character stand for themselves; the others, in
    their order, are written as the characters from U+0100 on.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, NUM_BYTES)]
    if byte in plain:
        return chr(byte)
    return chr(NUM_BYTES + sum(other not in plain for other in range(byte)))
