"""Push a run as one commit of a repository: the function behind `xlmgen push`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.hub.client import Repository, Snapshot
from xlmgen.hub.contents import CARD, MANIFEST, Manifest, is_ours
from xlmgen.hub.published import Published


@dataclass(frozen=True)
class Pushed:
    """Result of a push.

    Args:
        page: the address of the repository.
        commit: the commit's hash.
        kept_card: whether an edited model card in the repository was kept.
    """

    page: str
    commit: str
    kept_card: bool


def push(
    published: Published,
    repo_id: str,
    *,
    private: bool = False,
    branch: str | None = None,
    message: str | None = None,
) -> Pushed:
    """Upload a run in a single commit; create the repository and branch if missing.

    The new run replaces one in the repository. A model card that was edited on the Hub
    is kept.

    Args:
        published: the files to upload.
        repo_id: name of the repository, `USER/NAME`.
        private: create a private repository; an existing one must be private.
        branch: the main branch by default.
        message: of the commit.

    Raises:
        UserError: the Hub refuses, or the repository holds other files.
    """
    repository = Repository.named(repo_id)
    repository.create(private=private, branch=branch)
    before = repository.snapshot(branch)
    if private and not before.private:
        raise UserError(
            f"{repo_id} exists and is public; nothing was uploaded",
            f"make it private at {repository.page}/settings, or push without --private",
        )
    last = _last(repository, before)
    if last is None:
        _refuse_others(published, repo_id, before)
    card = before.files.get(CARD)
    kept = card is not None and (last is None or last.card != card.git)
    if kept:
        published = published.without_card(last.card if last else None)
    files: dict[str, bytes | Path] = {
        path: text.encode() for path, text in published.all_texts.items()
    }
    files |= published.weights
    gone = [
        path
        for path in before.files
        if last is not None and is_ours(path) and path not in files and path != CARD
    ]
    commit = repository.commit(
        files,
        gone,
        parent=before.commit,
        branch=branch,
        message=message or f"Step {published.manifest.step} with xlmgen push",
    )
    return Pushed(repository.page, commit, kept)


def _last(repository: Repository, snapshot: Snapshot) -> Manifest | None:
    """Read the manifest of the run in a repository; None if it holds no run."""
    if MANIFEST not in snapshot.files:
        return None
    place = f"{repository.page}: {MANIFEST}"
    return Manifest.parse(repository.read(MANIFEST, snapshot), place)


def _refuse_others(published: Published, repo_id: str, snapshot: Snapshot) -> None:
    """Refuse a repository whose files, not from a push, have names of ours.

    Raises:
        UserError: a file would be overwritten; the message lists such files.
    """
    there = [p for p in published.sizes if p in snapshot.files and p != CARD]
    if there:
        raise UserError(
            f"{repo_id} holds files that xlmgen did not push ({', '.join(there)}); "
            "nothing was uploaded",
            "push to another repository, or to a new --revision of an empty one",
        )
