"""`xlmgen pull` as a function: from a repository to a run folder."""

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

from xlmgen.data.task import Task
from xlmgen.errors import UserError
from xlmgen.experiment.family_check import check_family
from xlmgen.hub.client import Repository, Snapshot, bars
from xlmgen.hub.contents import AGAIN, MANIFEST, Manifest, is_ours, is_weights
from xlmgen.hub.published import local_files
from xlmgen.hub.trust import refuse_hooks, rendered_anew
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
        commit: the hash of what was pulled.
        step: of the checkpoint.
        data: the local files that its task reads, which nobody has pushed.
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
    """Make a run folder from a repository, whole or not at all.

    Args:
        folder: must not exist; `runs/NAME` by default.
        revision: a branch, a tag or a commit.
        trust_code: take the code as it was pushed, whatever it is.

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
        _refuse_existing(folder)  # somebody was first
        texts = _texts(repository, snapshot, manifest, draft / "hub")
        if not trust_code:
            refuse_hooks(texts[TASK], repository.page)
            texts |= rendered_anew(
                texts, manifest.family, repository.page, manifest.xlmgen
            )
        weights = [
            repository.download(name, snapshot, draft / "hub")
            for name in manifest.weights
        ]
        place = draft / "run"
        shutil.rmtree(place, ignore_errors=True)  # of a pull that was killed
        task = _fill(place, texts, weights, manifest, repository, snapshot)
        place.rename(real_path(folder))
    return Pulled(
        Run.open(folder), snapshot.commit, manifest.step, local_files(task.document)
    )


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A folder beside the one that is to be; it is gone afterwards, come what may.

    The files in one that a killed process left are whole, and not downloaded again.
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
                with suppress(OSError):  # not empty: the run is there
                    parent.rmdir()


@contextmanager
def _ended_by_exception() -> Iterator[None]:
    """Let a request to terminate end as Ctrl-C does, so that nothing is left."""
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
            f"{folder} exists", "name a folder that does not, behind the repository"
        )


def _manifest(repository: Repository, snapshot: Snapshot) -> Manifest:
    """What says how to read the repository.

    Raises:
        UserError: it holds no run.
    """
    page = repository.page
    if MANIFEST not in snapshot.files:
        raise UserError(
            f"{page} holds no run of xlmgen: it has no {MANIFEST}",
            "`xlmgen push` writes such a repository; for a released checkpoint, "
            "download its folder and `xlmgen import` that",
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
            f"{page} is not a whole run: it lacks {', '.join(missing)}",
            "ask its owner to push it again",
        )
    return manifest


def _texts(
    repository: Repository, snapshot: Snapshot, manifest: Manifest, folder: Path
) -> dict[str, str]:
    """All that is pulled but the weights, by path."""
    mine = f"families/{manifest.family}/"
    paths = [
        path
        for path in snapshot.files
        if is_ours(path) and not is_weights(path)
        if path.startswith(mine) or not path.startswith("families/")
    ]

    def read(path: str) -> str:
        content = repository.download(path, snapshot, folder).read_bytes()
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{repository.page}: {path} is no UTF-8 text",
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
    """Write a run folder, and hold it to what `eval` and `train` ask of one."""
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
            f"xlmgen {manifest.xlmgen} pushed it; pull with that one or a newer one",
        ) from error
    _refuse_foreign(run, task, repository.page)
    return task


def _refuse_foreign(run: Run, task: Task, page: str) -> None:
    """Refuse a run that names files outside of its folder.

    Raises:
        UserError: it does; `xlmgen push` writes no such run.
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
            f"{page}: the run names what is not in its folder: "
            f"{', '.join(map(show, outside))}",
            "it was edited on the Hub; ask its owner to push it again",
        )
