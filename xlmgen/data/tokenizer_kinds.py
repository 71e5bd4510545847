"""Tokenizers of a task's `tokenizer:`, one function per kind."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from xlmgen.data.tokenizer import USUAL_NAMES, Tokenizer
from xlmgen.errors import UserError
from xlmgen.io.files import located
from xlmgen.io.json_input import read_object
from xlmgen.runtime.special_tokens import SPECIAL_TOKENS

NUM_BYTES = 256
# Kinds that are trained on the train split: those with a size, and all.
SIZED = ("bpe", "wordpiece", "unigram")
TRAINED = ("character", "whitespace", *SIZED)
WITHIN = "##"  # prefix of a WordPiece token within a word
LONGEST_WORD = 1_000_000  # most characters of a word that WordPiece splits


def build(options: Mapping[str, Any], folder: Path, texts: Iterable[str]) -> Tokenizer:
    """Build the tokenizer that a task's `tokenizer:` describes.

    Args:
        options: the mapping under `tokenizer:`, defaults filled in.
        folder: base of a relative `path`.
        texts: of the train split, for kinds that are trained; may be read more than
            once.
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
        case "wordpiece":
            return wordpiece(texts, options["size"])
        case "unigram":
            return unigram(texts, options["size"])
        case "file":
            path, named = tokenizer_file(located(folder, options["path"]))
            return Tokenizer.load(
                path,
                options.get("special"),
                suggested=named,
                shared=options["shared"],
                vocab_size=options["vocab_size"],
            )
    raise AssertionError(f"tokenizer kind {options['kind']!r} passed the schema")


def words(tokens: Sequence[str]) -> Tokenizer:
    """Word tokenizer that splits at white space; decoding joins with one space.

    Raises:
        UserError: an entry has white space in it or is the name of a special token.
    """
    for number, token in enumerate(tokens):
        if token.split() != [token] or token in SPECIAL_TOKENS:
            raise UserError(
                f"tokenizer.tokens[{number}]: {token!r} cannot be a token",
                "a token has no white space and is not one of "
                + ", ".join(SPECIAL_TOKENS),
            )
    backend = tokenizers.Tokenizer(models.WordLevel(_vocabulary(tokens)))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Tokenizer(backend)


def characters(alphabet: Sequence[str]) -> Tokenizer:
    """Character tokenizer: a token is one Unicode code point of the alphabet."""
    backend = tokenizers.Tokenizer(models.WordLevel(_vocabulary(alphabet)))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    return Tokenizer(backend)


def byte_level() -> Tokenizer:
    """Byte tokenizer: a token is one byte of UTF-8; byte b has the id 5 + b."""
    vocabulary = _vocabulary([_byte_name(byte) for byte in range(NUM_BYTES)])
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    backend.decoder = decoders.ByteLevel()
    return Tokenizer(backend)


def bpe(texts: Iterable[str], size: int) -> Tokenizer:
    """Train byte-level BPE, which can encode any text; deterministic.

    Args:
        texts: training texts.
        size: number of tokens, including special tokens and the 256 bytes; fewer where
            the texts have no more merges.
    """
    return _byte_level(models.BPE(), trainers.BpeTrainer, texts, size)


def wordpiece(texts: Iterable[str], size: int) -> Tokenizer:
    """Train WordPiece, which splits words into the longest known tokens; deterministic.

    Decoding joins words with one space. Characters outside the training texts cannot
    be encoded.

    Args:
        texts: training texts; read twice.
        size: number of tokens, including special tokens.
    """
    # The library numbers characters within words in the random order of a hash table,
    # and breaks ties by these numbers. Listing them as special tokens fixes the order.
    within = {c for text in texts for word in text.split() for c in word[1:]}
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL_TOKENS, *(f"{WITHIN}{c}" for c in sorted(within))],
        show_progress=False,
    )
    learner = tokenizers.Tokenizer(models.WordPiece({}))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(texts, trainer)
    backend = tokenizers.Tokenizer(
        models.WordPiece(
            learner.get_vocab(with_added_tokens=False),
            max_input_chars_per_word=LONGEST_WORD,
        )
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.decoder = decoders.WordPiece(prefix=WITHIN, cleanup=False)
    return Tokenizer(backend)


def unigram(texts: Iterable[str], size: int) -> Tokenizer:
    """Train byte-level Unigram, which can encode any text by its likeliest tokens.

    Args:
        texts: training texts. Training is not deterministic: the library sums
            floating-point numbers in the order of its threads.
        size: number of tokens, including special tokens and the 256 bytes; fewer where
            the texts have no more.
    """
    return _byte_level(models.Unigram(), trainers.UnigramTrainer, texts, size)


def _byte_level(
    model: models.Model,
    trainer: Callable[..., trainers.Trainer],
    texts: Iterable[str],
    size: int,
) -> Tokenizer:
    """Train a model of the library on the bytes of texts."""
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    learner = trainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, learner)
    return Tokenizer(backend)


def tokenizer_file(path: Path) -> tuple[Path, dict[str, str]]:
    """Path of a `tokenizer.json`, and the texts of its special tokens by role.

    The transformers library saves these texts in another file of the folder.

    Raises:
        UserError: the folder has no `tokenizer.json`.
    """
    if not path.is_dir():
        return path, {}
    saved = path / "tokenizer.json"
    if not saved.is_file():
        raise UserError(
            f"tokenizer.path: the folder {path} has no tokenizer.json",
            "the transformers library writes one: load the folder with AutoTokenizer "
            "and save it with save_pretrained",
        )
    names: dict[str, str] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):  # the later wins
        if not (path / name).exists():
            continue
        settings = read_object(path / name, "restore it from its source")
        written = {role: settings.get(f"{role}_token") for role in USUAL_NAMES}
        for role, token in written.items():
            content = token.get("content") if isinstance(token, dict) else token
            if isinstance(content, str):
                names[role] = content
    return saved, names


def _vocabulary(tokens: Sequence[str]) -> dict[str, int]:
    return {token: id_ for id_, token in enumerate((*SPECIAL_TOKENS, *tokens))}


def _byte_name(byte: int) -> str:
    """Character for a byte in the library's byte-level vocabularies.

    Printable Latin-1 bytes are written as themselves, and the others, in order, as the
    characters from U+0100 on.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, NUM_BYTES)]
    if byte in plain:
        return chr(byte)
    return chr(NUM_BYTES + sum(other not in plain for other in range(byte)))
