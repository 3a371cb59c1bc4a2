"""The tiny model, for the training loop and what it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.tiny_guided import write_guided_model
from tests.fakes.tiny_model import write_tiny_model


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the model as transformers files."""
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    return folder


@pytest.fixture
def tiny(tiny_folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer, loaded afresh."""
    from guidealign.platform import load_files

    return load_files(tiny_folder)


@pytest.fixture(scope="session")
def guided_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny model whose answers guidelines change."""
    folder = tmp_path_factory.mktemp("guided")
    write_guided_model(folder)
    return folder
