"""Data sets of the Hugging Face Hub, and local folders of the same shape."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from xlmgen.data.digests import file_digest
from xlmgen.data.readers import FORMS, Reading, Row
from xlmgen.data.text_files import ending
from xlmgen.errors import UserError
from xlmgen.io.files import located
from xlmgen.tasks.spec import LOCAL

OLDEST = 4  # of the package: it was the first that runs no code of a data set
COMMIT = re.compile(r"[0-9a-f]{40}")
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"
"""Files of what `save_to_disk` wrote: of a data set, and of one with several splits."""
OF_NO_MATTER = {"name", "version", "description", "data_dir", "data_files", "sep"}
"""Settings of the library's readers that change nothing, or that ours have as well."""


def is_local(path: str) -> bool:
    """Whether a path is a folder here and no name on the Hub."""
    return path.startswith(LOCAL)


class LocalFiles(NamedTuple):
    """The files of a local data set that are read as those under `files:` are.

    Args:
        files: of each of our splits.
        how: they are read.
    """

    files: Mapping[str, list[Path]]
    how: Reading


def local_files(hub: Mapping[str, Any], folder: Path) -> LocalFiles | None:
    """The files of a local folder, where our readers can read all of them.

    The library finds out which they are; it would guess types, and turn 0010 into 10.

    Args:
        hub: the mapping under `hub:`, defaults filled in.
        folder: what a local path starts from.

    Raises:
        UserError: the data set or a split cannot be found.
    """
    if not is_local(hub["path"]) or _is_saved(_folder(hub, folder)):
        return None
    datasets = _library()
    with _Explained(hub):
        config = datasets.load_dataset_builder(**_arguments(hub, folder)).config
    found = {
        str(split): [Path(name) for name in names]
        for split, names in (config.data_files or {}).items()
    }
    names = hub["splits"].values()
    if any(name not in found for name in names) or _has_options(config):
        return None
    files = {split: found[name] for split, name in hub["splits"].items()}
    if not all(ending(path) in FORMS for paths in files.values() for path in paths):
        return None
    return LocalFiles(files, Reading(delimiter=getattr(config, "sep", None)))


def fingerprint(hub: Mapping[str, Any], folder: Path) -> Any:
    """What changes when the data set may have changed.

    Args: as for `local_files`.

    Raises:
        UserError: the data set cannot be found.
    """
    which = [hub["name"], hub["splits"]]
    if not is_local(hub["path"]) and COMMIT.fullmatch(hub["revision"] or ""):
        return [hub["path"], hub["revision"], *which]
    if is_local(hub["path"]) and _is_saved(saved := _folder(hub, folder)):
        paths = sorted(path for path in saved.rglob("*") if path.is_file())
        return [*which, [[str(p.relative_to(saved)), file_digest(p)] for p in paths]]
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
    name = hub["splits"][split]
    with _Explained(hub), tempfile.TemporaryDirectory() as scratch:
        if is_local(hub["path"]) and _is_saved(saved := _folder(hub, folder)):
            yield from enumerate(_saved(datasets, saved, name))
            return
        found = datasets.load_dataset(
            **_arguments(hub, folder),
            **_texts_only(datasets, hub, folder, name),
            split=name,
            streaming=hub["streaming"],
            # What it keeps of a local folder may be of files that have changed since.
            cache_dir=scratch if is_local(hub["path"]) else None,
        )
        yield from enumerate(found)


def _saved(datasets: ModuleType, folder: Path, split: str) -> Any:
    """A split of what `save_to_disk` wrote; a data set without splits is its own."""
    found = datasets.load_from_disk(str(folder))
    if isinstance(found, datasets.Dataset):
        found = {str(found.split or "train"): found}
    if split not in found:
        raise ValueError(f"it has no split '{split}', but {', '.join(found)}")
    return found[split].with_format(None)


def _texts_only(
    datasets: ModuleType, hub: Mapping[str, Any], folder: Path, split: str
) -> dict[str, Any]:
    """Options with which the library reads the cells of CSV files as they are."""
    arguments = _arguments(hub, folder)
    config = datasets.load_dataset_builder(**arguments).config
    if not hasattr(config, "keep_default_na"):  # which its reader of CSV alone has
        return {}
    whole = re.split(r"[\[+]", split)[0]  # of a split such as train[:10%]
    # A row of each file, to its end: the library leaves a file open that it stops in.
    first = datasets.load_dataset(**arguments, split=whole, streaming=True, nrows=1)
    columns = {name: datasets.Value("string") for row in first for name in row}
    if not columns:
        return {}
    return {"features": datasets.Features(columns), "keep_default_na": False}


def _has_options(config: Any) -> bool:
    """Whether a data set asks for its files to be read in a way of its own."""
    return any(
        getattr(config, field.name) != field.default
        for field in fields(config)
        if field.name not in OF_NO_MATTER and field.default is not MISSING
    )


def _is_saved(folder: Path) -> bool:
    """Whether a folder is what `save_to_disk` wrote."""
    return any((folder / name).is_file() for name in (SAVED, SAVED_SPLITS))


def _folder(hub: Mapping[str, Any], folder: Path) -> Path:
    """The folder of a local data set.

    Raises:
        UserError: there is none.
    """
    found = located(folder, hub["path"])
    if not found.is_dir():
        raise UserError(
            f"source.hub.path: there is no folder {found}",
            f"check the path; it starts from {folder.absolute()}",
        )
    return found


def _arguments(hub: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    path = str(_folder(hub, folder)) if is_local(hub["path"]) else hub["path"]
    return {"path": path, "name": hub["name"], "revision": hub["revision"]}


def _state(name: str) -> str:
    if not Path(name).is_file():
        return name
    return f"{ending(Path(name))} {file_digest(Path(name))}"


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
        fix = "check hub.path, hub.name and hub.splits"
        if not is_local(self._hub["path"]):
            fix += (
                ", and the network; a data set that is not public needs `hf auth login`"
            )
        raise UserError(
            f"source.hub: cannot read the data set {self._hub['path']}: {said}", fix
        ) from error
