"""Pull a run from a repository into a run folder: the function behind `xlmgen pull`."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from xlmgen.data.auto_tokenizer import SETTINGS
from xlmgen.data.task import Task
from xlmgen.errors import UserError
from xlmgen.experiment.family_check import check_family
from xlmgen.hub.client import Repository, Snapshot, bars
from xlmgen.hub.contents import AGAIN, MANIFEST, Manifest, is_ours, is_weights
from xlmgen.hub.published import local_files
from xlmgen.hub.trust import refuse_hooks, render_pushed
from xlmgen.io.files import real_path, write_json, write_text
from xlmgen.io.json_input import parse_object
from xlmgen.io.locks import locked
from xlmgen.io.manifest import write_manifest
from xlmgen.io.shards import Shards
from xlmgen.registry import SPEC
from xlmgen.render.lock import is_inside
from xlmgen.runs.checkpoint_folder import IMPORTED, about, folder_name
from xlmgen.runs.run import EXPERIMENT, RECORD, TASK, TOKENIZER, VERSIONS, Run, run_id
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.messages import show

NEEDED = (EXPERIMENT, TASK, TOKENIZER, VERSIONS)
AT_ONCE = 8  # small files that are downloaded at the same time


@dataclass(frozen=True)
class Pulled:
    """A run that was pulled.

    Args:
        run: the new run folder.
        commit: hash of the pulled commit.
        step: of the checkpoint.
        data: local files that the task reads; they are not in the repository.
    """

    run: Run
    commit: str
    step: int
    data: list[str]


def pull(
    repo_id: str,
    folder: Path | None = None,
    *,
    revision: str | None = None,
    trust_code: bool = False,
) -> Pulled:
    """Download a run from a repository into a new run folder; on errors keep nothing.

    Args:
        repo_id: name of the repository, `USER/NAME`.
        folder: must not exist; `runs/NAME` by default.
        revision: a branch, a tag or a commit.
        trust_code: accept code that differs from the render of its spec.

    Raises:
        UserError: the repository cannot be read or holds no run, its code is not what
            its spec renders to, or the folder exists.
    """
    repository = Repository.named(repo_id)
    folder = folder or Path("runs") / repo_id.partition("/")[2]
    _refuse_existing(folder)
    snapshot = repository.snapshot(revision)
    manifest = _manifest(repository, snapshot)
    with _ended_by_exception(), _draft(real_path(folder)) as draft:
        _refuse_existing(folder)  # another process may have created it
        texts = _texts(repository, snapshot, manifest, draft / "hub")
        if not trust_code:
            refuse_hooks(texts[TASK], repository.page)
            texts |= render_pushed(
                texts, manifest.family, repository.page, manifest.xlmgen
            )
        weights = [
            repository.download(name, snapshot, draft / "hub")
            for name in manifest.weights
        ]
        place = draft / "run"
        shutil.rmtree(place, ignore_errors=True)  # left by a killed pull
        task = _fill(place, texts, weights, manifest, repository, snapshot)
        place.rename(real_path(folder))
    return Pulled(
        Run.open(folder), snapshot.commit, manifest.step, local_files(task.document)
    )


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """Create a temporary folder beside the run folder; remove it afterwards.

    Files left there by a killed process are intact, and are not downloaded again.
    """
    draft = folder.with_name(f".{folder.name}.pull")
    made = [parent for parent in draft.parents if not parent.exists()]
    draft.mkdir(parents=True, exist_ok=True)
    with locked(draft):
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            for parent in made:
                with suppress(OSError):  # not empty, because the run was created
                    parent.rmdir()


@contextmanager
def _ended_by_exception() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that temporary files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _refuse_existing(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(
            f"{folder} exists", "add the path of a new folder after the repository"
        )


def _manifest(repository: Repository, snapshot: Snapshot) -> Manifest:
    """Read the manifest of a repository, and check that all files are present.

    Raises:
        UserError: the repository holds no run, or an incomplete one.
    """
    page = repository.page
    if MANIFEST not in snapshot.files:
        raise UserError(
            f"{page} holds no run of xlmgen: it has no {MANIFEST}",
            "pull a repository that `xlmgen push` wrote; for a released checkpoint, "
            "download its folder and run `xlmgen import` on it",
        )
    manifest = Manifest.parse(
        repository.read(MANIFEST, snapshot), f"{page}: {MANIFEST}"
    )
    spec = f"families/{manifest.family}/{SPEC}"
    missing = [
        path
        for path in (*NEEDED, spec, *manifest.weights)
        if path not in snapshot.files
    ]
    if missing:
        raise UserError(
            f"{page} is not a complete run: it lacks {', '.join(missing)}",
            "ask its owner to push it again",
        )
    return manifest


def _texts(
    repository: Repository, snapshot: Snapshot, manifest: Manifest, folder: Path
) -> dict[str, str]:
    """Download the texts that a run folder has; return their texts by path.

    Raises:
        UserError: a file cannot be downloaded, or is not valid UTF-8.
    """
    mine = f"families/{manifest.family}/"
    paths = [
        path
        for path in snapshot.files
        if is_ours(path) and not is_weights(path) and path != SETTINGS
        if path.startswith(mine) or not path.startswith("families/")
    ]

    def read(path: str) -> str:
        content = repository.download(path, snapshot, folder).read_bytes()
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{repository.page}: {path} is not valid UTF-8",
                "ask its owner to push the run again",
            ) from error

    with bars(False), ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(paths, pool.map(read, paths), strict=True))


def _fill(
    place: Path,
    texts: Mapping[str, str],
    weights: list[Path],
    manifest: Manifest,
    repository: Repository,
    snapshot: Snapshot,
) -> Task:
    """Write a run folder, and validate it as `eval` and `train` do.

    Raises:
        UserError: a file is invalid, or names files outside of the run folder.
    """
    parse_object(texts[VERSIONS], f"{repository.page}: {VERSIONS}", AGAIN, RECORD)
    for path, text in texts.items():
        if path != MANIFEST:
            write_text(place / path, text)
    for part in ("predictions", "results"):
        (place / part).mkdir()
    checkpoint = place / "checkpoints" / folder_name(0)
    checkpoint.mkdir(parents=True)
    for file in weights:
        file.rename(checkpoint / file.name)
    shards = Shards.open(checkpoint)
    origin = {"from": repository.page, "commit": snapshot.commit, "step": manifest.step}
    for folder in (checkpoint, place):
        write_json(folder / IMPORTED, {**origin, "tensors": len(shards.entries)})
    write_manifest(checkpoint, about(run_id(place), 0))
    try:
        run = Run.open(place)
        check_family(run.experiment, run.family_folder)
        task = run.load_task()
    except SpecError as error:
        first = error.diagnostics[0]
        raise UserError(
            f"{repository.page}: {Path(first.file).name}: {first.message}",
            f"xlmgen {manifest.xlmgen} pushed it; pull with that version or a newer "
            "one",
        ) from error
    _refuse_foreign(run, task, repository.page)
    return task


def _refuse_foreign(run: Run, task: Task, page: str) -> None:
    """Refuse a run that names files outside of its folder; a push never writes one.

    Raises:
        UserError: the run names such files; the message lists them.
    """
    outside = [
        path
        for path in local_files(task.document)
        if not (is_inside(path) and path.isprintable())
    ]
    path = task.document["tokenizer"].get("path", TOKENIZER)
    outside += [path] if path != TOKENIZER else []
    named = {
        run.experiment.family: run.family_folder,
        run.experiment.task: run.path / TASK,
    }
    outside += [name for name, own in named.items() if Path(name) != own.resolve()]
    if outside:
        raise UserError(
            f"{page}: the run names files outside of its folder: "
            f"{', '.join(map(show, outside))}",
            "it was edited on the Hub; ask its owner to push it again",
        )
