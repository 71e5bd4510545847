"""Tokenizer of a released checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from xlmgen.data.tokenizer import Tokenizer
from xlmgen.data.tokenizer_file import check_ids, library_errors, read_backend
from xlmgen.errors import UserError
from xlmgen.exchange.config import RESTORE, ROLES, Config
from xlmgen.io.json_input import Schema, read_object

SAVED, SETTINGS = "tokenizer.json", "tokenizer_config.json"
VOCABULARY, MERGES = "vocab.json", "merges.txt"
FILES = (SAVED, SETTINGS, VOCABULARY, MERGES, "special_tokens_map.json")
"""Files of a tokenizer, which are copied with a checkpoint."""
SETTINGS_SCHEMA: Schema = {
    "properties": {
        "added_tokens_decoder": {
            "type": "object",
            "propertyNames": {"pattern": "^[0-9]{1,9}$"},
            "additionalProperties": {
                "type": "object",
                "required": ["content"],
                "properties": {"content": {"type": "string"}},
            },
        }
    }
}
"""Schema of the tokenizer settings that are read, without special tokens."""
QWEN2_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Pre-tokenisation pattern of Qwen2."""


def read_tokenizer(config: Config) -> tuple[Tokenizer, dict[str, str]]:
    """Read the tokenizer of a checkpoint, with as many ids as its network.

    PAD, BOS and EOS may share an id. Special tokens are those of `config.json`, then
    those of `tokenizer_config.json`; others are looked up by their usual names, or
    added after the last token if the network has spare embedding rows.

    Returns:
        The tokenizer, and the texts of its special tokens by role.

    Raises:
        UserError: there are no files, or a special token has no embedding row.
    """
    folder = config.path.parent
    settings = {}
    if (folder / SETTINGS).exists():
        settings = read_object(folder / SETTINGS, RESTORE, SETTINGS_SCHEMA)
    backend = _backend(folder, settings)
    names = _special_names(backend, config, settings)
    try:
        tokenizer = Tokenizer(backend, names, shared=True, vocab_size=config.vocab_size)
    except UserError as error:
        raise UserError(
            f"the tokenizer in {folder}: {error.message}",
            "a checkpoint needs a row for every special token; see docs/checkpoints.md",
        ) from error
    return tokenizer, names


def _backend(folder: Path, settings: dict[str, Any]) -> tokenizers.Tokenizer:
    if (folder / SAVED).is_file():
        return read_backend(folder / SAVED, RESTORE)
    if not ((folder / VOCABULARY).is_file() and (folder / MERGES).is_file()):
        raise UserError(
            f"{folder} has no {SAVED}, and no {VOCABULARY} with {MERGES}",
            "copy the files of the tokenizer next to the weights",
        )
    with library_errors(f"{folder / VOCABULARY} and {MERGES} are not a BPE", RESTORE):
        model = models.BPE.from_file(str(folder / VOCABULARY), str(folder / MERGES))
    backend = tokenizers.Tokenizer(model)
    check_ids(backend, folder / VOCABULARY, RESTORE)
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    added = settings.get("added_tokens_decoder", {})
    for _, token in sorted(added.items(), key=lambda item: int(item[0])):
        special = bool(token.get("special", False))
        backend.add_tokens(
            [AddedToken(token["content"], special=special, normalized=False)]
        )
    return backend


def _special_names(
    backend: tokenizers.Tokenizer, config: Config, settings: dict[str, Any]
) -> dict[str, str]:
    """Texts of special tokens by role; PAD defaults to EOS."""
    names = {}
    for role in ROLES:
        written = settings.get(f"{role}_token")
        if isinstance(written, dict):
            written = written.get("content")
        by_id = config.special_ids.get(role)
        token = None if by_id is None else backend.id_to_token(by_id)
        token = token or written
        if isinstance(token, str) and backend.token_to_id(token) is not None:
            names[role] = token
    if "eos" in names:
        names.setdefault("pad", names["eos"])
    return names
