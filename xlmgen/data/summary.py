"""Summary of a task's data: a table for `prepare`, and one line for `train`."""

from __future__ import annotations

from xlmgen.data.batches import padding
from xlmgen.data.examples import Examples
from xlmgen.data.task import Task
from xlmgen.tasks.spec import SPLITS

LEFT_OUT = {
    "filtered": "by the filter",
    "unknown": "that the tokenizer cannot encode",
    "dropped": "longer than max_length",
}


def line(task: Task) -> str:
    """`data: 20,000 train, 100 validation, 1,000 test examples; …`."""
    found = {split: task.summary(split) for split in SPLITS}
    unit = "rows" if task.packed else "examples"
    counts = ", ".join(f"{found[split].examples:,} {split}" for split in SPLITS)
    parts = [f"data: {counts} {unit}"]
    for count, words in LEFT_OUT.items():
        if number := sum(getattr(summary, count) for summary in found.values()):
            parts.append(f"{number:,} left out {words}")
    if cut := sum(summary.truncated for summary in found.values()):
        parts.append(f"{cut:,} cut to max_length")
    return "; ".join(parts)


def table(task: Task) -> list[str]:
    """Aligned lines with the counts of every split, and the folder of the ids."""
    unit = "rows" if task.packed else "examples"
    heads = (
        *("split", "documents", "tokens", unit),
        *("filtered", "unknown", "dropped", "truncated"),
    )
    rows: list[tuple[str, ...]] = [heads]
    for split in SPLITS:
        found = task.summary(split)
        counts = (
            *(found.documents, found.tokens, found.examples),
            *(found.filtered, found.unknown, found.dropped, found.truncated),
        )
        rows.append((split, *(f"{count:,}" for count in counts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [*lines, f"in {task.prepared.folder}"]


def padding_shares(task: Task, batch_size: int) -> str:
    """Shares of padding in training batches, shuffled and by length.

    Empty for packed rows, which have no padding.
    """
    examples = task.examples("train")
    if not isinstance(examples, Examples):
        return ""
    lengths = examples.lengths
    shuffled, grouped = (
        padding(lengths, batch_size, by_length=b) for b in (False, True)
    )
    return (
        f"pads in batches of {batch_size} rows: {100 * shuffled:.1f} % shuffled, "
        f"{100 * grouped:.1f} % by_length (training.batching), padded to the longest "
        "row of the batch"
    )
