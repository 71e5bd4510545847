"""One repository on the Hub: what it holds, one commit to it, files from it."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xlmgen.errors import UserError
from xlmgen.hub.contents import check_repo_id
from xlmgen.hub.problems import LOG_IN, said_plainly
from xlmgen.hub.published import git_hash
from xlmgen.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAIN = "main"
PIECE = 1 << 20  # bytes read at once


@dataclass(frozen=True)
class RemoteFile:
    """A file of a commit.

    Args:
        git: its hash as git has it; of a large file, that of a pointer to it.
        sha256: of a large file's content; None of any other.
    """

    size: int
    git: str
    sha256: str | None


@dataclass(frozen=True)
class Snapshot:
    """One commit of a repository.

    Args:
        commit: its hash.
        private: whether the repository is.
        files: by path.
    """

    commit: str
    private: bool
    files: Mapping[str, RemoteFile]


@dataclass(frozen=True)
class Repository:
    """A repository of models on the Hub, by its name."""

    api: HfApi
    repo_id: str

    @classmethod
    def named(cls, repo_id: str) -> Repository:
        """The repository of this name, which need not exist.

        Raises:
            UserError: it is no name.
        """
        check_repo_id(repo_id)
        from huggingface_hub import HfApi

        api = HfApi(
            endpoint=os.environ.get("HF_ENDPOINT") or None,
            library_name="xlmgen",
            library_version=__version__,
        )
        return cls(api, repo_id)

    @property
    def page(self) -> str:
        """Its address."""
        return f"{self.api.endpoint}/{self.repo_id}"

    def snapshot(self, revision: str | None = None) -> Snapshot:
        """What it holds.

        Args:
            revision: a branch, a tag or a commit; the main branch by default.

        Raises:
            UserError: it cannot be read, or has no such revision.
        """
        from huggingface_hub.hf_api import RepoFile

        with self._said_plainly(revision):
            info = self.api.model_info(self.repo_id, revision=revision)
            assert info.sha is not None  # every answer about a revision has one
            tree = self.api.list_repo_tree(
                self.repo_id, recursive=True, revision=info.sha
            )
            files = {
                entry.path: RemoteFile(
                    entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None
                )
                for entry in tree
                if isinstance(entry, RepoFile)
            }
        return Snapshot(info.sha, bool(info.private), files)

    def create(self, *, private: bool, branch: str | None) -> None:
        """Make it, or its branch, where it does not exist.

        Raises:
            UserError: there is no token, or it does not permit that.
        """
        from huggingface_hub import get_token

        if get_token() is None:
            raise UserError(
                "pushing needs a token of the Hub, and there is none", LOG_IN
            )
        with self._said_plainly(branch):
            self.api.create_repo(self.repo_id, private=private or None, exist_ok=True)
            if branch is not None and branch != MAIN:
                self.api.create_branch(self.repo_id, branch=branch, exist_ok=True)

    def commit(
        self,
        files: Mapping[str, bytes | Path],
        gone: Sequence[str],
        *,
        parent: str,
        branch: str | None,
        message: str,
    ) -> str:
        """Write files and remove others, all in one commit or nothing.

        Args:
            files: by path: their content, or where that is.
            gone: paths to remove.
            parent: the commit that this follows.

        Returns:
            the hash of the commit.

        Raises:
            UserError: it was not written.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(path, content) for path, content in files.items()),
            *(CommitOperationDelete(path) for path in gone),
        ]
        with bars(is_watched()), self._said_plainly(branch):
            done = self.api.create_commit(
                self.repo_id,
                operations,
                commit_message=message,
                revision=branch,
                parent_commit=parent,
            )
        return done.oid

    def download(self, path: str, snapshot: Snapshot, folder: Path) -> Path:
        """Copy one file of a commit into a folder, and hold it against its hash.

        Raises:
            UserError: it cannot be read, or is not what the commit says.
        """
        with bars(is_watched()), self._said_plainly(snapshot.commit):
            copy = Path(
                self.api.hf_hub_download(
                    self.repo_id, path, revision=snapshot.commit, local_dir=folder
                )
            )
        if not _is_whole(copy, snapshot.files[path]):
            copy.unlink()
            raise UserError(
                f"{self.page}: {path} arrived damaged: its hash is not that of the "
                f"commit {snapshot.commit[:8]}",
                "nothing was kept of it; run the command again",
            )
        return copy

    def read(self, path: str, snapshot: Snapshot) -> bytes:
        """The content of one small file of a commit. Errors as for `download`."""
        with bars(False), tempfile.TemporaryDirectory() as folder:
            return self.download(path, snapshot, Path(folder)).read_bytes()

    def _said_plainly(self, revision: str | None) -> AbstractContextManager[None]:
        return said_plainly(self.api.endpoint, self.repo_id, revision)


def is_watched() -> bool:
    """Whether a person sees what is printed about progress."""
    return sys.stderr.isatty()


@contextmanager
def bars(shown: bool) -> Iterator[None]:
    """The library's bars of progress within, or none."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if shown or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _is_whole(file: Path, expected: RemoteFile) -> bool:
    """Whether a file is what its hash says."""
    if file.stat().st_size != expected.size:
        return False
    if expected.sha256 is None:
        return git_hash(file.read_bytes()) == expected.git
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest() == expected.sha256
