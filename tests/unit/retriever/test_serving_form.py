"""The exported graph against the model it came from, in both forms, and what is refused."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guidealign.errors import IntegrityError
from guidealign.retriever._int8 import write_int8
from guidealign.retriever._onnx import (
    DESCRIPTION_FILE,
    GRAPH_FILE,
    TOKENIZER_FILE,
    describe,
    export_float,
)
from guidealign.retriever.encode import TransformerEncoder, load_folder
from guidealign.retriever.serve import ServingEncoder, _batches
from tests.fakes.tiny_encoder import WIDTH, write_tiny_encoder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
TEXTS = ["a", "how do i kill a python process", "", "Ünïcode ☃ and CAPITALS", "word " * 60]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TransformerEncoder:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_encoder(folder)
    return load_folder(folder, max_length=48)


@pytest.fixture(scope="module")
def float_folder(model: TransformerEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("float")
    export_float(model, folder)
    return folder


@pytest.fixture(scope="module")
def int8_folder(float_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parent") / "int8"
    write_int8(float_folder, folder)
    return folder


def _copy(folder: Path, target: Path) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def test_graph_gives_the_vectors_of_the_model(
    model: TransformerEncoder, float_folder: Path
) -> None:
    ours = ServingEncoder(float_folder, threads=1).encode(TEXTS, side="input")
    assert ours.dtype == np.float32
    assert ours.shape == (len(TEXTS), WIDTH)
    np.testing.assert_allclose(ours, model.encode(TEXTS, side="input"), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)
    # What lies behind max_length is cut off as in training.
    long = ServingEncoder(float_folder).encode(["ab" * 40, "ab" * 400], side="input")
    np.testing.assert_allclose(long[0], long[1], atol=1e-6)


def test_an_export_says_nothing_in_a_tasks_log(
    model: TransformerEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        export_float(model, tmp_path)
    assert [r.name for r in caplog.records if r.levelno >= logging.INFO] == []
    assert logging.getLogger("onnx_ir").level == logging.NOTSET


def test_a_text_is_cut_where_the_model_has_no_more_places(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    write_tiny_encoder(folder)
    encoder = load_folder(folder, max_length=4_096)
    assert encoder.max_length == 128
    export_float(encoder, tmp_path / "float")
    texts = ["letters " * 100]
    ours = ServingEncoder(tmp_path / "float").encode(texts, side="input")
    assert abs(ours - encoder.encode(texts, side="input")).max() < 1e-5


def test_nothing_to_encode_gives_no_vectors(float_folder: Path) -> None:
    assert ServingEncoder(float_folder).encode([], side="guideline").shape == (0, WIDTH)


def test_eight_bits_point_the_same_way_and_take_a_fraction(
    float_folder: Path, int8_folder: Path
) -> None:
    ours = ServingEncoder(int8_folder).encode(TEXTS, side="input")
    exact = ServingEncoder(float_folder).encode(TEXTS, side="input")
    cosines = (ours * exact).sum(axis=1)
    # Random weights are the worst case; they agree to about a degree or two.
    assert cosines.min() > 0.99
    assert not np.array_equal(ours, exact)
    sizes = [(folder / GRAPH_FILE).stat().st_size for folder in (int8_folder, float_folder)]
    assert sizes[0] < 0.75 * sizes[1]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=2, max_size=12))
@settings(max_examples=15, deadline=None)
def test_a_vector_does_not_depend_on_what_it_is_encoded_with(
    float_folder: Path, int8_folder: Path, texts: list[str]
) -> None:
    for folder in (float_folder, int8_folder):
        encoder = ServingEncoder(folder, threads=1)
        together = encoder.encode(texts, side="input")
        alone = np.concatenate([encoder.encode([text], side="input") for text in texts])
        np.testing.assert_allclose(together, alone, atol=3e-6)


@given(st.lists(st.integers(1, 600), max_size=60))
def test_batches_hold_every_text_once_and_keep_to_the_budget(lengths: list[int]) -> None:
    batches = list(_batches(lengths))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 1_024
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest)


def test_serving_imports_neither_torch_nor_transformers_nor_mlflow(float_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import guidealign.retriever.serve as serve\n"
        f"encoder = serve.ServingEncoder(Path({str(float_folder)!r}))\n"
        "assert encoder.encode(['one', 'two words'], side='input').shape[0] == 2\n"
        "print(' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert not {"torch", "transformers", "mlflow", "onnx"} & set(done.stdout.split())


@pytest.mark.parametrize("name", [GRAPH_FILE, TOKENIZER_FILE, DESCRIPTION_FILE])
def test_a_missing_file_is_named(float_folder: Path, tmp_path: Path, name: str) -> None:
    folder = _copy(float_folder, tmp_path / "copy")
    (folder / name).unlink()
    with pytest.raises(IntegrityError, match=name):
        ServingEncoder(folder)


def test_a_file_that_was_altered_is_refused(float_folder: Path, tmp_path: Path) -> None:
    folder = _copy(float_folder, tmp_path / "copy")
    content = bytearray((folder / GRAPH_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / GRAPH_FILE).write_bytes(content)
    with pytest.raises(IntegrityError, match="differs"):
        ServingEncoder(folder)


def test_files_that_no_library_reads_are_refused(float_folder: Path, tmp_path: Path) -> None:
    for name, message in ((GRAPH_FILE, "onnxruntime"), (TOKENIZER_FILE, "no tokenizer")):
        folder = _copy(float_folder, tmp_path / name)
        about = ServingEncoder(folder)._about
        (folder / name).write_bytes(b"{}")
        describe(folder, about)
        with pytest.raises(IntegrityError, match=message):
            ServingEncoder(folder)


def test_a_later_format_is_refused(float_folder: Path, tmp_path: Path) -> None:
    folder = _copy(float_folder, tmp_path / "copy")
    description = folder / DESCRIPTION_FILE
    description.write_text(description.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(IntegrityError, match="upgrade"):
        ServingEncoder(folder)
