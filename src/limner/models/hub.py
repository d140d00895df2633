"""What the hub says of a repository, and where it keeps files on this machine.

huggingface_hub asks the hub and knows its environment: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE.
It reads that when it is first imported, so it is imported late.
"""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from limner.errors import HubError, LimnerError, ModelNotFoundError, PermissionDeniedError
from limner.models.files import HubFile, check_names

# Seconds until the hub must have answered a question.
PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A repository at one commit."""

    repository: str
    # 40 hex digits.
    commit: str
    # The hub lets in only accounts that have accepted the terms.
    gated: bool
    # As the model's card names it, lower case for SPDX names; "" where it names none.
    licence: str
    # Where the terms can be read.
    terms: str
    files: tuple[HubFile, ...]


def cache_folder() -> Path:
    """The hub's cache on this machine: HF_HUB_CACHE, else `hub` in HF_HOME, else ~/.cache/huggingface/hub."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask the hub."""
    from huggingface_hub import constants

    return constants.is_offline_mode()


def address(repository: str, commit: str, path: str) -> str:
    """The URL of one file."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{repository}/resolve/{commit}/{quote(path)}"


def token() -> str | None:
    """HF_TOKEN, else the token that `hf auth login` kept."""
    from huggingface_hub import get_token

    return get_token()


def listing(repository: str, revision: str = "") -> Listing:
    """Ask the hub what is in `repository` at `revision`, a commit, branch or tag; "" is its main branch.

    Raises:
        ModelNotFoundError: no such repository or revision, or none that this token may see.
        PermissionDeniedError: the repository is gated; the message says what to do.
        HubError: the hub cannot be reached, or says what makes no sense.
        EngineError: a file's name leads out of the repository.
    """
    from huggingface_hub import HfApi

    with _told(repository, revision):
        found = HfApi().model_info(repository, revision=revision or None, files_metadata=True, timeout=PATIENCE)
    commit = found.sha or ""
    siblings = found.siblings or []
    if len(commit) != 40 or not siblings:
        raise HubError(f"The hub names no commit or no files of {repository}; check HF_ENDPOINT.")
    check_names(sibling.rfilename for sibling in siblings)
    files: list[HubFile] = []
    for sibling in siblings:
        digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
        if digest is None or sibling.size is None:
            raise HubError(f"The hub tells no hash of {sibling.rfilename} in {repository}, so it could not be checked.")
        if not (len(digest) in (40, 64) and set(digest) <= set("0123456789abcdef")):
            raise HubError(f"The hub's hash of {sibling.rfilename} in {repository} is none.")
        files.append(HubFile(path=sibling.rfilename, size=sibling.size, digest=digest))
    card = found.card_data.to_dict() if found.card_data else dict[str, Any]()
    licence = card.get("license_name") or card.get("license")
    return Listing(
        repository=found.id,
        commit=commit,
        gated=bool(found.gated),
        licence=licence if isinstance(licence, str) else "",
        terms=f"{HfApi().endpoint}/{found.id}",
        files=tuple(files),
    )


def gated(repository: str) -> PermissionDeniedError:
    """The error of a gated repository, which teaches the two steps."""
    from huggingface_hub import constants

    have = "The token that was sent has not done so." if token() else "No token was sent."
    return PermissionDeniedError(
        f"{repository} is gated: accept its terms at {constants.ENDPOINT}/{repository} with your account, then set "
        f"HF_TOKEN to a token of that account (or run `hf auth login`). {have}",
        param="model",
        code="gated_model",
    )


@contextlib.contextmanager
def _told(repository: str, revision: str) -> Generator[None]:
    """The hub's failures as ours."""
    import httpx2
    from huggingface_hub import errors

    at = f" at {revision}" if revision else ""
    try:
        yield
    except errors.GatedRepoError:
        raise gated(repository) from None
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError):
        raise _missing(repository, at) from None
    except errors.OfflineModeIsEnabled:
        raise HubError(
            f"{repository} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it; unset it to pull.",
            code="offline",
        ) from None
    except (errors.HfHubHTTPError, httpx2.HTTPError, OSError, ValueError) as error:
        raise _unreachable(error) from error


def _missing(repository: str, at: str) -> LimnerError:
    return ModelNotFoundError(
        f"The hub has no model {repository}{at} that you may see; a model is named OWNER/NAME, and a private one needs "
        "HF_TOKEN.",
        param="model",
    )


def _unreachable(error: Exception) -> HubError:
    from huggingface_hub import constants

    return HubError(
        f"The hub at {constants.ENDPOINT} could not be asked ({type(error).__name__}); check the network, or set "
        "HF_ENDPOINT to a mirror."
    )
