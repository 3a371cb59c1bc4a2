"""Paths and patterns as people write them: each names files, or is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from guidealign.errors import BadInputError
from guidealign.ingest import file_source, file_sources
from guidealign.ingest._files import open_text
from tests.unit.ingest.reading import write


@pytest.mark.parametrize("path", ["{}/a**b", "~nouser_of_this_host/x", "{}/**x/*.jsonl"])
def test_a_path_that_names_no_file_is_one_sentence(tmp_path: Path, path: str) -> None:
    given = path.format(tmp_path)
    with pytest.raises(BadInputError, match=r"not a file|not there"):
        file_sources(given)
    with pytest.raises(BadInputError, match=r"not a file|not there"):
        file_source(given)


def test_a_file_that_goes_while_it_is_read_is_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path, "in.jsonl", "{}\n")
    file = open_text(path)
    path.unlink()
    with pytest.raises(BadInputError, match="cannot be read"):
        file.may_grow(300)


def test_a_file_of_no_known_kind_stops_no_pattern(tmp_path: Path) -> None:
    for name in ("in.jsonl", "in.log", "in.jsonl.sha256"):
        write(tmp_path, name, "{}\n")
    assert [Path(s.uri).name for s in file_sources(tmp_path / "in.*")] == ["in.jsonl"]
    assert len(file_sources(tmp_path / "in.*", kind="jsonl")) == 3
    with pytest.raises(BadInputError, match="holds no file to read"):
        file_sources(tmp_path / "*.log")
