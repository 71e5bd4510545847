"""Data sets of the Hugging Face Hub, and local folders in the same format."""

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

OLDEST = 4  # major version of datasets; earlier ones run code of a data set
COMMIT = re.compile(r"[0-9a-f]{40}")
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"
"""Files that `save_to_disk` writes, for one split and for several."""
OF_NO_MATTER = {"name", "version", "description", "data_dir", "data_files", "sep"}
"""Reader settings of the library that change no row, or that our readers have too."""


def is_local(path: str) -> bool:
    """Whether a path is a local folder and not a name on the Hub."""
    return path.startswith(LOCAL)


class LocalFiles(NamedTuple):
    """Files of a local data set that our own readers can read.

    Args:
        files: of each split of the task.
        how: settings of the reader.
    """

    files: Mapping[str, list[Path]]
    how: Reading


def local_files(hub: Mapping[str, Any], folder: Path) -> LocalFiles | None:
    """Files of a local folder, if our own readers can read all of them.

    The library only lists the files. Reading them itself it would guess types, and turn
    0010 into 10.

    Args:
        hub: the mapping under `hub:`, defaults filled in.
        folder: base of a relative path.

    Raises:
        UserError: the data set or a split cannot be found.
    """
    if not is_local(hub["path"]) or _is_saved(_folder(hub, folder)):
        return None
    datasets = _library()
    with _TranslateErrors(hub):
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
    """A value that changes whenever the data set may have changed.

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
    with _TranslateErrors(hub):
        builder = datasets.load_dataset_builder(**_arguments(hub, folder))
        found = builder.config.data_files or {}
        # The name of a file on the Hub has its commit; a local name says nothing.
        files = {str(split): [_state(name) for name in found[split]] for split in found}
    return [*which, files]


def rows(hub: Mapping[str, Any], folder: Path, split: str) -> Iterator[Row]:
    """Rows of a split of the task, numbered from 0 as in the Hub's viewer.

    Raises:
        UserError: the data set or the split cannot be found or read.
    """
    datasets = _library()
    name = hub["splits"][split]
    with _TranslateErrors(hub), tempfile.TemporaryDirectory() as scratch:
        if is_local(hub["path"]) and _is_saved(saved := _folder(hub, folder)):
            yield from enumerate(_saved(datasets, saved, name))
            return
        found = datasets.load_dataset(
            **_arguments(hub, folder),
            **_texts_only(datasets, hub, folder, name),
            split=name,
            streaming=hub["streaming"],
            # Its cache of a local folder could be of files that have changed since.
            cache_dir=scratch if is_local(hub["path"]) else None,
        )
        yield from enumerate(found)


def _saved(datasets: ModuleType, folder: Path, split: str) -> Any:
    """A split that `save_to_disk` wrote; a data set without splits counts as train."""
    found = datasets.load_from_disk(str(folder))
    if isinstance(found, datasets.Dataset):
        found = {str(found.split or "train"): found}
    if split not in found:
        raise ValueError(f"it has no split '{split}', but {', '.join(found)}")
    return found[split].with_format(None)


def _texts_only(
    datasets: ModuleType, hub: Mapping[str, Any], folder: Path, split: str
) -> dict[str, Any]:
    """Options that make the library read CSV cells unchanged, as strings."""
    arguments = _arguments(hub, folder)
    config = datasets.load_dataset_builder(**arguments).config
    if not hasattr(config, "keep_default_na"):  # only its CSV reader has it
        return {}
    name = re.split(r"[\[+]", split)[0]  # train of train[:10%]
    # Iterate over one row of every file, to the end of the iterator: a reader that is
    # stopped early leaves its file open.
    first = datasets.load_dataset(**arguments, split=name, streaming=True, nrows=1)
    columns = {key: datasets.Value("string") for row in first for key in row}
    if not columns:
        return {}
    return {"features": datasets.Features(columns), "keep_default_na": False}


def _has_options(config: Any) -> bool:
    """Whether a data set sets reader options that our readers lack."""
    return any(
        getattr(config, field.name) != field.default
        for field in fields(config)
        if field.name not in OF_NO_MATTER and field.default is not MISSING
    )


def _is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return any((folder / name).is_file() for name in (SAVED, SAVED_SPLITS))


def _folder(hub: Mapping[str, Any], folder: Path) -> Path:
    """The folder of a local data set.

    Raises:
        UserError: it does not exist.
    """
    found = located(folder, hub["path"])
    if not found.is_dir():
        raise UserError(
            f"source.hub.path: there is no folder {found}",
            f"check the path; it is relative to {folder.absolute()}",
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
    # Before the import: the library must not send telemetry.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            "source.hub: data sets of the Hub need the package datasets",
            'pip install "xlmgen[hub]", or name local files under source.files',
        ) from error
    if int(datasets.__version__.partition(".")[0]) < OLDEST:
        raise UserError(
            f"source.hub: datasets {datasets.__version__} may run code of a data set",
            f'pip install "datasets>={OLDEST}"',
        )
    found: ModuleType = datasets
    return found


class _TranslateErrors:
    """Context manager that turns errors of the library into a `UserError`."""

    def __init__(self, hub: Mapping[str, Any]) -> None:
        self._hub = hub

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        # The library raises many types, including those of its network libraries.
        if not isinstance(error, Exception) or isinstance(error, UserError):
            return
        if type(error).__name__ == "DatasetGenerationError" and error.__cause__:
            error = error.__cause__  # its cause has the useful message
        reason = " ".join(str(error).split()) or type(error).__name__
        fix = "check hub.path, hub.name and hub.splits"
        if not is_local(self._hub["path"]):
            fix += ", and the network; a private data set needs `hf auth login`"
        raise UserError(
            f"source.hub: cannot read the data set {self._hub['path']}: {reason}", fix
        ) from error
