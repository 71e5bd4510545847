"""What goes wrong with the Hub, in words that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xlmgen.errors import UserError

LOG_IN = "`hf auth login` asks for one, and HF_TOKEN in the environment goes first"


@contextmanager
def said_plainly(
    endpoint: str, repo_id: str, revision: str | None = None
) -> Iterator[None]:
    """Turn what calls of the Hub raise into a `UserError`.

    Only calls of the Hub belong inside.

    Args:
        endpoint: the address of the Hub.
        revision: the branch, tag or commit that is asked for.
    """
    from huggingface_hub import errors

    # The class of all errors of the HTTP library, whichever one this version uses.
    http_error = errors.HfHubHTTPError.__mro__[1]
    try:
        yield
    except Exception as error:
        if not isinstance(error, (http_error, OSError, ValueError, RuntimeError)):
            raise  # a mistake of ours
        chain = list(_chain(error))
        answers = (e for e in chain if isinstance(e, errors.HfHubHTTPError))
        answer = next(answers, None)
        if answer is not None:
            raise _answered(answer, endpoint, repo_id, revision, error) from error
        if any(isinstance(e, errors.OfflineModeIsEnabled) for e in chain):
            raise UserError(
                "HF_HUB_OFFLINE forbids to use the network", "unset it"
            ) from error
        if any(isinstance(e, http_error) for e in chain):
            raise UserError(
                f"cannot reach {endpoint}: {_line(chain[-1])}",
                "check the network and what HF_ENDPOINT and HTTPS_PROXY say, and run "
                "the command again",
            ) from error
        if isinstance(error, OSError) and error.filename is not None:
            raise
        said = dict.fromkeys(_line(e).rstrip(".") for e in (error, chain[-1]))
        raise UserError(
            f"{endpoint}/{repo_id}: {': '.join(said)}", "run the command again"
        ) from error


def _answered(
    error: Exception,
    endpoint: str,
    repo_id: str,
    revision: str | None,
    raised: Exception,
) -> UserError:
    """The error for an answer of the Hub that is a refusal.

    Args:
        raised: what the library made of it.
    """
    from huggingface_hub import errors

    assert isinstance(error, errors.HfHubHTTPError)
    page, status = f"{endpoint}/{repo_id}", error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return UserError(
            f"the owner of {repo_id} gives access on request only",
            f"ask for it at {page}, and log in: {LOG_IN}",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return UserError(
            f"there is no repository {repo_id} that you may read",
            "check how it is spelt; a private one needs a token of somebody who may: "
            f"{LOG_IN}",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(
            f"{repo_id} has no branch, tag or commit {revision!r}",
            f"see {page}/tree/main for those that it has",
        )
    if status == 401:
        return UserError("the Hub does not accept your token", LOG_IN)
    if status == 403:
        return UserError(
            f"your token may not do this to {repo_id}",
            "use one with the role `write` of somebody who may, and check the name "
            f"before the slash: {LOG_IN}",
        )
    if status in (409, 412):
        return UserError(
            f"{repo_id} was changed meanwhile, and nothing was written to it",
            "look at what changed, and push again",
        )
    if status == 400 and raised is not error and isinstance(raised, ValueError):
        return UserError(f"{page}: {_line(raised)}", "nothing was uploaded")
    said = _line(error.server_message or error)
    return UserError(
        f"{page}: the Hub answers {status}: {said}",
        "try again later" if status == 429 or status >= 500 else "",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from."""
    at: BaseException | None = error
    while at is not None:
        yield at
        at = at.__cause__


def _line(said: object) -> str:
    return " ".join(str(said).split()) or type(said).__name__
