"""Client of one repository on the Hub: list, commit and download files."""

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
from xlmgen.hub.problems import LOG_IN, hub_errors
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
        size: in bytes.
        git: git's hash of the file; for a large file, of the pointer to it.
        sha256: hash of a large file's content; None for other files.
    """

    size: int
    git: str
    sha256: str | None


@dataclass(frozen=True)
class Snapshot:
    """One commit of a repository.

    Args:
        commit: hash of the commit.
        private: whether the repository is private.
        files: by path.
    """

    commit: str
    private: bool
    files: Mapping[str, RemoteFile]


@dataclass(frozen=True)
class Repository:
    """A model repository on the Hub."""

    api: HfApi
    repo_id: str

    @classmethod
    def named(cls, repo_id: str) -> Repository:
        """Return the repository of this name, which need not exist.

        Raises:
            UserError: the name is not valid.
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
        """Address of the repository's page."""
        return f"{self.api.endpoint}/{self.repo_id}"

    def snapshot(self, revision: str | None = None) -> Snapshot:
        """List the files of one commit.

        Args:
            revision: a branch, a tag or a commit; the main branch by default.

        Raises:
            UserError: the repository cannot be read, or has no such revision.
        """
        from huggingface_hub.hf_api import RepoFile

        with self._errors(revision):
            info = self.api.model_info(self.repo_id, revision=revision)
            assert info.sha is not None  # responses about a revision have a hash
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
        """Create the repository and the branch if they do not exist.

        Raises:
            UserError: there is no token, or the token lacks permission.
        """
        from huggingface_hub import get_token

        if get_token() is None:
            raise UserError(
                "pushing needs a token of the Hub, and no token was found", LOG_IN
            )
        with self._errors(branch):
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
        """Write and remove files in a single commit.

        Args:
            files: content or local file, by path in the repository.
            gone: paths to remove.
            parent: hash of the parent commit.
            branch: the main branch by default.
            message: of the commit.

        Returns:
            the hash of the commit.

        Raises:
            UserError: the commit was refused, or failed; nothing was written.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(path, content) for path, content in files.items()),
            *(CommitOperationDelete(path) for path in gone),
        ]
        with bars(is_watched()), self._errors(branch):
            done = self.api.create_commit(
                self.repo_id,
                operations,
                commit_message=message,
                revision=branch,
                parent_commit=parent,
            )
        return done.oid

    def download(self, path: str, snapshot: Snapshot, folder: Path) -> Path:
        """Download one file of a commit into a folder, and verify its hash.

        Raises:
            UserError: the file cannot be read, or its checksum does not match.
        """
        with bars(is_watched()), self._errors(snapshot.commit):
            copy = Path(
                self.api.hf_hub_download(
                    self.repo_id, path, revision=snapshot.commit, local_dir=folder
                )
            )
        if not _is_intact(copy, snapshot.files[path]):
            copy.unlink()
            raise UserError(
                f"{self.page}: checksum mismatch of {path} in commit "
                f"{snapshot.commit[:8]}",
                "the download was removed; run the command again",
            )
        return copy

    def read(self, path: str, snapshot: Snapshot) -> bytes:
        """Read one small file of a commit; errors as for `download`."""
        with bars(False), tempfile.TemporaryDirectory() as folder:
            return self.download(path, snapshot, Path(folder)).read_bytes()

    def _errors(self, revision: str | None) -> AbstractContextManager[None]:
        return hub_errors(self.api.endpoint, self.repo_id, revision)


def is_watched() -> bool:
    """Whether standard error is a terminal, so that progress bars are useful."""
    return sys.stderr.isatty()


@contextmanager
def bars(shown: bool) -> Iterator[None]:
    """Show or hide huggingface_hub's progress bars while the block runs."""
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


def _is_intact(file: Path, expected: RemoteFile) -> bool:
    """Whether a file has the size and hash of the commit."""
    if file.stat().st_size != expected.size:
        return False
    if expected.sha256 is None:
        return git_hash(file.read_bytes()) == expected.git
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return digest.hexdigest() == expected.sha256
