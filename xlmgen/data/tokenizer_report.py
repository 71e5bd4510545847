"""Report of a tokenizer on a task's validation split."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from xlmgen.data.task import Task
from xlmgen.data.tokenizer import AT_ONCE, Tokenizer

MOST_TEXTS = 10_000  # keeps the report fast
EXAMPLES = 3
LONGEST_EXAMPLE = 40


def report(task: Task, tokenizer: Tokenizer) -> list[str]:
    """Lines with its size, its tokens per word and byte, and some tokenised texts."""
    words = size = tokens = unknown = number = 0
    shown: list[str] = []
    texts = islice(_validation_texts(task), MOST_TEXTS)
    while some := list(islice(texts, AT_ONCE)):
        for text, ids in zip(some, tokenizer.encode_known(some), strict=True):
            number += 1
            if ids is None:
                unknown += 1
                continue
            words += len(text.split())
            size += len(text.encode())
            tokens += len(ids)
            if len(shown) < EXAMPLES and text.strip():
                short = tokenizer.encode_known([text[:LONGEST_EXAMPLE]])[0] or ids
                shown.append(" | ".join(tokenizer.token(i) for i in short))
    per_word, per_byte = tokens / max(words, 1), tokens / max(size, 1)
    lines = [
        f"{tokenizer.vocab_size:,} ids, 5 of them special",
        f"{per_word:.2f} tokens per word and {per_byte:.3f} per byte, over "
        f"{number - unknown:,} texts of validation",
    ]
    if unknown:
        lines.append(f"{unknown:,} texts of validation cannot be encoded")
    return [*lines, *(f"  {text!r}" for text in shown)]


def _validation_texts(task: Task) -> Iterator[str]:
    for row in task.corpus.rows():
        if row.split == "validation" and row.texts is not None:
            for key, text in zip(task.columns, row.texts, strict=True):
                if key != "given":
                    yield text
