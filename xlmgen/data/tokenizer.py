"""Strict tokenizer on top of the `tokenizers` library.

Unlike the library alone: text that cannot be represented is an error and never becomes
UNK or disappears; text that looks like a special token does not become one; and
decoding skips every special token.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, models

from xlmgen.data.characters import refuse_surrogates
from xlmgen.data.pieces import Lost, Pieces
from xlmgen.data.tokenizer_file import read_backend
from xlmgen.errors import UserError
from xlmgen.io.files import require_plain
from xlmgen.runtime.special_tokens import SPECIAL_TOKENS, SpecialTokens

USUAL_NAMES = {
    "pad": ("[PAD]", "<pad>", "<|pad|>", "<PAD>"),
    "bos": ("[BOS]", "<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "<BOS>"),
    "eos": ("[EOS]", "</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>", "<EOS>"),
    "mask": ("[MASK]", "<mask>", "<|mask|>", "<MASK>"),
    "cls": ("[CLS]", "<cls>", "<|cls|>", "<CLS>"),
}
OWN_NAMES = dict(zip(USUAL_NAMES, SPECIAL_TOKENS, strict=True))
# Most texts and characters encoded at once. They bound the memory of the encodings,
# which is more than a hundred bytes per token.
AT_ONCE, CHARACTERS_AT_ONCE = 4096, 1 << 17


class Tokenizer:
    """A tokenizer and its special tokens.

    Args:
        backend: the library's tokenizer. Its padding, truncation and added special
            tokens are not used: the collators do all three.
        names: texts of the special tokens by role, such as `{"eos": "<|im_end|>"}`. A
            role that is left out is looked up by its usual names, and added at the end
            where the tokenizer has none of them.
        suggested: texts from the tokenizer's folder, for roles left out of `names`. A
            token that the tokenizer lacks is added; MASK or CLS that shares its text
            with another role (in many folders CLS is BOS) gets a token of its own.
        shared: allow PAD, BOS and EOS to share an id. MASK and CLS never share one.
        vocab_size: total number of ids, including spare ids at the end; None for no
            spare ids.

    Raises:
        UserError: an unknown name, a shared id, or more tokens than `vocab_size`.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        names: Mapping[str, str] | None = None,
        *,
        suggested: Mapping[str, str] | None = None,
        shared: bool = False,
        vocab_size: int | None = None,
    ) -> None:
        backend.no_padding()
        backend.no_truncation()
        if isinstance(backend.model, models.BPE):
            backend.model.dropout = None  # the same text has the same ids
        self._backend = backend
        special = _find_special(backend, names or {}, suggested or {})
        _refuse_shared(backend, special, {"pad", "bos", "eos"} if shared else set())
        backend.encode_special_tokens = True
        vocabulary = backend.get_vocab(with_added_tokens=True)
        number = max(vocabulary.values()) + 1
        if vocab_size is not None and vocab_size < number:
            raise UserError(
                f"tokenizer.vocab_size is {vocab_size}, and there are {number} tokens, "
                "including special tokens",
                f"set it to {number} or more, or name existing tokens under "
                "tokenizer.special so that none is added",
            )
        self.vocab_size = vocab_size or number
        self.special = SpecialTokens(**special, vocab_size=self.vocab_size)
        self._special_ids = frozenset(special.values())
        model = json.loads(backend.to_str())["model"]
        self._refused = self._special_ids | _unknown_id(backend, model)
        self._pieces = Pieces(backend)

    def encode(self, text: str, place: str = "text") -> list[int]:
        """Ids of a text, without special tokens.

        Args:
            text: the text to encode.
            place: location of the text, for the error.

        Raises:
            UserError: a part of the text cannot be represented; the message names it
                and its position.
        """
        (ids,) = self.encode_all([text], lambda _: place)
        return ids

    def encode_all(
        self, texts: Sequence[str], place: Callable[[int], str]
    ) -> list[list[int]]:
        """Ids of many texts; `place(i)` is the location of text i, for an error.

        All are encoded at once, in the threads of the library, so a caller must bound
        their number: see `AT_ONCE`.

        Raises:
            UserError: as `encode`, for the first text that cannot be represented.
        """
        found = self.encode_known(texts)
        for number, (text, ids) in enumerate(zip(texts, found, strict=True)):
            if ids is None:
                self._explain(text, place(number))
                raise UserError(f"cannot encode {place(number)}")
        return [ids for ids in found if ids is not None]

    def encode_known(self, texts: Sequence[str]) -> list[list[int] | None]:
        """Ids of many texts, with None for a text that cannot be represented."""
        # Set explicitly, or the library warns when a data loader forks later.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        try:
            encodings = self._backend.encode_batch_fast(
                list(texts), add_special_tokens=False
            )
        except Exception:  # the library raises nothing more specific
            if len(texts) == 1:
                return [None]
            half = len(texts) // 2
            return self.encode_known(texts[:half]) + self.encode_known(texts[half:])
        found = [encoding.ids for encoding in encodings]
        return [
            ids if lost is None and self._refused.isdisjoint(ids) else None
            for ids, lost in zip(found, self._pieces.lost(texts), strict=True)
        ]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids, without special tokens.

        Ids that no text encodes to, such as an incomplete UTF-8 sequence, decode to the
        replacement character.
        """
        kept = [int(i) for i in ids if int(i) not in self._special_ids]
        return self._backend.decode(kept, skip_special_tokens=False)

    def token(self, id_: int) -> str:
        """Displayed text of one id; the name of a special token."""
        if id_ in self._special_ids:
            return self._backend.id_to_token(id_) or ""
        return self._backend.decode([id_], skip_special_tokens=False)

    @property
    def names(self) -> dict[str, str]:
        """Texts of the special tokens by role."""
        return {
            role: self._backend.id_to_token(getattr(self.special, role)) or ""
            for role in USUAL_NAMES
        }

    @property
    def vocabulary(self) -> dict[str, int]:
        """Id of every token by its text in `tokenizer.json`, with special tokens."""
        return self._backend.get_vocab(with_added_tokens=True)

    def to_bytes(self) -> bytes:
        """Contents of `tokenizer.json`, which determine all ids."""
        return self._backend.to_str(pretty=True).encode()

    def save(self, path: Path) -> None:
        """Write `tokenizer.json` atomically."""
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_bytes(self.to_bytes())
        draft.replace(path)

    @classmethod
    def load(
        cls,
        path: Path,
        names: Mapping[str, str] | None = None,
        *,
        suggested: Mapping[str, str] | None = None,
        shared: bool = False,
        vocab_size: int | None = None,
    ) -> "Tokenizer":
        """Load a saved `tokenizer.json`.

        Raises:
            UserError: there is no such file, or it is not a tokenizer.
        """
        require_plain(path, "name a tokenizer.json")
        fix = "name a tokenizer.json written by the tokenizers library"
        backend = read_backend(path, fix)
        return cls(
            backend, names, suggested=suggested, shared=shared, vocab_size=vocab_size
        )

    def _explain(self, text: str, place: str) -> None:
        """Raise the error for the first part of the text without an id, if any."""
        refuse_surrogates(text, place)
        found = self._first_unknown(text)
        if found is None:
            return
        position, piece = found
        if piece in OWN_NAMES.values() or self._is_special(piece):
            raise UserError(
                f"{place}: {piece!r} at character {position} is the name of a special "
                "token, which text cannot contain",
                "remove it from the text or use the tokenizer kind 'byte' or 'bpe'",
            )
        raise UserError(
            f"{place}: the tokenizer has no token for {piece!r} at character "
            f"{position}",
            f"its tokens are {self._some_tokens()}; fix the text, or use the "
            "tokenizer kind 'byte' or 'bpe', which can encode any text",
        )

    def _some_tokens(self) -> str:
        """A few of its tokens, for an error."""
        known = sorted(self._backend.get_vocab().values())
        ids = [id_ for id_ in known if id_ not in self._special_ids]
        few = ids if len(ids) < 6 else [*ids[:3], ids[-1]]
        names = [repr(self.token(id_)) for id_ in few]
        if len(few) < len(ids):
            names.insert(-1, "…")
        return ", ".join(names)

    def _first_unknown(self, text: str) -> Lost | None:
        """First part of a text that cannot be encoded."""
        try:
            encoding = self._backend.encode(text, add_special_tokens=False)
        except Exception:  # a model without an unknown token
            return self._pieces.first_failing(text) or Lost(0, text)
        for id_, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True):
            if id_ in self._refused:
                return Lost(start, text[start:stop])
        return self._pieces.lost([text])[0]

    def _is_special(self, piece: str) -> bool:
        return self._backend.token_to_id(piece) in self._special_ids


def _find_special(
    backend: tokenizers.Tokenizer,
    names: Mapping[str, str],
    suggested: Mapping[str, str],
) -> dict[str, int]:
    """Ids of the special tokens by role; missing ones are added at the end."""
    vocabulary = backend.get_vocab(with_added_tokens=True)
    found = {}
    for role, usual in USUAL_NAMES.items():
        own = OWN_NAMES[role]
        if role in names:
            found[role] = names[role]
            if names[role] != own and names[role] not in vocabulary:
                raise UserError(
                    f"tokenizer.special.{role}: the tokenizer has no token "
                    f"{names[role]!r}",
                    f"name one of its tokens, or {own!r}, which is added if missing",
                )
        elif role in suggested:
            found[role] = suggested[role]
        else:
            found[role] = next((name for name in usual if name in vocabulary), own)
    for role in ("mask", "cls"):  # they share no token with another role
        others = {name for other, name in found.items() if other != role}
        if role not in names and found[role] in others:
            free = (name for name in USUAL_NAMES[role] if name not in others)
            found[role] = next(
                (name for name in free if name in vocabulary), OWN_NAMES[role]
            )
    # Adds missing tokens, and marks existing ones as special in the library.
    backend.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in found.values()]
    )
    vocabulary = backend.get_vocab(with_added_tokens=True)
    return {role: vocabulary[name] for role, name in found.items()}


def _refuse_shared(
    backend: tokenizers.Tokenizer, special: Mapping[str, int], allowed: set[str]
) -> None:
    """Refuse special tokens that share an id, unless both roles are allowed to."""
    roles: dict[int, str] = {}
    for role, id_ in special.items():
        if id_ in roles and not {role, roles[id_]} <= allowed:
            fix = (
                f"give them different tokens under tokenizer.special, such as {role}: "
                f'"{OWN_NAMES[role]}", which is added if missing'
            )
            if {role, roles[id_]} <= {"pad", "bos", "eos"}:
                fix += (
                    ", or set tokenizer.shared: true if the family need not tell them "
                    "apart"
                )
            raise UserError(
                f"tokenizer: {roles[id_]} and {role} are one token, "
                f"{backend.id_to_token(id_)!r}",
                fix,
            )
        roles[id_] = role


def _unknown_id(
    backend: tokenizers.Tokenizer, model: Mapping[str, Any]
) -> frozenset[int]:
    """Id of the model's unknown token, if it has one."""
    if model.get("unk_id") is not None:
        return frozenset([int(model["unk_id"])])
    name = model.get("unk_token")
    id_ = backend.token_to_id(name) if name else None
    return frozenset() if id_ is None else frozenset([id_])
