"""Files from which transformers' `AutoTokenizer` loads a task's tokenizer unchanged."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlmgen.data.tokenizer import AT_ONCE, Tokenizer
from xlmgen.errors import UserError

if TYPE_CHECKING:
    from xlmgen.data.task import Task

SAVED, SETTINGS, CODE = "tokenizer.json", "tokenizer_config.json", "tokenization.py"
ROLES = ("pad", "bos", "eos", "mask")
"""Special tokens that transformers and xlmgen both name."""
MODULE = '''\
"""Tokenizer that is loaded from tokenizer.json and nothing else."""

from transformers import PreTrainedTokenizerFast


class SavedTokenizer(PreTrainedTokenizerFast):
    """Stops AutoTokenizer from choosing the class by the model_type of config.json."""
'''
"""Text of `CODE`. It runs with `trust_remote_code=True` only; naming it is enough."""
AUTO_MAP = {"AutoTokenizer": [None, "tokenization.SavedTokenizer"]}
MOST_PIECES, ROWS_PER_PIECE = 8, 250
"""Bounds on the rows of a task that are compared: a piece is usually a file."""
LONGEST = 10_000
"""Characters of a text that are compared."""
EXTRA = "pip install 'xlmgen[export]'"


@dataclass(frozen=True)
class Comparison:
    """A tokenizer as `AutoTokenizer` loads it, compared with the task's.

    Args:
        difference: the first difference; empty if there is none.
        unchecked: the part that could not be compared, and why; empty if all was.
    """

    difference: str = ""
    unchecked: str = ""


def tokenizer_settings(tokenizer: Tokenizer) -> dict[str, Any]:
    """Contents of `tokenizer_config.json` in a folder without `config.json`."""
    names = tokenizer.names
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **{f"{role}_token": names[role] for role in ROLES},
    }


def compare(folder: Path, task: Task) -> Comparison:
    """Load a folder with `AutoTokenizer`, and compare ids and texts with the task's.

    Compared are the ids of all tokens, those of special tokens, and the ids and decoded
    texts of the first rows of the task's files. Code in the folder is not run. Names of
    special tokens within a text are compared as text (`split_special_tokens=True`).
    """
    if importlib.util.find_spec("transformers") is None:
        return Comparison(
            unchecked="the tokenizer was not compared with AutoTokenizer's, because "
            f"transformers is not installed: {EXTRA}"
        )
    from transformers import AutoTokenizer

    try:
        loaded: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # the library raises nothing more specific
        return Comparison(f"it cannot be loaded: {str(error).strip()[:200]}")
    found = _different_token(loaded, task.tokenizer)
    if found:
        return Comparison(found)
    try:
        return Comparison(_different_text(loaded, task))
    except UserError as error:
        return Comparison(
            unchecked="the tokenizer was not compared with AutoTokenizer's on the "
            f"task's texts: {error.message}"
        )


def refuse_different(comparison: Comparison) -> None:
    """Refuse files that `AutoTokenizer` reads as another tokenizer.

    Raises:
        UserError: names the first difference.
    """
    if not comparison.difference:
        return
    from transformers import __version__

    raise UserError(
        "AutoTokenizer would load another tokenizer than the run's: "
        + comparison.difference,
        f"nothing was written; try another version of transformers than {__version__}",
    )


def _different_token(loaded: Any, tokenizer: Tokenizer) -> str:
    """First token, or special token, with another id."""
    theirs, ours = loaded.get_vocab(), tokenizer.vocabulary
    for token, id_ in ours.items():
        # No released network has a CLS: an import adds it to the run's tokenizer alone.
        if theirs.get(token) != id_ and not (
            id_ == tokenizer.special.cls and token not in theirs
        ):
            return f"{token!r} has the id {theirs.get(token)}, not {id_}"
    for token, id_ in theirs.items():
        if id_ >= tokenizer.vocab_size:
            return f"it adds {token!r} as {id_}, and the network has no such row"
    for role in ROLES:
        id_, own = getattr(loaded, f"{role}_token_id"), getattr(tokenizer.special, role)
        if id_ is not None and id_ != own:
            return f"{role}_token_id is {id_}, not {own}"
    return ""


def _different_text(loaded: Any, task: Task) -> str:
    """First text of the task with other ids, or whose ids decode to another text."""
    texts = _texts(task)
    while some := list(islice(texts, AT_ONCE)):
        found = loaded(some, add_special_tokens=False, split_special_tokens=True)
        ours = task.tokenizer.encode_known(some)
        for text, ids, own in zip(some, found["input_ids"], ours, strict=True):
            if own is None:  # the task leaves it out, or refuses it
                continue
            if ids != own:
                return f"{_first(text)} becomes {_first(ids)}, not {_first(own)}"
            decoded, known = loaded.decode(own), task.tokenizer.decode(own)
            if decoded != known:
                return f"{_first(own)} becomes {_first(decoded)}, not {_first(known)}"
    return ""


def _texts(task: Task) -> Iterator[str]:
    """Beginnings of the first texts of each piece of the task's corpus."""
    for piece in range(min(len(task.corpus.pieces), MOST_PIECES)):
        for row in islice(task.corpus.rows(piece), ROWS_PER_PIECE):
            for key, text in zip(task.columns, row.texts or (), strict=False):
                if key != "given":
                    yield text[:LONGEST]


def _first(value: str | list[int]) -> str:
    """Beginning of a text or of ids, for a message."""
    if isinstance(value, str):
        return repr(value[:40]) + "…" * (len(value) > 40)
    return f"[{', '.join(map(str, value[:12]))}{', …' * (len(value) > 12)}]"
