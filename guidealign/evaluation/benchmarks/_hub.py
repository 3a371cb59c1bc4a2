"""Downloads a data set of the Hugging Face hub into a folder on this machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

from guidealign.errors import BadInputError, ServiceUnavailableError

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(?:@[\w.-]+)?")
_ENDINGS = ("*.parquet", "*.jsonl", "*.jsonl.gz", "*.json", "*.csv")


def is_hub_id(source: str) -> bool:
    """Whether a source that is no file can be an id such as `owner/name` or `owner/name@commit`."""
    return _HUB_ID.fullmatch(source) is not None


def fetch(source: str) -> tuple[Path, str]:
    """Downloads the data files of an id, or finds them in the hub's cache.

    No code of the data set is run: only files with data are fetched.

    Returns:
        The folder, and the id with the commit that it holds.

    Raises:
        BadInputError: the hub has no such data set, or asks for permission.
        ServiceUnavailableError: the hub does not answer, and there is no copy here.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    name, _, revision = source.partition("@")
    try:
        folder = snapshot_download(
            name,
            repo_type="dataset",
            revision=revision or None,
            allow_patterns=list(_ENDINGS),
            # Read when asked: the library keeps what it saw at its import.
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError) as error:
        raise ServiceUnavailableError(
            f"the Hugging Face hub does not answer and there is no copy of {name} here: give a"
            " file or folder with --source"
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        raise BadInputError(
            f"the Hugging Face hub gives no data set {source} ({status}): check the id, log in"
            " where it asks for that, or give a file or folder with --source"
        ) from error
    return Path(folder), f"{name}@{Path(folder).name}"
