"""Read the files of a git commit without a checkout."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.spec.load import MAX_BYTES
from xlmgen.spec.messages import show

SUFFIXES = (".jinja", ".json", ".lock", ".md", ".py", ".yaml", ".yml")
REGULAR = ("100644", "100755")  # git's modes of plain files; not of links


@dataclass(frozen=True)
class Commit:
    """The text files of a commit.

    Args:
        root: the top of the working tree.
        ref: the commit as the user named it.
        files: text by path from the top, with forward slashes. Files that are not
            UTF-8, links, large files and other kinds of files are left out.
    """

    root: Path
    ref: str
    files: Mapping[str, str]


def read_commit(ref: str, folder: Path) -> Commit:
    """Read a commit of the repository that contains a folder.

    Args:
        ref: a branch, tag or commit.
        folder: in the repository.

    Raises:
        UserError: git is missing, the folder is in no repository, or the repository has
            no such commit.
    """
    root = Path(_top(folder))
    name = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
    found = _git(root, *name)
    if found.returncode:
        raise _unknown(ref, root)
    commit = found.stdout.decode().strip()
    listed = _checked(_git(root, "ls-tree", "-r", "-z", "-l", "--full-tree", commit))
    blobs: dict[str, str] = {}
    for entry in listed.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        about, _, path = entry.partition("\t")
        mode, _, blob, size = about.split()
        if mode not in REGULAR or not path.endswith(SUFFIXES):
            continue
        if not size.isdecimal():  # git writes BAD
            raise _missing(path, blob)
        if int(size) <= MAX_BYTES:
            blobs[path] = blob
    return Commit(root, ref, _texts(root, blobs))


def _texts(root: Path, blobs: Mapping[str, str]) -> dict[str, str]:
    wanted = "".join(f"{blob}\n" for blob in blobs.values()).encode()
    content = _checked(_git(root, "cat-file", "--batch", given=wanted))
    texts, at = {}, 0
    for path, blob in blobs.items():
        head, _, _ = content[at : at + 200].partition(b"\n")
        start = at + len(head) + 1
        _, kind, *size = head.split()
        if kind != b"blob":
            raise _missing(path, blob)
        at = start + int(size[0]) + 1
        try:
            texts[path] = content[start : at - 1].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return texts


def _missing(path: str, blob: str) -> UserError:
    return UserError(
        f"git has no object {blob} for {path}: this clone is damaged or partial",
        "run `git fsck` for details, and fetch or clone again",
    )


def _top(folder: Path) -> str:
    found = _git(folder, "rev-parse", "--show-toplevel")
    if found.returncode:
        reason = found.stderr.decode(errors="replace").partition("\n")[0]
        raise UserError(
            f"{folder.resolve()} is not in a readable git repository ({reason})",
            "run the command in a clone of the project",
        )
    return found.stdout.decode().rstrip("\n")


def _unknown(ref: str, root: Path) -> UserError:
    shallow = _git(root, "rev-parse", "--is-shallow-repository").stdout.strip()
    if shallow == b"true":
        fix = "this clone is shallow: fetch the commit first, or clone with its history"
    else:
        fix = "name a branch, a tag or a commit; `git fetch` downloads new ones"
    return UserError(f"there is no commit {show(ref)} in {root}", fix)


def _checked(done: subprocess.CompletedProcess[bytes]) -> bytes:
    if done.returncode:
        reason = done.stderr.decode(errors="replace").partition("\n")[0]
        raise UserError(f"git failed: {reason}", "run `git fsck` to find the cause")
    return done.stdout


def _git(
    folder: Path, *words: str, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", *words], cwd=folder, input=given, capture_output=True, check=False
        )
    except OSError as error:
        raise UserError(f"cannot run git ({error.strerror})", "install git") from error
