"""Translate errors of the Hub into `UserError`s with a fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xlmgen.errors import UserError

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN, which has priority"


@contextmanager
def hub_errors(
    endpoint: str, repo_id: str, revision: str | None = None
) -> Iterator[None]:
    """Translate errors of the Hub's library into a `UserError`.

    The block must contain calls of that library only.

    Args:
        endpoint: address of the Hub.
        repo_id: name of the repository.
        revision: the requested branch, tag or commit.

    Raises:
        UserError: the Hub cannot be reached, or refuses.
    """
    from huggingface_hub import errors

    # Base class of the errors of the HTTP library, requests or httpx by version.
    http_error = errors.HfHubHTTPError.__mro__[1]
    try:
        yield
    except Exception as error:
        if not isinstance(error, (http_error, OSError, ValueError, RuntimeError)):
            raise  # a bug
        chain = list(_chain(error))
        answers = (e for e in chain if isinstance(e, errors.HfHubHTTPError))
        answer = next(answers, None)
        if answer is not None:
            raise _answered(answer, endpoint, repo_id, revision, error) from error
        if any(isinstance(e, errors.OfflineModeIsEnabled) for e in chain):
            raise UserError(
                "HF_HUB_OFFLINE forbids access to the network", "unset it"
            ) from error
        if any(isinstance(e, http_error) for e in chain):
            raise UserError(
                f"cannot reach {endpoint}: {_line(chain[-1])}",
                "check the network and the values of HF_ENDPOINT and HTTPS_PROXY, and "
                "run the command again",
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
    """Build the error for a response of the Hub with an error status.

    Args:
        error: the error of the response.
        raised: the exception that the library raised.
    """
    from huggingface_hub import errors

    assert isinstance(error, errors.HfHubHTTPError)
    page, status = f"{endpoint}/{repo_id}", error.response.status_code
    if isinstance(error, errors.GatedRepoError):
        return UserError(
            f"the owner of {repo_id} gives access on request only",
            f"request access at {page}, and {LOG_IN}",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return UserError(
            f"there is no repository {repo_id} that you may read",
            "check the spelling; for a private repository use a token with access to "
            f"it: {LOG_IN}",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(
            f"{repo_id} has no branch, tag or commit {revision!r}",
            f"choose one of {page}/tree/main",
        )
    if status == 401:
        return UserError("the Hub does not accept your token", LOG_IN)
    if status == 403:
        return UserError(
            f"your token has no permission to do this to {repo_id}",
            "use a token with the role `write` for this repository, and check the "
            f"name before the slash: {LOG_IN}",
        )
    if status in (409, 412):
        return UserError(
            f"{repo_id} was changed during the push, and nothing was written to it",
            "check the change, and push again",
        )
    if status == 400 and raised is not error and isinstance(raised, ValueError):
        return UserError(f"{page}: {_line(raised)}", "nothing was uploaded")
    said = _line(error.server_message or error)
    return UserError(
        f"{page}: the Hub answers {status}: {said}",
        "try again later" if status == 429 or status >= 500 else "",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _line(said: object) -> str:
    return " ".join(str(said).split()) or type(said).__name__
