"""Bundled texts, by the name in a task's `source.corpus`."""

from pathlib import Path
from typing import Any

from xlmgen.tasks.spec import SPLITS

TEXTS = Path(__file__).resolve().parent / "texts"


def as_files(name: str) -> dict[str, Any]:
    """The source `{corpus: name}` as a source of local files: one document per split.

    Args:
        name: of a folder in `TEXTS`; the schema has checked it.
    """
    return {
        "files": {split: str(TEXTS / name / f"{split}.txt") for split in SPLITS},
        "format": "txt",
        "unit": "file",
        "delimiter": None,
        "columns": {"tokens": "text"},
    }
