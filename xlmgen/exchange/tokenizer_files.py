"""Tokenizer of a released checkpoint: reading its files, and writing them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from xlmgen.data.auto_tokenizer import (
    AUTO_MAP,
    CODE,
    MODULE,
    ROLES,
    SAVED,
    SETTINGS,
    compare,
    refuse_different,
    tokenizer_settings,
)
from xlmgen.data.task import Task
from xlmgen.data.tokenizer import Tokenizer
from xlmgen.data.tokenizer_file import check_ids, library_errors, read_backend
from xlmgen.errors import UserError
from xlmgen.exchange.config import RESTORE, Config
from xlmgen.io.files import write_json, write_text
from xlmgen.io.json_input import Schema, read_object

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


def write_tokenizer(task: Task, source: Path, folder: Path) -> list[str]:
    """Write files from which transformers' `AutoTokenizer` loads the run's tokenizer.

    The files of an imported checkpoint are kept if they load as the run's tokenizer.

    Args:
        source: folder with the files of the imported checkpoint; need not exist.
        folder: to write into; has the `config.json` of the export.

    Returns:
        Lines for the user: files that were replaced, and what could not be compared.

    Raises:
        UserError: `AutoTokenizer` loads another tokenizer from the written files.
    """
    notes = []
    written = [name for name in FILES if (source / name).is_file()]
    for name in written:
        shutil.copyfile(source / name, folder / name)
    found = compare(folder, task) if written else None
    if found is None or found.difference:
        if found:
            notes.append(
                "AutoTokenizer loads another tokenizer from the checkpoint's files ("
                f"{found.difference}); the run's tokenizer was written in their place"
            )
        _write_own(task.tokenizer, folder)
        found = compare(folder, task)
        refuse_different(found)
    return [*notes, found.unchecked] if found.unchecked else notes


def _write_own(tokenizer: Tokenizer, folder: Path) -> None:
    """Replace the tokenizer files of a folder by the run's; a chat template stays."""
    kept = {}
    if (folder / SETTINGS).is_file():
        kept = read_object(folder / SETTINGS, RESTORE, SETTINGS_SCHEMA)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    tokenizer.save(folder / SAVED)
    # Of a known model_type, AutoTokenizer keeps the class that `tokenizer_class` names
    # only if `auto_map` names one too.
    template = {key: kept[key] for key in ("chat_template",) if key in kept}
    write_json(
        folder / SETTINGS,
        {**tokenizer_settings(tokenizer), "auto_map": AUTO_MAP, **template},
    )
    write_text(folder / CODE, MODULE)


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
