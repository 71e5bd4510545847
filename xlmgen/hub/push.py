"""`xlmgen push` as a function: a run as one commit of a repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xlmgen.errors import UserError
from xlmgen.hub.client import Repository, Snapshot
from xlmgen.hub.contents import CARD, MANIFEST, Manifest, is_ours
from xlmgen.hub.published import Published


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Args:
        page: the address of the repository.
        commit: the commit's hash.
        kept_card: whether the card in the repository is somebody's and stayed.
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
    """Upload a run; the repository and the branch are made where there are none.

    All is one commit, or nothing is. A repository that holds a run already holds the
    new one afterwards; a model card that was edited there stays.

    Args:
        private: whether a new repository is; one that exists must be.

    Raises:
        UserError: the Hub refuses, or the repository holds something else.
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
    """The manifest of the run that a repository holds; None where it holds none."""
    if MANIFEST not in snapshot.files:
        return None
    place = f"{repository.page}: {MANIFEST}"
    return Manifest.parse(repository.read(MANIFEST, snapshot), place)


def _refuse_others(published: Published, repo_id: str, snapshot: Snapshot) -> None:
    """Stop where something that is not of a run has the name of a file of ours."""
    there = [p for p in published.sizes if p in snapshot.files and p != CARD]
    if there:
        raise UserError(
            f"{repo_id} holds something that xlmgen did not push ({', '.join(there)}); "
            "nothing was uploaded",
            "push to another repository, or to a new --revision of an empty one",
        )
