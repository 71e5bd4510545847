"""Texts that ship with xlmgen, by the names that a task's `source.corpus` gives."""

from pathlib import Path
from typing import Any

from xlmgen.tasks.spec import SPLITS

TEXTS = Path(__file__).resolve().parent / "texts"


def as_files(name: str) -> dict[str, Any]:
    """The source `{corpus: name}` as a source of local files: one document per split.

    Args:
        name: of a folder of `TEXTS`, checked by the schema.
    """
    return {
        "files": {split: str(TEXTS / name / f"{split}.txt") for split in SPLITS},
        "format": "txt",
        "unit": "file",
        "delimiter": None,
        "columns": {"tokens": "text"},
    }
