"""Data sets of the Hugging Face Hub, and local folders of the same shape."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from xlmgen.data.digests import file_digest
from xlmgen.data.readers import Row
from xlmgen.errors import UserError
from xlmgen.files import without_parents

OLDEST = 4  # of the package: it was the first that runs no code of a data set
COMMIT = re.compile(r"[0-9a-f]{40}")


def is_local(path: str) -> bool:
    """Whether a path is a folder here and no name on the Hub."""
    return path.startswith(("./", "../", "/"))


def fingerprint(hub: Mapping[str, Any], folder: Path) -> Any:
    """What changes when the data set may have changed.

    Args:
        hub: the mapping under `hub:`, defaults filled in.
        folder: what a local path starts from.

    Raises:
        UserError: the data set cannot be found.
    """
    which = [hub["name"], hub["splits"]]
    if not is_local(hub["path"]) and COMMIT.fullmatch(hub["revision"] or ""):
        return [hub["path"], hub["revision"], *which]
    datasets = _library()
    with _Explained(hub):
        builder = datasets.load_dataset_builder(**_arguments(hub, folder))
        found = builder.config.data_files or {}
        # A file on the Hub is called by its commit, a local one only by its place.
        files = {str(split): [_state(name) for name in found[split]] for split in found}
    return [*which, files]


def rows(hub: Mapping[str, Any], folder: Path, split: str) -> Iterator[Row]:
    """The rows of one of our splits, numbered from 0 as the Hub's viewer does.

    Raises:
        UserError: the data set or the split cannot be found or read.
    """
    datasets = _library()
    with _Explained(hub), tempfile.TemporaryDirectory() as scratch:
        found = datasets.load_dataset(
            **_arguments(hub, folder),
            split=hub["splits"][split],
            streaming=hub["streaming"],
            # What it keeps of a local folder may be of files that have changed since.
            cache_dir=scratch if is_local(hub["path"]) else None,
        )
        yield from enumerate(found)


def _arguments(hub: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    path = str(hub["path"])
    if is_local(path):
        path = str(without_parents(folder / path))
    if is_local(hub["path"]) and not Path(path).is_dir():
        raise UserError(
            f"source.hub.path: there is no folder {path}",
            f"check the path; it starts from {folder.absolute()}",
        )
    return {"path": path, "name": hub["name"], "revision": hub["revision"]}


def _state(name: str) -> str:
    return file_digest(Path(name)) if Path(name).is_file() else name


def _library() -> ModuleType:
    # Said before it is imported: nothing of ours is to be sent or shown.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            "source.hub: a data set of the Hub is read by the package datasets",
            'pip install "xlmgen[hub]", or name local files under source.files',
        ) from error
    if int(datasets.__version__.partition(".")[0]) < OLDEST:
        raise UserError(
            f"source.hub: datasets {datasets.__version__} may run code of a data set",
            f'pip install "datasets>={OLDEST}"',
        )
    found: ModuleType = datasets
    return found


class _Explained:
    """Turns what the library raises into an error that says which data set."""

    def __init__(self, hub: Mapping[str, Any]) -> None:
        self._hub = hub

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        # The library has errors of many kinds, those of its network libraries too.
        if not isinstance(error, Exception) or isinstance(error, UserError):
            return
        if type(error).__name__ == "DatasetGenerationError" and error.__cause__:
            error = error.__cause__  # of the two, the one that says what is wrong
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"source.hub: cannot read the data set {self._hub['path']}: {said}",
            "check hub.path, hub.name, hub.splits and the network; a data set that is "
            "not public needs `hf auth login`",
        ) from error
